"""Filter expressions, decided on rows: `Filter("ClientStatus == running", Allocation)` is a predicate.

Selectors name fields as the wire does, on the whole object and not on the stub that lists show.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from re import _constants as regex_codes  # type: ignore[attr-defined]
from re import _parser as regex_parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from raftnomad.api import filter_grammar
from raftnomad.api.filter_grammar import And, Expression, Match, Not, Or
from raftnomad.errors import BadRequest
from raftnomad.model.row import Row
from raftnomad.model.shape import Shape, shape_of
from raftnomad.scheduler.regexp import compile_regexp

PATTERN_LENGTH_MAX = 256


class Filter:
    """A predicate on rows of one type. Raises BadRequest: when it cannot be read, and on a row that it does not fit."""

    def __init__(self, text: str, row_type: type[Row]) -> None:
        try:
            self._expression = _parsed(text)
        except BadRequest as error:
            raise BadRequest(f"failed to create result paginator: failed to read filter expression: {error}") from None
        self._shape = shape_of(row_type)

    def __call__(self, row: Row) -> bool:
        try:
            return _decide(self._expression, row, self._shape)
        except BadRequest as error:
            raise BadRequest(f"failed to read result page: {error}") from None


@lru_cache(maxsize=128)
def _parsed(text: str) -> Expression:
    return filter_grammar.parse(text)


def _decide(expression: Expression, row: Row, shape: Shape) -> bool:
    match expression:
        case And(left, right):
            return _decide(left, row, shape) and _decide(right, row, shape)
        case Or(left, right):
            return _decide(left, row, shape) or _decide(right, row, shape)
        case Not(inner):
            return not _decide(inner, row, shape)
        case Match():
            found = _find(expression.selector, row, shape)
            return found is not _ABSENT and _OPERATORS[expression.operator](found, expression)


class _Found(NamedTuple):
    value: Any
    shape: Shape


_ABSENT = _Found(None, shape_of(str))
"""A key that a map of texts does not have: nothing matches it."""


def _find(selector: tuple[str, ...], row: Row, shape: Shape) -> _Found:
    value: Any = row
    path = "/" + "/".join(selector)
    for i, part in enumerate(selector):
        if value is None:
            if shape.kind == "map":
                return _missing_key(shape, path, i, part)
            raise BadRequest(f"error finding value in datum: {path}: at part {i}, invalid value kind: invalid")
        match shape.kind:
            case "struct":
                field = shape.fields.get(part)
                if field is None or field.name != part:
                    raise BadRequest(
                        f"error finding value in datum: {path} at part {i}: "
                        f'couldn\'t find key: struct field with name "{part}"'
                    )
                value, shape = getattr(value, field.attribute), shape_of(field.hint)
            case "map":
                if part not in value:
                    return _missing_key(shape, path, i, part)
                value, shape = value[part], shape_of(shape.element)
            case "list":
                if not part.isdigit() or int(part) >= len(value):
                    raise BadRequest(
                        f"error finding value in datum: {path} at part {i}: index {part} is out of range "
                        f"(length = {len(value)})"
                    )
                value, shape = value[int(part)], shape_of(shape.element)
            case "any":
                value = _inside(value, path, i, part)
            case kind:
                raise BadRequest(f"error finding value in datum: {path}: at part {i}, invalid value kind: {kind}")
    return _Found(value, shape)


def _missing_key(shape: Shape, path: str, i: int, part: str) -> _Found:
    if shape_of(shape.element).kind in ("str", "any"):
        return _ABSENT
    raise BadRequest(f'error finding value in datum: {path} at part {i}: couldn\'t find key "{part}"')


def _inside(value: Any, path: str, i: int, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and part.isdigit() and int(part) < len(value):
        return value[int(part)]
    raise BadRequest(f'error finding value in datum: {path} at part {i}: couldn\'t find key "{part}"')


def _equal(found: _Found, match: Match) -> bool:
    kind, text = _kind(found), match.value
    if found.value is None and kind != "str":
        return False
    match kind:
        case "str":
            return str(found.value or "") == text
        case "bool":
            return bool(found.value) == _boolean(text)
        case "int" | "unsigned" | "duration":
            return int(found.value) == _integer(text, kind == "unsigned")
        case "float":
            return float(found.value) == _fraction(text)
    raise BadRequest(_cannot("equality", found, match))


def _empty(found: _Found, match: Match) -> bool:
    if found.shape.kind in ("str", "list", "map", "bytes") or isinstance(found.value, str | list | dict):
        return not found.value
    raise BadRequest(_cannot("is-empty", found, match))


def _nil(found: _Found, _: Match) -> bool:
    return found.value is None


def _in(found: _Found, match: Match) -> bool:
    kind, value, text = _kind(found), found.value, match.value
    if kind == "str":
        return text in str(value or "")
    if kind == "map":
        return text in (value or {})
    if kind == "list":
        element = shape_of(found.shape.element) if found.shape.element else None
        if element is not None and element.kind == "int":
            return _integer(text, False) in (value or ())
        return any(isinstance(item, str) and item == text for item in value or ())
    raise BadRequest(_cannot("in/contains", found, match))


def _matches(found: _Found, match: Match) -> bool:
    if _kind(found) != "str":
        raise BadRequest(_cannot("matches", found, match))
    return pattern(match.value)(str(found.value or ""))


_OPERATORS: dict[str, Callable[[_Found, Match], bool]] = {
    "equal": _equal,
    "empty": _empty,
    "nil": _nil,
    "in": _in,
    "matches": _matches,
}


def _kind(found: _Found) -> str:
    if found.shape.kind != "any":
        return found.shape.kind
    match found.value:
        case bool():
            return "bool"
        case int() | float():
            return "float"
        case dict():
            return "map"
        case list():
            return "list"
    return "str"


_GO_KINDS = {"struct": "struct", "list": "slice", "bytes": "slice", "str": "string", "float": "float64"}


def _cannot(what: str, found: _Found, match: Match) -> str:
    kind = "invalid" if found.value is None else _GO_KINDS.get(found.shape.kind, found.shape.kind)
    return f'cannot perform {what} operations on type {kind} for selector: "{".".join(match.selector)}"'


def _boolean(text: str) -> bool:
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise BadRequest(_unreadable("ParseBool", text))


def _integer(text: str, unsigned: bool) -> int:
    if re.fullmatch(r"\d+" if unsigned else r"[+-]?\d+", text, re.ASCII):
        return int(text)
    raise BadRequest(_unreadable("ParseUint" if unsigned else "ParseInt", text))


def _fraction(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadRequest(_unreadable("ParseFloat", text)) from None


def _unreadable(function: str, text: str) -> str:
    return f'error getting match value in expression: strconv.{function}: parsing "{text}": invalid syntax'


Matcher = Callable[[str], bool]


@lru_cache(maxsize=128)
def pattern(text: str) -> Matcher:
    """Whether a regular expression is found in a text, in a time that is no threat to the server. Raises BadRequest.

    Python's engine backtracks, so it gets the simple patterns, for its speed, and the automaton all others.
    """
    if len(text) > PATTERN_LENGTH_MAX:
        raise BadRequest(f"failed to compile regular expression: longer than {PATTERN_LENGTH_MAX} characters")
    try:
        compiled = re.compile(text)
        simple = _is_simple(regex_parser.parse(text))
    except (re.error, OverflowError, RecursionError) as error:
        raise BadRequest(f'failed to compile regular expression "{text}": {_go_text(text, str(error))}') from None
    if simple:
        return lambda value: compiled.search(value) is not None
    automaton = compile_regexp(text)
    if automaton is None:
        raise BadRequest(f'failed to compile regular expression "{text}": no references, no look-around, please')
    return automaton.search


def _go_text(text: str, error: str) -> str:
    if "missing )" in error:
        return f"error parsing regexp: missing closing ): `{text}`"
    if "unterminated character set" in error:
        return f"error parsing regexp: missing closing ]: `{text[text.rfind('[') :]}`"
    return f"error parsing regexp: {error}"


_BACKTRACKING = {regex_codes.GROUPREF, regex_codes.GROUPREF_EXISTS, regex_codes.ASSERT, regex_codes.ASSERT_NOT}
_REPEATS = {regex_codes.MAX_REPEAT, regex_codes.MIN_REPEAT, regex_codes.POSSESSIVE_REPEAT}
_FEW = 16


def _is_simple(parsed: Any) -> bool:
    """At most one long repetition, and nothing inside of it that can be taken in two ways."""
    repetitions = 0
    for code, argument, inside in _walk(parsed, False):
        if code in _BACKTRACKING or (inside and (code in _REPEATS or code is regex_codes.BRANCH)):
            return False
        repetitions += code in _REPEATS and argument[1] > _FEW
    return repetitions <= 1


def _walk(parsed: Any, inside: bool) -> Iterator[tuple[Any, Any, bool]]:
    """Every part of a parsed expression, and whether it lies inside a repetition."""
    for code, argument in parsed:
        yield code, argument, inside
        if code in _REPEATS:
            yield from _walk(argument[2], inside or argument[1] > 1)
        elif code is regex_codes.BRANCH:
            for branch in argument[1]:
                yield from _walk(branch, inside)
        elif code is regex_codes.SUBPATTERN:
            yield from _walk(argument[3], inside)
        elif code is regex_codes.ATOMIC_GROUP:
            yield from _walk(argument, inside)
