"""The blocks of a body as they count: each `dynamic` block stands for the blocks that it generates."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from raftnomad.hcl import syntax as s
from raftnomad.hcl.diagnostics import place
from raftnomad.hcl.evaluator import Scope, evaluate
from raftnomad.hcl.suggest import suggestion
from raftnomad.hcl.values import (
    ConversionError,
    HclList,
    HclMap,
    HclSet,
    Unknown,
    Value,
    elements,
    entries,
    name_of,
    to_string,
)
from raftnomad.jobspec.schema import Spec

UNKNOWN_ARGUMENT = "Unsupported argument"


class Found(msgspec.Struct):
    """A block, and what expressions inside of it may know."""

    type: str
    labels: tuple[s.Label, ...]
    body: s.Body
    scope: Scope
    start: int
    header_end: int
    type_end: int
    open: int

    def where(self) -> str:
        source = self.scope.source
        return f"{source.name}:{place(source, self.start, self.header_end)}"


def found_block(block: s.Block, scope: Scope) -> Found:
    if scope.source.text.startswith(("{", "["), block.start):
        # In JSON a block has no header but its brace.
        type_end = header_end = block.start + 1
    else:
        type_end = block.start + len(block.type)
        header_end = block.labels[-1].end if block.labels else type_end
    return Found(block.type, block.labels, block.body, scope, block.start, header_end, type_end, block.open)


def found_blocks(body: s.Body, spec: Spec, scope: Scope) -> list[Found]:
    """In the order of the file; those with unknown names are not reported yet."""
    found: list[Found] = []
    for block in body.blocks:
        if block.type == "dynamic":
            found.extend(_generated(block, spec, scope))
        else:
            found.append(found_block(block, scope))
    return found


def check_labels(found: Found, label: str | None) -> bool:
    """Whether a block has the labels that it must have; `label` is what its one label is called."""
    wanted = 0 if label is None else 1
    if len(found.labels) < wanted:
        detail = f"All {found.type} blocks must have 1 labels ({label})."
        found.scope.report(f"Missing {label} for {found.type}", detail, found.open, found.open + 1)
        return False
    if len(found.labels) > wanted:
        extra = found.labels[wanted]
        detail = f"No labels are expected for {found.type} blocks."
        if wanted:
            detail = f"Only 1 labels ({label}) are expected for {found.type} blocks."
        found.scope.report(f"Extraneous label for {found.type}", detail, extra.start, extra.end)
        return False
    return True


def check_names(
    body: s.Body, found: Sequence[Found], attributes: Sequence[str], blocks: Sequence[str], scope: Scope
) -> None:
    """Reports every attribute and block that is not known here."""
    for name, attribute in body.attributes.items():
        if name not in attributes:
            unknown_attribute(name, attribute, body, attributes, blocks, scope)
    for block in found:
        if block.type not in blocks:
            unknown_block(block, attributes, blocks)


def unknown_attribute(
    name: str, attribute: s.Attribute, body: s.Body, attributes: Sequence[str], blocks: Sequence[str], scope: Scope
) -> None:
    hint = ""
    if name in blocks:
        hint = f' Did you mean to define a block of type "{name}"?'
    elif close := suggestion(name, (one for one in attributes if one not in body.attributes)):
        hint = f' Did you mean "{close}"?'
    detail = f'An argument named "{name}" is not expected here.{hint}'
    scope.report(UNKNOWN_ARGUMENT, detail, attribute.start, attribute.start + len(name))


def unknown_block(found: Found, attributes: Sequence[str], blocks: Sequence[str]) -> None:
    hint = ""
    if found.type in attributes:
        hint = f' Did you mean to define argument "{found.type}"? If so, use the equals sign to assign it a value.'
    elif close := suggestion(found.type, blocks):
        hint = f' Did you mean "{close}"?'
    detail = f'Blocks of type "{found.type}" are not expected here.{hint}'
    found.scope.report("Unsupported block type", detail, found.start, found.type_end)


def missing_argument(name: str, open_at: int, scope: Scope) -> None:
    detail = f'The argument "{name}" is required, but no definition was found.'
    scope.report("Missing required argument", detail, open_at, open_at)


def _generated(block: s.Block, spec: Spec, scope: Scope) -> list[Found]:
    dynamic = found_block(block, scope)
    if not check_labels(dynamic, "type"):
        return []
    label = block.labels[0]
    nested = spec.blocks.get(label.text)
    if nested is None:
        detail = f'Blocks of type "{label.text}" are not expected here.'
        scope.report("Unsupported block type", detail, label.start, label.end)
        return []
    wants_labels = nested.label is not None
    content = _content(dynamic, wants_labels)
    iterator = _iterator(dynamic, label.text)
    pairs = _pairs(dynamic)
    if content is None or iterator is None or pairs is None:
        return []
    result: list[Found] = []
    for key, value in pairs:
        inner = scope.with_names({iterator: {"key": key, "value": value}})
        labels = _labels(dynamic, inner) if wants_labels else ()
        if labels is not None:
            header = dynamic.header_end
            result.append(Found(label.text, labels, content.body, inner, block.start, header, header, content.open))
    return result


def _content(dynamic: Found, wants_labels: bool) -> s.Block | None:
    body, scope = dynamic.body, dynamic.scope
    known = ["for_each", "iterator", "labels"] if wants_labels else ["for_each", "iterator"]
    before = len(scope.diagnostics)
    for name in ("for_each", "labels") if wants_labels else ("for_each",):
        if name not in body.attributes:
            missing_argument(name, dynamic.open, scope)
    inside = [found_block(block, scope) for block in body.blocks]
    check_names(body, inside, known, ("content",), scope)
    contents = [block for block in body.blocks if block.type == "content"]
    if not contents:
        detail = (
            'A dynamic block must have a nested block of type "content" to describe the body of each generated block.'
        )
        scope.report("Missing dynamic content block", detail, dynamic.open, dynamic.open)
    for extra in contents[1:]:
        detail = "Only one nested content block is allowed for each dynamic block."
        scope.report("Extraneous dynamic content block", detail, extra.start, extra.start + len("content"))
    return contents[0] if len(scope.diagnostics) == before else None


def _iterator(dynamic: Found, default: str) -> str | None:
    attribute = dynamic.body.attributes.get("iterator")
    if attribute is None:
        return default
    value = attribute.value
    if not isinstance(value, s.Traversal):
        detail = (
            "A single static variable reference is required: only attribute access and indexing with constant keys. "
            "No calculations, function calls, template expressions, etc are allowed here."
        )
        dynamic.scope.report("Invalid expression", detail, value.start, value.end)
        return None
    if value.steps:
        detail = "Dynamic iterator must be a single variable name."
        dynamic.scope.report("Invalid dynamic iterator name", detail, value.start, value.end)
        return None
    return value.root


def _pairs(dynamic: Found) -> list[tuple[Value, Value]] | None:
    attribute = dynamic.body.attributes.get("for_each")
    if attribute is None:
        return None
    value = evaluate(attribute.value, dynamic.scope)
    if isinstance(value, dict | HclMap):
        return [(key, item) for key, item in sorted(entries(value).items())]
    if isinstance(value, HclSet):
        return [(item, item) for item in value.items]
    if isinstance(value, tuple | HclList):
        return list(enumerate(elements(value)))
    if isinstance(value, Unknown):
        return None
    if value is None:
        detail = "Cannot use a null value in for_each."
    else:
        detail = f"Cannot use a {name_of(value)} value in for_each. An iterable collection is required."
    start, end = attribute.value.start, attribute.value.end
    dynamic.scope.report("Invalid dynamic for_each value", detail, start, end)
    return None


def _labels(dynamic: Found, scope: Scope) -> tuple[s.Label, ...] | None:
    expression = dynamic.body.attributes["labels"].value
    if not isinstance(expression, s.Tuple):
        scope.report("Invalid expression", "A static list expression is required.", *s.start_range(expression))
        return None
    labels: list[s.Label] = []
    for item in expression.items:
        value = evaluate(item, scope)
        if isinstance(value, Unknown):
            return None
        try:
            if value is None:
                raise ConversionError("Cannot use a null value as a dynamic block label.")
            labels.append(s.Label(item.start, item.end, to_string(value)))
        except ConversionError as error:
            detail = str(error) if value is None else f"Cannot use this value as a dynamic block label: {error}."
            scope.report("Invalid dynamic block label", detail, item.start, item.end)
            return None
    return tuple(labels)
