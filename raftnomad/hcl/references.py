"""Which names an expression refers to."""

from __future__ import annotations

from collections.abc import Iterator

from raftnomad.hcl import syntax as s


def references(expression: s.Expression) -> Iterator[s.Traversal]:
    """Every reference in an expression, in its order, but for the names that its own loops give."""
    yield from _references(expression, frozenset())


def _references(node: s.Expression, own: frozenset[str]) -> Iterator[s.Traversal]:
    if isinstance(node, s.Traversal):
        if node.root not in own:
            yield node
        return
    if isinstance(node, s.For):
        yield from _references(node.collection, own)
        inner = own | {name for name in (node.key_name, node.value_name) if name}
        for part in (node.key, node.value, node.condition):
            if part is not None:
                yield from _references(part, inner)
        return
    for child in _children(node):
        yield from _references(child, own)


def _children(node: s.Expression) -> tuple[s.Expression, ...]:
    match node:
        case s.Template(parts=parts):
            return parts
        case s.TemplateWrap(wrapped=inner):
            return (inner,)
        case s.Interpolation(expression=inner) | s.Parentheses(inner=inner) | s.Unary(operand=inner):
            return (inner,)
        case s.Embedded(expression=inner) | s.RelativeTraversal(source=inner):
            return (inner,)
        case s.TemplateJoin(loop=loop):
            return (loop,)
        case s.Index(collection=collection, key=key):
            return collection, key
        case s.Splat(source=source, each=each):
            return source, each
        case s.Call(arguments=arguments):
            return arguments
        case s.Binary(left=left, right=right):
            return left, right
        case s.Conditional(condition=condition, yes=yes, no=no):
            return condition, yes, no
        case s.Tuple(items=items):
            return items
        case s.Object(items=pairs):
            return tuple(part for pair in pairs for part in pair)
        case _:
            return ()
