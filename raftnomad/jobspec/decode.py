"""A body becomes a struct of the submitted job, as its spec says; every mistake is noted, none ends the reading."""

from __future__ import annotations

from typing import Any

from raftnomad.hcl import syntax as s
from raftnomad.hcl.diagnostics import place
from raftnomad.hcl.evaluator import Scope, evaluate
from raftnomad.hcl.values import is_known, to_python
from raftnomad.jobspec import attributes
from raftnomad.jobspec.attributes import UNUSABLE
from raftnomad.jobspec.blocks import Found, check_labels, check_names, found_blocks, missing_argument
from raftnomad.jobspec.schema import LENIENT, TASK_SCALING, Attribute, Form, Kind, Nested, Spec, spec_of
from raftnomad.jobspec.shorthands import built, check_task_scaling
from raftnomad.model.row import Row


def decode(found: Found, nested: Nested) -> Row:
    """The struct that a block describes; what is wrong in it keeps its default."""
    row_type = nested.row_type
    assert row_type is not None
    spec = spec_of(row_type)
    fields = fields_of(found, spec)
    if nested.label_field is not None:
        fields[nested.label_field] = found.labels[0].text
    return built(row_type, fields, found)


def fields_of(found: Found, spec: Spec) -> dict[str, Any]:
    """What a block says, by the names of the fields that it goes to; shorthands by their own names."""
    body, scope = found.body, found.scope
    blocks = found_blocks(body, spec, scope)
    _check(found, blocks, spec)
    fields: dict[str, Any] = {}
    for name, attribute in spec.attributes.items():
        if name in body.attributes:
            value = _attribute(body.attributes[name], attribute, spec, scope)
            if value is not UNUSABLE:
                fields[attribute.field] = value
    for name, nested in spec.blocks.items():
        alike = [block for block in blocks if block.type == name]
        if nested.form is Form.TEXT_MAP_OR_ATTRIBUTE and name in body.attributes:
            value = _map_attribute(alike, body.attributes[name], name, scope)
        elif nested.form in (Form.REPEATED, Form.NAMED):
            value = _many(alike, nested)
        else:
            value = _one(alike, nested)
        if value is not None and value is not UNUSABLE:
            fields[nested.field] = value
    return fields


def _attribute(written: s.Attribute, attribute: Attribute, spec: Spec, scope: Scope) -> object:
    if spec.row_type in LENIENT:
        return attributes.read_leniently(written, attribute.kind, scope)
    return attributes.read(written.value, attribute.kind, attribute.nullable, scope)


def _check(found: Found, blocks: list[Found], spec: Spec) -> None:
    for name in spec.required:
        if name not in found.body.attributes:
            missing_argument(name, found.open, found.scope)
    maps = [name for name, nested in spec.blocks.items() if nested.form is Form.TEXT_MAP_OR_ATTRIBUTE]
    check_names(found.body, blocks, [*spec.attributes, *maps], list(spec.blocks), found.scope)


def _many(found: list[Found], nested: Nested) -> object:
    kept = [block for block in found if check_labels(block, nested.label)]
    if nested is TASK_SCALING:
        kept = check_task_scaling(kept)
    rows = [decode(block, nested) for block in kept]
    if not rows:
        return None
    if nested.form is Form.NAMED:
        return {block.labels[0].text: row for block, row in zip(kept, rows, strict=True)}
    return tuple(rows)


def _one(found: list[Found], nested: Nested) -> object:
    """The first of blocks of which only one may be there."""
    for extra in found[1:]:
        detail = f"Only one {extra.type} block is allowed. Another was defined at {found[0].where()}."
        extra.scope.report(f"Duplicate {extra.type} block", detail, extra.start, extra.header_end)
    if not found or not check_labels(found[0], nested.label):
        return None
    match nested.form:
        case Form.SINGLE:
            return decode(found[0], nested)
        case Form.FREE:
            return free_body(found[0].body, found[0].scope)
        case Form.TEXTS_MAP:
            return _map(found[0], Kind.TEXTS)
        case _:
            return _map(found[0], Kind.TEXT)


def _map_attribute(found: list[Found], attribute: s.Attribute, name: str, scope: Scope) -> object:
    """A map that is written as an attribute: `meta = { "a.b" = 1 }`."""
    for extra in found:
        where = f"{scope.source.name}:{place(scope.source, attribute.start, attribute.end)}"
        detail = f"{name} may not be defined more than once. Another definition is defined at {where}."
        scope.report(f"Duplicate {name} block", detail, extra.start, extra.type_end)
    return attributes.read(attribute.value, Kind.TEXT_MAP, True, scope)


def _map(found: Found, kind: Kind) -> dict[str, Any]:
    """A block whose attributes may have any name."""
    items: dict[str, Any] = {}
    for name, attribute in found.body.attributes.items():
        if type(attribute.value) is s.Object:
            # What looks like an object counts as a block of that name.
            _no_text(found, kind, attribute.value.start)
            continue
        value = attributes.read(attribute.value, kind, False, found.scope)
        if value is not UNUSABLE:
            items[name] = value
    for block in found.body.blocks:
        _no_text(found, kind, block.open)
    return items


def _no_text(found: Found, kind: Kind, start: int) -> None:
    wanted = "string" if kind is Kind.TEXT else "list of string"
    detail = f"Unsuitable value: {wanted} required, but have tuple"
    found.scope.report("Unsuitable value type", detail, start, start + 1)


def free_body(body: s.Body, scope: Scope) -> dict[str, Any]:
    """A block in which everything is allowed, as drivers get it: inner blocks are lists of maps.

    An object that is written out counts as a block of that name, since in HCL1 it was one.
    """
    result: dict[str, Any] = {}
    for name, attribute in body.attributes.items():
        value = evaluate(attribute.value, scope)
        if not is_known(value):
            start, end = s.start_range(attribute.value)
            scope.report("Unsuitable value type", "Unsuitable value: value must be known", start, end)
        elif value is not None:
            plain = to_python(value)
            result[name] = [plain] if type(attribute.value) is s.Object else plain
    inner: dict[str, list[Any]] = {}
    for block in body.blocks:
        inner.setdefault(block.type, []).append(_free_block(block, scope))
    return {**result, **inner}


def _free_block(block: s.Block, scope: Scope) -> dict[str, Any]:
    content = free_body(block.body, scope)
    for label in reversed(block.labels):
        content = {label.text: [content]}
    return content
