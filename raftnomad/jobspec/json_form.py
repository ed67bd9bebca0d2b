"""A job file in JSON becomes the tree that the same file in HCL would be."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from raftnomad.hcl import syntax as s
from raftnomad.hcl.diagnostics import Diagnostic, HclError, Source
from raftnomad.hcl.json_syntax import (
    JsonArray,
    JsonObject,
    JsonText,
    JsonValue,
    Property,
    add_attribute,
    json_expression,
    parse_json,
)
from raftnomad.hcl.parser import parse_expression
from raftnomad.hcl.suggest import suggestion
from raftnomad.jobspec.schema import Form, Nested, Spec, spec_of
from raftnomad.model import submitted

_COMMENT = "//"
_NO_NAMES = frozenset[str]()


class _Shape(msgspec.Struct):
    """What the properties of an object may be: attributes (None: any), and blocks with the shape of their inside.

    A block's own label is called `label`; without one it has none.
    """

    attributes: frozenset[str] | None
    blocks: dict[str, _Shape]
    label: str | None = None
    words: tuple[str, ...] = ()
    """Attributes whose text is not a template but stands for what it would be in HCL without its quotes."""


def json_body(source: Source, diagnostics: list[Diagnostic]) -> s.Body:
    """The tree of a whole job file; raises HclError where it is no JSON."""
    value = parse_json(source)
    return _Conversion(source, diagnostics).body(value, _file_shape(), "file")


def _file_shape() -> _Shape:
    rule = _Shape(frozenset(("condition", "error_message")), {})
    variable = _Shape(frozenset(("type", "default", "description")), {"validation": rule}, "name", ("type",))
    anything = _Shape(None, {})
    job = _shape(Nested("", Form.SINGLE, submitted.Job, "name"))
    return _Shape(_NO_NAMES, {"variable": variable, "variables": anything, "locals": anything, "job": job})


def _shape(nested: Nested) -> _Shape:
    if nested.row_type is None:
        return _Shape(None, {}, nested.label)
    spec = spec_of(nested.row_type)
    maps = [name for name, inner in spec.blocks.items() if inner.form is Form.TEXT_MAP_OR_ATTRIBUTE]
    blocks = {name: _shape(inner) for name, inner in spec.blocks.items() if name not in maps}
    blocks["dynamic"] = _dynamic_shape(spec, blocks)
    return _Shape(frozenset((*spec.attributes, *maps)), blocks, nested.label)


def _dynamic_shape(spec: Spec, blocks: dict[str, _Shape]) -> _Shape:
    """`{"dynamic": {"group": {"for_each": ..., "content": {...}}}}`: what a content is depends on the label."""
    inside = {
        name: _Shape(
            frozenset(("for_each", "labels", "iterator")),
            {"content": _Shape(shape.attributes, shape.blocks)},
            None,
            ("iterator",),
        )
        for name, shape in blocks.items()
    }
    return _Shape(_NO_NAMES, inside, "type")


class _Conversion:
    def __init__(self, source: Source, diagnostics: list[Diagnostic]) -> None:
        self.source = source
        self.diagnostics = diagnostics

    def report(self, summary: str, detail: str, start: int, end: int) -> None:
        found = Diagnostic(summary=summary, detail=detail, source=self.source, start=start, end=end)
        self.diagnostics.append(found)

    def body(self, value: JsonValue, shape: _Shape, name: str) -> s.Body:
        body = s.Body(value.start, value.end, {}, [])
        for one in self.properties(value, name):
            if one.name == _COMMENT:
                continue
            if one.name in shape.blocks:
                self.blocks(body, one, shape.blocks[one.name])
            elif shape.attributes is None or one.name in shape.attributes:
                add_attribute(body, one, self.source)
                if one.name in shape.words and isinstance(one.value, JsonText):
                    body.attributes[one.name].value = self.word(one.value)
            else:
                self.unknown(one, shape)
        return body

    def word(self, text: JsonText) -> s.Expression:
        try:
            expression = parse_expression(Source(self.source.name, text.value))
        except HclError:
            return json_expression(text, self.source)
        expression.start, expression.end = text.start, text.end
        return expression

    def unknown(self, one: Property, shape: _Shape) -> None:
        close = suggestion(one.name, [*sorted(shape.attributes or ()), *shape.blocks])
        hint = f' Did you mean "{close}"?' if close else ""
        detail = f'No argument or block type is named "{one.name}".{hint}'
        self.report("Extraneous JSON object property", detail, one.start, one.end)

    def properties(self, value: JsonValue, name: str) -> Iterator[Property]:
        if isinstance(value, JsonArray):
            for item in value.items:
                yield from self.properties(item, name)
        elif isinstance(value, JsonObject):
            yield from value.properties
        else:
            detail = (
                "Either a JSON object or a JSON array is required, representing the contents of one or more "
                f'"{name}" blocks.'
            )
            self.report("Incorrect JSON value type", detail, value.start, min(value.end, value.start + 1))

    def blocks(self, body: s.Body, one: Property, shape: _Shape) -> None:
        if shape.label is None:
            values = one.value.items if isinstance(one.value, JsonArray) else (one.value,)
            for value in values:
                if isinstance(value, JsonObject) or not _is_null(value):
                    body.blocks.append(self.block(one, value, shape, ()))
            return
        labels = list(self.labels(one, shape.label))
        if not labels:
            detail = (
                f"At least one object property is required, whose name represents the {one.name} block's {shape.label}."
            )
            start = one.value.start
            end = start + 1 if isinstance(one.value, JsonObject | JsonArray) else one.value.end
            self.report("Missing block label", detail, start, end)
        for label in labels:
            values = label.value.items if isinstance(label.value, JsonArray) else (label.value,)
            inner = shape.blocks[label.name] if one.name == "dynamic" and label.name in shape.blocks else shape
            for value in values:
                written = s.Label(label.start, label.end, label.name)
                body.blocks.append(self.block(one, value, inner, (written,)))

    def labels(self, one: Property, label: str) -> Iterator[Property]:
        values = one.value.items if isinstance(one.value, JsonArray) else (one.value,)
        for value in values:
            if isinstance(value, JsonObject):
                yield from (entry for entry in value.properties if entry.name != _COMMENT)
            elif isinstance(one.value, JsonArray):
                detail = f"A JSON object is required here, to specify {label} labels for this block."
                self.report("Incorrect JSON value type", detail, value.start, value.end)
            elif not _is_null(value):
                detail = (
                    "Either a JSON object or JSON array of objects is required here, to specify "
                    f"{label} labels for this block."
                )
                self.report("Incorrect JSON value type", detail, value.start, value.end)

    def block(self, one: Property, value: JsonValue, shape: _Shape, labels: tuple[s.Label, ...]) -> s.Block:
        start = value.start
        return s.Block(start, value.end, one.name, labels, self.body(value, shape, one.name), start)


def _is_null(value: JsonValue) -> bool:
    return getattr(value, "value", value) is None
