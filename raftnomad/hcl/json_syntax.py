"""JSON as a way to write HCL: values with their places, texts as templates.

Whether a property is an attribute or a block only its reader knows; `json_values` reads attributes alone.
"""

from __future__ import annotations

import json
import re
from typing import NoReturn, TypeAlias

import msgspec

from raftnomad.hcl import syntax as s
from raftnomad.hcl.diagnostics import Diagnostic, HclError, Source, place
from raftnomad.hcl.expressions import DEPTH_MAX, normalized
from raftnomad.hcl.numbers import Number, parse_number
from raftnomad.hcl.parser import parse_template

_BLANKS = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])")
_WORD = re.compile(r"\w+")
_START = "A JSON value must start with a brace, a bracket, a number, a string, or a keyword."


class JsonText(s.Node, gc=False):
    value: str


class JsonLiteral(s.Node, gc=False):
    value: Number | bool | None


class JsonArray(s.Node, gc=False):
    items: tuple[JsonValue, ...]


class Property(s.Node, gc=False):
    """`"name": value`; the node spans the key with its quotes."""

    name: str
    value: JsonValue


class JsonObject(s.Node, gc=False):
    properties: tuple[Property, ...]


JsonValue: TypeAlias = JsonText | JsonLiteral | JsonArray | JsonObject


def parse_json(source: Source) -> JsonValue:
    """The one value of a file; raises HclError."""
    reader = _Reader(source)
    value = reader.value(0)
    reader.skip()
    if reader.position < len(source.text):
        reader.fail("Extraneous data after value", "Extra characters appear after the JSON value.")
    return value


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.position = 1 if source.text.startswith("\ufeff") else 0

    def skip(self) -> None:
        blanks = _BLANKS.match(self.text, self.position)
        assert blanks is not None
        self.position = blanks.end()

    def fail(self, summary: str, detail: str, start: int | None = None, end: int | None = None) -> NoReturn:
        raise self.error(summary, detail, start, end)

    def error(self, summary: str, detail: str, start: int | None = None, end: int | None = None) -> HclError:
        first = self.position if start is None else start
        last = min(first + 1, len(self.text)) if end is None else end
        return HclError((Diagnostic(summary=summary, detail=detail, source=self.source, start=first, end=last),))

    def value(self, depth: int) -> JsonValue:
        if depth > DEPTH_MAX:
            self.fail("Nested too deeply", f"JSON values may nest at most {DEPTH_MAX} deep.")
        self.skip()
        start = self.position
        first = self.text[start : start + 1]
        if first == "{":
            return self.object(depth)
        if first == "[":
            return self.array(depth)
        if first == '"':
            return self.string()
        if first and (first in "-" or first.isdigit()):
            return self.number()
        word = _WORD.match(self.text, start)
        if word is None:
            summary = "Missing JSON value" if first in ("", "}", "]", ",", ":") else "Invalid start of value"
            self.fail(summary, _START)
        self.position = word.end()
        if word[0] in ("true", "false", "null"):
            return JsonLiteral(start, word.end(), {"true": True, "false": False, "null": None}[word[0]])
        detail = f'"{word[0]}" is not a valid JSON keyword.'
        if word[0] in ("NaN", "Infinity", "undefined"):
            detail = f'The JavaScript identifier "{word[0]}" cannot be used in JSON.'
        raise self.error("Invalid JSON keyword", detail, start, word.end())

    def number(self) -> JsonLiteral:
        start = self.position
        number = _NUMBER.match(self.text, start)
        if number is None:
            word = re.compile(r"[-+.\w]+").match(self.text, start)
            assert word is not None
            detail = "There is a syntax error in the given JSON number."
            self.fail("Invalid JSON number", detail, start, word.end())
        self.position = number.end()
        try:
            return JsonLiteral(start, number.end(), parse_number(number[0]))
        except ValueError:
            self.fail("Invalid JSON number", "There is a syntax error in the given JSON number.", start, number.end())

    def string(self) -> JsonText:
        start = self.position
        string = _STRING.match(self.text, start)
        if string is None:
            self.fail("Invalid JSON string", "There is a syntax error in the given JSON string.", start)
        try:
            value = json.loads(string[0])
        except json.JSONDecodeError as error:
            place = start + error.pos
            self.fail("Invalid JSON string", "There is a syntax error in the given JSON string.", place + 1, place + 2)
        self.position = string.end()
        return JsonText(start, string.end(), value)

    def array(self, depth: int) -> JsonArray:
        start = self.position
        self.position += 1
        items: list[JsonValue] = []
        while True:
            self.skip()
            if self.closes("]", bool(items), "array", "JSON does not permit a trailing comma after the final value"):
                return JsonArray(start, self.position, tuple(items))
            items.append(self.value(depth + 1))
            self.separate("]", "array", start)

    def object(self, depth: int) -> JsonObject:
        start = self.position
        self.position += 1
        properties: list[Property] = []
        while True:
            self.skip()
            trailing = "JSON does not permit a trailing comma after the final property"
            if self.closes("}", bool(properties), "object", trailing):
                return JsonObject(start, self.position, tuple(properties))
            if self.position >= len(self.text):
                self.fail("Unclosed object", "No closing brace was found for this JSON object.", start)
            if self.text[self.position] != '"':
                self.value(depth + 1)
                self.fail("Invalid object property name", "A JSON object property name must be a string.")
            key = self.string()
            self.skip()
            if self.text[self.position : self.position + 1] != ":":
                detail = "A colon must separate an object property name from its value."
                self.fail("Missing property value colon", detail)
            self.position += 1
            properties.append(Property(key.start, key.end, key.value, self.value(depth + 1)))
            self.separate("}", "object", start)

    def closes(self, bracket: str, after_comma: bool, what: str, trailing: str) -> bool:
        if self.text[self.position : self.position + 1] != bracket:
            return False
        if after_comma and self.text[: self.position].rstrip().endswith(","):
            comma = self.text.rindex(",", 0, self.position)
            self.fail(f"Trailing comma in {what}", f"{trailing} in {'an' if what[0] in 'ao' else 'a'} {what}.", comma)
        self.position += 1
        return True

    def separate(self, bracket: str, what: str, start: int) -> None:
        self.skip()
        following = self.text[self.position : self.position + 1]
        if following == ",":
            self.position += 1
        elif following == "":
            name = {"}": "brace", "]": "bracket"}[bracket]
            self.fail(f"Unclosed {what}", f"No closing {name} was found for this JSON {what}.", start)
        elif following != bracket:
            item = {"object": "property definitions in an object", "array": "items in an array"}[what]
            self.fail("Missing attribute separator", f"A comma must appear between {item}.")


def json_expression(value: JsonValue, source: Source) -> s.Expression:
    """The expression that a value stands for: texts are templates, and so are the keys of objects."""
    match value:
        case JsonLiteral(start=start, end=end, value=literal):
            return s.Literal(start, end, literal)
        case JsonText():
            return _template(value, source)
        case JsonArray(start=start, end=end, items=items):
            return s.Tuple(start, end, tuple(json_expression(item, source) for item in items))
        case JsonObject(start=start, end=end, properties=properties):
            pairs = tuple(
                (
                    _template(JsonText(one.start, one.end, one.name), source),
                    json_expression(one.value, source),
                )
                for one in properties
            )
            return s.PlainObject(start, end, pairs)


def _template(text: JsonText, source: Source) -> s.Expression:
    """A text without a template sequence is itself; one without escapes is read where it stands."""
    start, end = text.start, text.end
    if "${" not in text.value and "%{" not in text.value:
        return s.Text(start, end, normalized(text.value), start, end)
    plain = source.text[start + 1 : end - 1] == text.value
    inner_source = msgspec.structs.replace(source, text=source.text[: end - 1] if plain else text.value)
    try:
        inner = parse_template(inner_source, start + 1 if plain else 0)
    except HclError as error:
        return s.Broken(start, end, tuple(_moved(one, text, source, plain) for one in error.diagnostics))
    inner.start, inner.end = (start, end) if plain else (inner.start, inner.end)
    return inner if plain else s.Embedded(start, end, inner_source, inner)


def _moved(diagnostic: Diagnostic, text: JsonText, source: Source, plain: bool) -> Diagnostic:
    if plain:
        return msgspec.structs.replace(diagnostic, source=source)
    return msgspec.structs.replace(diagnostic, source=source, start=text.start, end=text.end)


def json_values(source: Source) -> s.Body:
    """A file whose properties are all attributes; raises HclError."""
    value = parse_json(source)
    body = s.Body(0, len(source.text), {}, [])
    for one in properties_of(value, source):
        add_attribute(body, one, source)
    return body


def properties_of(value: JsonValue, source: Source) -> tuple[Property, ...]:
    """What an object says, or several objects in a list."""
    if isinstance(value, JsonArray):
        return tuple(one for item in value.items for one in properties_of(item, source))
    if isinstance(value, JsonObject):
        return value.properties
    detail = "A JSON object is required here, to represent the contents of this block."
    raise HclError(
        (
            Diagnostic(
                summary="Incorrect JSON value type", detail=detail, source=source, start=value.start, end=value.end
            ),
        )
    )


def add_attribute(body: s.Body, one: Property, source: Source) -> None:
    before = body.attributes.get(one.name)
    if before is not None:
        where = f"{source.name}:{place(source, before.start, before.end)}"
        detail = f'The argument "{one.name}" was already set at {where}.'
        raise HclError(
            (Diagnostic(summary="Duplicate argument", detail=detail, source=source, start=one.start, end=one.end),)
        )
    body.attributes[one.name] = s.Attribute(one.start, one.value.end, one.name, json_expression(one.value, source))
