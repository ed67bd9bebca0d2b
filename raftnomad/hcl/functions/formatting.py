"""`format` and `formatlist`: Go's verbs for the values of the language."""

from __future__ import annotations

import re
from collections.abc import Callable

from raftnomad.hcl.calls import Function, FunctionError, Parameter
from raftnomad.hcl.functions.encodings import to_json
from raftnomad.hcl.numbers import Number
from raftnomad.hcl.values import (
    ConversionError,
    HclList,
    HclSet,
    Value,
    elements,
    to_bool,
    to_number,
    to_string,
)

_VERB = re.compile(r"%([-+ #0]*)(\d+)?(?:\.(\d+))?(?:\[(\d+)\])?([a-zA-Z%*])|%")
_BASES = {"b": "b", "o": "o", "x": "x", "X": "X"}


def format_text(pattern: str, arguments: tuple[Value, ...]) -> str:
    """The text that a pattern makes of its arguments; raises FunctionError."""
    used = 0
    position = 0
    result: list[str] = []
    highest = 0
    for verb in _VERB.finditer(pattern):
        result.append(pattern[position : verb.start()])
        position = verb.end()
        letter = verb[5]
        if letter is None:
            raise FunctionError(f"invalid format string starting at offset {verb.start() + 1}")
        if letter == "%":
            result.append("%")
            continue
        if letter == "*":
            raise FunctionError(f"unrecognized format character '*' at offset {verb.end() - 1}")
        used = int(verb[4]) if verb[4] else used + 1
        highest = max(highest, used)
        if used > len(arguments):
            total = len(arguments)
            message = (
                f'not enough arguments for "{verb[0]}" at {verb.start()}: need index {used} but have {total} total'
            )
            raise FunctionError(message)
        result.append(_formatted(verb, letter, arguments[used - 1]))
    if highest < len(arguments):
        raise FunctionError(f"too many arguments; only {highest} used by format string", highest + 1)
    return "".join(result) + pattern[position:]


def _formatted(verb: re.Match[str], letter: str, value: Value) -> str:
    maker = _MAKERS.get(letter)
    if maker is None:
        raise FunctionError(f"unsupported format verb '{letter}' in \"{verb[0]}\" at offset {verb.start()}")
    if value is None and letter != "v":
        message = f'unsupported value for "{verb[0]}" at {verb.start()}: null value cannot be formatted'
        raise FunctionError(message)
    try:
        return maker(value, verb)
    except ConversionError as error:
        raise FunctionError(f'unsupported value for "{verb[0]}" at {verb.start()}: {error}') from None


def _padded(text: str, verb: re.Match[str]) -> str:
    width = int(verb[2] or 0)
    return text.ljust(width) if "-" in verb[1] else text.rjust(width)


def _plain(value: Value, verb: re.Match[str]) -> str:
    if isinstance(value, str) and "#" not in verb[1]:
        return _padded(value, verb)
    if value is not None and "#" not in verb[1] and not isinstance(value, tuple | dict | HclList | HclSet):
        return _padded(to_string(value) if not hasattr(value, "items") else to_json(value), verb)
    return _padded(to_json(value), verb)


def _bool(value: Value, verb: re.Match[str]) -> str:
    return "true" if to_bool(value) else "false"


def _text(value: Value, verb: re.Match[str]) -> str:
    text = to_string(value)
    return _padded(text[: int(verb[3])] if verb[3] else text, verb)


def _quoted(value: Value, verb: re.Match[str]) -> str:
    return _padded(to_json(to_string(value)), verb)


def _integer(value: Value, verb: re.Match[str]) -> str:
    number = int(to_number(value))
    letter = verb[5]
    digits = format(abs(number), _BASES.get(letter, "d"))
    return _signed(digits, number < 0, verb)


def _signed(digits: str, negative: bool, verb: re.Match[str]) -> str:
    flags, width = verb[1], int(verb[2] or 0)
    sign = "-" if negative else "+" if "+" in flags else " " if " " in flags else ""
    if "0" in flags and "-" not in flags:
        return sign + digits.rjust(width - len(sign), "0")
    return _padded(sign + digits, verb)


def _float(value: Value, verb: re.Match[str]) -> str:
    number: Number = to_number(value)
    letter = verb[5]
    if letter in "gG" and verb[3] is None:
        text = repr(abs(float(number)))
        text = text.removesuffix(".0") if "e" not in text else text
        text = text.upper() if letter == "G" else text
    else:
        text = format(abs(float(number)), f".{verb[3] or 6}{letter}")
    return _signed(text, number < 0, verb)


_MAKERS: dict[str, Callable[[Value, re.Match[str]], str]] = {
    "v": _plain,
    "t": _bool,
    "s": _text,
    "q": _quoted,
    **dict.fromkeys("bdoxX", _integer),
    **dict.fromkeys("eEfgG", _float),
}


def _format(pattern: str, *arguments: Value) -> str:
    return format_text(pattern, arguments)


def _formatlist(pattern: str, *arguments: Value) -> Value:
    """One text for each row of the lists among the arguments; what is no list is the same in every row."""
    length: int | None = None
    first = 0
    for number, argument in enumerate(arguments, 1):
        if isinstance(argument, tuple | HclList | HclSet):
            count = len(elements(argument))
            if length is None:
                length, first = count, number
            elif count != length:
                message = (
                    f"argument {number} has length {count}, which is inconsistent with argument {first} of length "
                    f"{length}"
                )
                raise FunctionError(message, number)
    rows = []
    for row in range(1 if length is None else length):
        values = [elements(a)[row] if isinstance(a, tuple | HclList | HclSet) else a for a in arguments]
        rows.append(format_text(pattern, tuple(values)))
    return HclList(tuple(rows), "string")


FORMATTING_FUNCTIONS: dict[str, Function] = {
    "format": Function(
        parameters=(Parameter("format", "string"),), rest=Parameter("args", nullable=True), apply=_format
    ),
    "formatlist": Function(
        parameters=(Parameter("format", "string"),), rest=Parameter("args", nullable=True), apply=_formatlist
    ),
}
