"""The tree that a file becomes. Every node has the offsets of its first character and of the one after its last."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from raftnomad.hcl.diagnostics import Diagnostic, Source
from raftnomad.hcl.numbers import Number


class Node(msgspec.Struct, gc=False):
    start: int
    end: int


class Literal(Node, gc=False):
    """A number, true, false, null, or a piece of text inside a template."""

    value: Number | str | bool | None


class Text(Node, gc=False):
    """A quoted text or a heredoc without any template sequence; `inside` is where its content begins."""

    value: str
    inside: int
    inside_end: int


class Template(Node, gc=False):
    """A quoted text or a heredoc made of several parts."""

    parts: tuple[Expression, ...]


class TemplateWrap(Node, gc=False):
    """`"${x}"`: a template of nothing but one interpolation, which keeps the type of its value."""

    wrapped: Interpolation


class Interpolation(Node, gc=False):
    """`${ x }`; `verbatim` unless it has strip markers."""

    expression: Expression
    verbatim: bool


class TemplateJoin(Node, gc=False):
    """A `%{ for }` directive: the texts that its loop gives, one after the other."""

    loop: For


class AttributeStep(Node, gc=False):
    name: str


class IndexStep(Node, gc=False):
    """An index that is written out: `[0]`, `["a"]`, `.0`."""

    key: Number | str | bool | None


Step: TypeAlias = AttributeStep | IndexStep


class Traversal(Node, gc=False):
    """A name and the way from it: `var.image`, `node.list[0]`; `root_end` is where the name ends."""

    root: str
    root_end: int
    steps: tuple[Step, ...]


class RelativeTraversal(Node, gc=False):
    """The same from the value of another expression: `f(x).a[0]`."""

    source: Expression
    steps: tuple[Step, ...]


class Index(Node, gc=False):
    """`collection[key]` with a key that has to be evaluated."""

    collection: Expression
    key: Expression
    open: int


class SplatItem(Node, gc=False):
    """Stands, inside of a splat, for the element that it is at."""


class Splat(Node, gc=False):
    """`source[*].each` or `source.*.each`; `marker` is where `[*]` or `.*` begins."""

    source: Expression
    each: Expression
    marker: int
    marker_end: int


class Call(Node, gc=False):
    name: str
    name_end: int
    arguments: tuple[Expression, ...]
    expands: bool


class Unary(Node, gc=False):
    operator: str
    operand: Expression


class Binary(Node, gc=False):
    operator: str
    left: Expression
    right: Expression


class Conditional(Node, gc=False):
    condition: Expression
    yes: Expression
    no: Expression


class Parentheses(Node, gc=False):
    inner: Expression


class Tuple(Node, gc=False):
    items: tuple[Expression, ...]


class ObjectKey(Node, gc=False):
    """A bare word as a key: its own text."""

    name: str


class Object(Node, gc=False):
    items: tuple[tuple[Expression, Expression], ...]


class PlainObject(Object, gc=False):
    """An object of a JSON file, which never counts as a block."""


class For(Node, gc=False):
    """`[for v in c : e if i]` and `{for k, v in c : key => e... if i}`."""

    key_name: str | None
    value_name: str
    collection: Expression
    key: Expression | None
    value: Expression
    condition: Expression | None
    grouped: bool


class Embedded(Node, gc=False):
    """An expression from a text of its own, such as a JSON string with escapes; mistakes point to all of it."""

    text_source: Source
    expression: Expression


class Broken(Node, gc=False):
    """A text that is no template; what is wrong with it is told when its value is asked for."""

    diagnostics: tuple[Diagnostic, ...]


Expression: TypeAlias = (
    Literal
    | Text
    | Template
    | TemplateWrap
    | Interpolation
    | TemplateJoin
    | Traversal
    | RelativeTraversal
    | Index
    | SplatItem
    | Splat
    | Call
    | Unary
    | Binary
    | Conditional
    | Parentheses
    | Tuple
    | ObjectKey
    | Object
    | For
    | Embedded
    | Broken
)


class Attribute(Node, gc=False):
    """`name = value`; the node spans all of it."""

    name: str
    value: Expression


class Label(Node, gc=False):
    text: str


class Block(Node, gc=False):
    """`type "label" { ... }`; `open` is where its brace stands."""

    type: str
    labels: tuple[Label, ...]
    body: Body
    open: int


class Body(Node, gc=False):
    """Attributes by name, and blocks in their order."""

    attributes: dict[str, Attribute]
    blocks: list[Block]


def start_range(expression: Expression) -> tuple[int, int]:
    """Where an expression begins, as the range that messages about its value point to."""
    match expression:
        case Text(inside=inside, inside_end=inside_end, end=end):
            return (inside, inside_end) if inside_end > inside else (end, end)
        case Template(parts=parts) if parts:
            return start_range(parts[0])
        case Binary(left=left):
            return start_range(left)
        case Conditional(condition=condition):
            return start_range(condition)
        case Call(start=start, name_end=name_end):
            return start, name_end + 1
        case Index(open=opening):
            return opening, opening + 1
        case Unary(start=start) | Tuple(start=start) | Object(start=start) | For(start=start):
            return start, start + 1
        case Splat(marker=marker, marker_end=marker_end):
            return marker, marker_end
        case Interpolation(expression=inner):
            return start_range(inner)
        case _:
            return expression.start, expression.end
