"""Functions that encode, decode and digest."""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import json
import re
import urllib.parse
from collections.abc import Callable

from raftnomad.hcl.calls import Function, FunctionError, Parameter
from raftnomad.hcl.numbers import format_number, is_number, parse_number
from raftnomad.hcl.values import HclList, HclMap, HclSet, Value, elements, entries, from_python

_TEXT = Parameter("str", "string")
_JSON_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def _base64decode(text: str) -> str:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise FunctionError(f"failed to decode base64 data '{text}'") from None
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise FunctionError("the result of decoding the the provided string is not valid UTF-8") from None


def to_json(value: Value) -> str:
    """JSON as Go writes it: keys in order, signs of HTML escaped, numbers with all their digits."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        quoted = json.dumps(value, ensure_ascii=False)
        return re.sub("[<>&\u2028\u2029]", lambda found: _JSON_ESCAPES[found[0]], quoted)
    if isinstance(value, tuple | HclList | HclSet):
        return "[" + ",".join(map(to_json, elements(value))) + "]"
    if isinstance(value, dict | HclMap):
        pairs = sorted(entries(value).items(), key=lambda pair: pair[0].encode())
        return "{" + ",".join(f"{to_json(name)}:{to_json(item)}" for name, item in pairs) + "}"
    assert is_number(value)
    return format_number(value)  # type: ignore[arg-type]


def _jsondecode(text: str) -> Value:
    if not text.strip():
        raise FunctionError("EOF")
    decoder = json.JSONDecoder(parse_float=_ExactNumber, parse_int=_ExactNumber)
    try:
        value, end = decoder.raw_decode(text.lstrip())
    except json.JSONDecodeError as error:
        stripped = text.lstrip()
        if error.pos >= len(stripped):
            raise FunctionError("EOF") from None
        raise FunctionError(f"invalid character '{stripped[error.pos]}'") from None
    except RecursionError:
        raise FunctionError("the value is nested too deeply") from None
    if text.lstrip()[end:].strip():
        raise FunctionError("extraneous data after JSON object")
    return _exact(value)


class _ExactNumber(str):
    """A number of a JSON text as it was written."""


def _exact(value: object) -> Value:
    if isinstance(value, _ExactNumber):
        return parse_number(value)
    if isinstance(value, list):
        return tuple(map(_exact, value))
    if isinstance(value, dict):
        return {name: _exact(item) for name, item in value.items()}
    return from_python(value)


def _csvdecode(text: str) -> Value:
    if not text:
        raise FunctionError("missing header line")
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        heading = next(reader)
        for name in heading:
            if heading.count(name) > 1:
                raise FunctionError(f'duplicate column name "{name}"')
        rows: list[Value] = []
        for row in reader:
            if row and len(row) != len(heading):
                raise FunctionError(f"CSV parse error on line {reader.line_num}: wrong number of fields")
            if row:
                rows.append(dict(zip(heading, row, strict=True)))
    except csv.Error:
        message = f'CSV parse error on line {reader.line_num}: extraneous or missing " in quoted-field'
        raise FunctionError(message) from None
    return HclList(tuple(rows), ("object", dict.fromkeys(heading, "string")))


def _urlencode(text: str) -> str:
    return urllib.parse.quote_plus(text, safe="~")


def _yamlencode(value: Value) -> str:
    lines = _yaml_lines(value)
    text = "\n".join(lines) + "\n"
    return text + "...\n" if value is None else text


def _yaml_lines(value: Value) -> list[str]:
    if isinstance(value, tuple | HclList | HclSet) and elements(value):
        lines: list[str] = []
        for item in elements(value):
            first, *others = _yaml_lines(item)
            lines += [f"- {first}", *(f"  {line}" for line in others)]
        return lines
    if isinstance(value, dict | HclMap) and entries(value):
        lines = []
        for name, item in sorted(entries(value).items(), key=lambda pair: pair[0].encode()):
            lines += _yaml_entry(name, item)
        return lines
    if isinstance(value, str) and "\n" in value:
        body = value.rstrip("\n")
        sign = "|" if value.endswith("\n") else "|-"
        return [sign, *(f"  {line}" for line in body.split("\n"))]
    return [to_json(value) if not isinstance(value, str) else json.dumps(value, ensure_ascii=False)]


def _yaml_entry(name: str, item: Value) -> list[str]:
    key = json.dumps(name, ensure_ascii=False)
    inner = _yaml_lines(item)
    if isinstance(item, tuple | HclList | HclSet) and elements(item):
        return [f"{key}:", *inner]
    if isinstance(item, dict | HclMap) and entries(item):
        return [f"{key}:", *(f"  {line}" for line in inner)]
    return [f"{key}: {inner[0]}", *inner[1:]]


def _digest(algorithm: str) -> Function:
    def apply(text: str) -> str:
        return hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()

    return Function(parameters=(_TEXT,), apply=apply)


def _rsadecrypt(text: str, key: str) -> str:
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise FunctionError(f'failed to decode input "{text}": cipher text must be base64-encoded') from None
    try:
        private = load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError):
        raise FunctionError("failed to parse key: no key found") from None
    if not isinstance(private, rsa.RSAPrivateKey):
        raise FunctionError("failed to parse key: an RSA key is needed")
    try:
        return private.decrypt(data, padding.PKCS1v15()).decode()
    except ValueError as error:
        raise FunctionError(f"failed to decrypt: {error}") from None


def not_built(name: str) -> Callable[..., Value]:
    def apply(*_arguments: Value) -> Value:
        raise FunctionError(f"{name} is not built yet")

    return apply


ENCODING_FUNCTIONS: dict[str, Function] = {
    "base64decode": Function(parameters=(_TEXT,), apply=_base64decode),
    "base64encode": Function(parameters=(_TEXT,), apply=lambda text: base64.b64encode(text.encode()).decode()),
    "bcrypt": Function(parameters=(_TEXT,), rest=Parameter("cost", "number"), apply=not_built("bcrypt")),
    "csvdecode": Function(parameters=(_TEXT,), apply=_csvdecode),
    "jsondecode": Function(parameters=(_TEXT,), apply=_jsondecode),
    "jsonencode": Function(parameters=(Parameter("val", nullable=True),), apply=to_json),
    "md5": _digest("md5"),
    "rsadecrypt": Function(
        parameters=(Parameter("ciphertext", "string"), Parameter("privatekey", "string")), apply=_rsadecrypt
    ),
    "sha1": _digest("sha1"),
    "sha256": _digest("sha256"),
    "sha512": _digest("sha512"),
    "urlencode": Function(parameters=(_TEXT,), apply=_urlencode),
    "yamldecode": Function(parameters=(Parameter("src", "string"),), apply=not_built("yamldecode")),
    "yamlencode": Function(parameters=(Parameter("value", nullable=True),), apply=_yamlencode),
}
