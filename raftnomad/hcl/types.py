"""The type that a variable declares: `list(string)`, `object({ a = number })`."""

from __future__ import annotations

from raftnomad.hcl import syntax as s
from raftnomad.hcl.evaluator import Scope
from raftnomad.hcl.values import Type

_PRIMITIVES = ("string", "number", "bool")
_COLLECTIONS = ("list", "set", "map")
_SUMMARY = "Invalid type specification"
_OBJECT = (
    "Object type constructor requires a map whose keys are attribute names and whose values are the corresponding "
    "attribute types."
)
_TUPLE = "Tuple type constructor requires a list of element types."


def read_type(expression: s.Expression, scope: Scope, allow_any: bool = False) -> Type | None:
    """The type that an expression writes; None after a mistake, which is noted in the scope."""
    if isinstance(expression, s.Traversal) and not expression.steps:
        return "dynamic" if allow_any and expression.root == "any" else _keyword(expression, scope)
    if isinstance(expression, s.Call):
        return _constructor(expression, scope)
    detail = (
        "A type specification is either a primitive type keyword (bool, number, string) or a complex type constructor "
        "call, like list(string)."
    )
    return _wrong(detail, expression, scope)


def _wrong(detail: str, at: s.Expression, scope: Scope) -> Type | None:
    scope.report(_SUMMARY, detail, at.start, at.end)
    return None


def _keyword(node: s.Traversal, scope: Scope) -> Type | None:
    word = node.root
    if word in _PRIMITIVES:
        return word
    if word == "any":
        detail = 'The keyword "any" cannot be used in this type specification: an exact type is required.'
        return _wrong(detail, node, scope)
    if word in _COLLECTIONS:
        return _wrong(f"The {word} type constructor requires one argument specifying the element type.", node, scope)
    if word == "object":
        detail = "The object type constructor requires one argument specifying the attribute types and values as a map."
        return _wrong(detail, node, scope)
    if word == "tuple":
        detail = "The tuple type constructor requires one argument specifying the element types as a list."
        return _wrong(detail, node, scope)
    return _wrong(f'The keyword "{word}" is not a valid type specification.', node, scope)


def _constructor(node: s.Call, scope: Scope) -> Type | None:
    name = node.name
    if name in _PRIMITIVES:
        detail = f'Primitive type keyword "{name}" does not expect arguments.'
        scope.report(_SUMMARY, detail, node.name_end, node.end)
        return None
    if name == "any":
        scope.report(_SUMMARY, 'Primitive type keyword "any" does not expect arguments.', node.name_end, node.end)
        return None
    if name not in (*_COLLECTIONS, "object", "tuple"):
        detail = f'Keyword "{name}" is not a valid type constructor.'
        scope.report(_SUMMARY, detail, node.start, node.end)
        return None
    if len(node.arguments) != 1:
        return _one_argument(node, scope)
    argument = node.arguments[0]
    if name == "object":
        return _object(argument, scope)
    if name == "tuple":
        return _tuple(argument, scope)
    element = read_type(argument, scope)
    return None if element is None else (name, element)


def _one_argument(node: s.Call, scope: Scope) -> Type | None:
    what = {
        "object": "specifying the attribute types and values as a map",
        "tuple": "specifying the element types as a list",
    }.get(node.name, "specifying the element type")
    detail = f"The {node.name} type constructor requires one argument {what}."
    if node.arguments:
        scope.report(_SUMMARY, detail, node.arguments[1].start, node.arguments[-1].end)
    else:
        scope.report(_SUMMARY, detail, node.end - 1, node.end)
    return None


def _object(argument: s.Expression, scope: Scope) -> Type | None:
    if not isinstance(argument, s.Object):
        return _wrong(_OBJECT, argument, scope)
    attributes: dict[str, Type] = {}
    for key, value in argument.items:
        name = key.name if isinstance(key, s.ObjectKey) else key.value if isinstance(key, s.Text) else None
        if name is None:
            return _wrong("Object constructor map keys must be attribute names.", key, scope)
        inner = read_type(value, scope)
        if inner is None:
            return None
        attributes[name] = inner
    return "object", attributes


def _tuple(argument: s.Expression, scope: Scope) -> Type | None:
    if not isinstance(argument, s.Tuple):
        return _wrong(_TUPLE, argument, scope)
    items = [read_type(item, scope) for item in argument.items]
    return None if None in items else ("tuple", tuple(items))
