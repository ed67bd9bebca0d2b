"""JSON as Nomad's HTTP API reads and writes it.

Reading is lenient where Go is (letter case of keys, unknown keys, nulls, whatever follows the first value) and strict
where Go is (types), with Go's texts for what is wrong, since clients and their users know those. Two steps: `read`
makes a value of bytes, `named` gives its keys Nomad's spelling; `decode` does both and builds the row. Code that must
tell null from zero (defaults) works on what `named` returns.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import typing
from typing import Any, TypeVar

import msgspec

from raftnomad.durations import parse_duration
from raftnomad.errors import BadRequest
from raftnomad.model.row import ZERO_TIME, Row
from raftnomad.model.shape import Shape, shape_of

R = TypeVar("R", bound=Row)

DEPTH_MAX = 100
"""Levels of nesting that a body may have; job files need about ten."""

_encoder = msgspec.json.Encoder()


_ZERO_TIME = f'"{ZERO_TIME}"'.encode()
_TIMES = re.compile(
    rb'"(LastRestart|StartedAt|FinishedAt|UpdatedAt|ForceDeadline|RequireProgressBy|Timestamp|UpdateTime|WaitUntil|Time|NextPeriodicLaunch)":'
    + _ZERO_TIME
)


def encode(value: object) -> bytes:
    """Nomad's JSON of a row, or of lists and dicts of rows. A time that was never set is null."""
    body = _encoder.encode(value)
    return _TIMES.sub(rb'"\1":null', body) if _ZERO_TIME in body else body


def pretty(body: bytes) -> bytes:
    """The same JSON for people: four spaces a level, a newline at the end (`?pretty`)."""
    return msgspec.json.format(body, indent=4) + b"\n"


def decode(row_type: type[R], data: bytes | object) -> R:
    """The row that a request's body says, from its bytes or from a value that `read` made of them.

    Raises BadRequest.
    """
    return msgspec.convert(named(row_type, data), row_type)


def read(data: bytes) -> object:
    """The first JSON value of a body. Raises BadRequest with the text of Go's decoder."""
    if not data:
        raise BadRequest("Request body is empty")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return _read_slowly(data)


def named(row_type: type[Row], data: bytes | object) -> dict[str, Any]:
    """A JSON object with Nomad's own spelling of the keys of `row_type`, checked all the way down.

    Unknown keys and nulls are left out, so that a missing key is the only way to say "not given".
    """
    if not isinstance(data, bytes):
        return _named(row_type, data)
    value = read(data)
    try:
        return _named(row_type, value)
    except BadRequest:
        # Go's texts quote numbers as they were written, which only the slower reader keeps.
        return _named(row_type, _read_slowly(data))


def _named(row_type: type[Row], value: object) -> dict[str, Any]:
    if value is None:
        return {}
    result = _Reading(row_type.__name__).value(row_type, value, [], 0)
    assert isinstance(result, dict)
    return result


class _Literal(float):
    """A number that is no integer, with its spelling."""

    text: str

    def __new__(cls, text: str) -> _Literal:
        self = super().__new__(cls, text)
        self.text = text
        return self


def _read_slowly(data: bytes) -> object:
    text = data.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        raise BadRequest("EOF")
    decoder = json.JSONDecoder(parse_float=_Literal, parse_constant=_no_constant, strict=True)
    try:
        value = decoder.raw_decode(text)[0]
        return _without_surrogates(value) if "\\u" in text else value
    except RecursionError:
        raise BadRequest("exceeded max depth") from None
    except json.JSONDecodeError as error:
        raise BadRequest(_syntax_error(text, error)) from None


def _without_surrogates(value: Any) -> Any:
    """Halves of a pair that stand alone become U+FFFD, as in Go; no UTF-8 can hold them."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def _no_constant(name: str) -> object:
    raise BadRequest(f"invalid character '{name[0]}' looking for beginning of value")


_PLACES = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
    "Invalid \\uXXXX escape": "in \\u hexadecimal character escape",
}


def _syntax_error(text: str, error: json.JSONDecodeError) -> str:
    message = error.msg.removesuffix(": ")
    position = error.pos
    if message.startswith("Illegal trailing comma"):
        position = len(text) - len(text[position + 1 :].lstrip(" \t\r\n"))
    if message.startswith("Unterminated string") or position >= len(text) or not text[position:].strip():
        return "unexpected EOF"
    if message == "Invalid \\escape":
        position += 1
    character = text[position]
    quoted = {"'": "'\\''", '"': "'\"'", "\n": "'\\n'", "\t": "'\\t'"}.get(character, f"'{character}'")
    return f"invalid character {quoted} {_PLACES.get(message, 'looking for beginning of value')}"


class _Reading:
    """One body being read: knows how to say, in Go's words, where something is wrong."""

    def __init__(self, struct: str) -> None:
        self._struct = struct

    def value(self, hint: Any, value: object, path: list[str], depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise BadRequest("exceeded max depth")
        shape = shape_of(hint)
        if shape.kind == "any":
            _check_depth(value, depth)
            return value
        if value is None:
            return None
        if shape.kind == "duration" and isinstance(value, str):
            return _duration(value)
        if _kind(value) != shape.json:
            raise self._mismatch(value, shape, path)
        match shape.kind:
            case "struct":
                return self._object(shape, typing.cast("dict[str, object]", value), path, depth)
            case "list":
                return self._list(shape, typing.cast("list[object]", value), path, depth)
            case "map":
                items = typing.cast("dict[str, object]", value).items()
                return {k: self._element(shape, v, path, depth) for k, v in items}
            case "int" | "unsigned" | "duration":
                return self._integer(shape, value, path)
            case "float":
                return float(typing.cast("float", value))
            case "bytes":
                return _bytes(typing.cast("str", value))
        return value

    def _object(self, shape: Shape, value: dict[str, object], path: list[str], depth: int) -> dict[str, Any]:
        outer, self._struct = self._struct, shape.name
        result: dict[str, Any] = {}
        for key, item in value.items():
            field = shape.fields.get(key) or shape.fields.get(key.lower())
            if field is None or item is None:
                continue
            result[field.name] = self.value(field.hint, item, [*path, field.name], depth + 1)
        self._struct = outer
        return result

    def _list(self, shape: Shape, value: list[object], path: list[str], depth: int) -> list[Any]:
        return [self._element(shape, item, path, depth) for item in value]

    def _element(self, shape: Shape, item: object, path: list[str], depth: int) -> Any:
        if item is None:
            inner = shape_of(shape.element)
            if inner.kind == "struct":
                raise BadRequest(f"{'.'.join(path)} must not contain null")
            return inner.zero
        return self.value(shape.element, item, path, depth + 1)

    def _integer(self, shape: Shape, value: object, path: list[str]) -> int:
        least, most = (0, 2**64) if shape.kind == "unsigned" else (-(2**63), 2**63)
        if isinstance(value, int) and least <= value < most:
            return value
        text = value.text if isinstance(value, _Literal) else str(value)
        raise self._mismatch(value, shape, path, text)

    def _mismatch(self, value: object, shape: Shape, path: list[str], text: str = "") -> BadRequest:
        what = f"{_kind(value)} {text}".rstrip()
        if not path:
            return BadRequest(f"json: cannot unmarshal {what} into Go value of type {shape.go_type}")
        where = ".".join([self._struct, *path])
        return BadRequest(f"json: cannot unmarshal {what} into Go struct field {where} of type {shape.go_type}")


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _check_depth(value: object, depth: int) -> None:
    waiting = [(value, depth)]
    while waiting:
        item, level = waiting.pop()
        if level > DEPTH_MAX:
            raise BadRequest("exceeded max depth")
        if isinstance(item, dict):
            waiting.extend((inner, level + 1) for inner in item.values())
        elif isinstance(item, list):
            waiting.extend((inner, level + 1) for inner in item)


def _bytes(text: str) -> str:
    """Base64 as Go takes it: padded; what is not says where it goes wrong."""
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        position = next((i for i, c in enumerate(text) if c not in alphabet), len(text) - len(text) % 4)
        raise BadRequest(f"illegal base64 data at input byte {position}") from None
    return text
