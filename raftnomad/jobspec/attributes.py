"""The value of an attribute, as the kind that its field needs."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Final

import msgspec

from raftnomad.durations import parse_duration
from raftnomad.hcl import syntax as s
from raftnomad.hcl.evaluator import Scope, evaluate
from raftnomad.hcl.numbers import Number
from raftnomad.hcl.values import (
    ConversionError,
    Type,
    Value,
    convert,
    elements,
    entries,
    is_known,
    name_of,
    to_bool,
    to_number,
    to_string,
)
from raftnomad.jobspec.schema import Kind


class Unusable(msgspec.Struct):
    """What an attribute has as its value after the mistake in it was reported."""


UNUSABLE: Final = Unusable()

_INT64 = 2**63
_WHOLE = "value must be a whole number, between -9223372036854775808 and 9223372036854775807"
_STRINGS: Type = ("list", "string")
_STRING_MAP: Type = ("map", "string")


class _Refused(Exception):
    """A value of the wrong kind; the text is all that a message says after the summary."""


def read(expression: s.Expression, kind: Kind, nullable: bool, scope: Scope) -> object:
    """The value for a field of a submitted job; UNUSABLE after a mistake, which is noted in the scope."""
    value = evaluate(expression, scope)
    start, end = s.start_range(expression)
    if value is None and kind is Kind.DURATION:
        scope.report("Unsuitable value", "Unsuitable duration value: nil", start, end)
        return UNUSABLE
    try:
        if value is None:
            if nullable or kind in (Kind.TEXTS, Kind.INTEGERS, Kind.TEXT_MAP):
                return None
            raise ConversionError("null value is not allowed")
        return _READERS[kind](value)
    except ConversionError as error:
        scope.report("Unsuitable value type", f"Unsuitable value: {error}", start, end)
    except _Refused as error:
        scope.report("Unsuitable value type", str(error), start, end)
    return UNUSABLE


def read_leniently(written: s.Attribute, kind: Kind, scope: Scope) -> object:
    """The same for constraints and affinities: null is as good as nothing, and mistakes are told in other words."""
    attempt = scope.apart()
    value = read(written.value, kind, True, attempt)
    for found in attempt.diagnostics:
        if found.summary == "Unsuitable value type" and not found.detail.endswith("value must be known"):
            why = found.detail.removeprefix("Unsuitable value: ")
            detail = f'Inappropriate value for attribute "{written.name}": {why}.'
            scope.report("Incorrect attribute value type", detail, written.value.start, written.value.end)
        else:
            scope.diagnostics.append(found)
    return value


def _known(value: Value) -> None:
    if not is_known(value):
        raise ConversionError("value must be known")


def _text(value: Value) -> str:
    _known(convert(value, "string"))
    return to_string(value)


def _bool(value: Value) -> bool:
    _known(convert(value, "bool"))
    return to_bool(value)


def _number(value: Value) -> Number:
    _known(convert(value, "number"))
    return to_number(value)


def _integer(value: Value) -> int:
    number = _number(value)
    if not isinstance(number, int):
        if number == 0:
            return 0
        raise ConversionError(_WHOLE)
    if not -_INT64 <= number < _INT64:
        raise ConversionError(_WHOLE)
    return number


def _cut(value: Value, wrong: str) -> int:
    number = _number(value)
    if isinstance(number, float) and number != 0:
        raise ConversionError(wrong)
    return int(number)


def _unsigned(bits: int) -> Callable[[Value], int]:
    """Whole numbers of so many bits; a fraction is cut off."""
    wrong = f"value must be a whole number, between 0 and {2**bits - 1} inclusive"

    def read_unsigned(value: Value) -> int:
        number = _cut(value, wrong)
        if not 0 <= number < 2**bits:
            raise ConversionError(wrong)
        return number

    return read_unsigned


def _signed_byte(value: Value) -> int:
    number = _integer(value)
    if not -128 <= number < 128:
        raise ConversionError("value must be a whole number, between -128 and 127")
    return number


def _small(value: Value) -> int:
    return (_cut(value, _WHOLE) + 128) % 256 - 128


def _duration(value: Value) -> int:
    _known(value)
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ValueError as error:
            raise _Refused(f"Unsuitable duration value: {error}") from None
    if isinstance(value, int | float | Fraction) and not isinstance(value, bool):
        return _integer(value)
    raise ConversionError(f"a duration is required, but have {name_of(value)}")


def _texts(value: Value) -> tuple[str, ...]:
    items = convert(value, _STRINGS)
    _known(items)
    return tuple(_present(item) for item in elements(items))


def _integers(value: Value) -> tuple[int, ...]:
    try:
        items = convert(value, ("list", "number"))
    except ConversionError as error:
        raise ConversionError(str(error).partition(": ")[2] or str(error)) from None
    _known(items)
    return tuple(_integer(item) for item in elements(items))


def _text_map(value: Value) -> dict[str, str]:
    items = convert(value, _STRING_MAP)
    _known(items)
    return {name: _present(item) for name, item in entries(items).items()}


def _present(item: Value) -> str:
    if item is None:
        raise ConversionError("null value is not allowed")
    return to_string(item)


_READERS: dict[Kind, Callable[[Value], object]] = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.UNSIGNED: _unsigned(64),
    Kind.UNSIGNED_16: _unsigned(16),
    Kind.UNSIGNED_8: _unsigned(8),
    Kind.SIGNED_8: _signed_byte,
    Kind.SMALL: _small,
    Kind.BOOL: _bool,
    Kind.DURATION: _duration,
    Kind.TEXTS: _texts,
    Kind.INTEGERS: _integers,
    Kind.TEXT_MAP: _text_map,
}
