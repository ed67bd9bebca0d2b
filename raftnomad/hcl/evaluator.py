"""Expressions become values.

A mistake is noted in the scope and the value is then UNKNOWN, so that one evaluation finds all mistakes. A name that
the scope does not know stays as the text `${...}`: it is for the node that runs the task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from raftnomad.hcl import syntax as s
from raftnomad.hcl.calls import Function, call_function
from raftnomad.hcl.diagnostics import Diagnostic, Source
from raftnomad.hcl.operators import BINARY_OPERATORS, UNARY_OPERATORS, OperationError
from raftnomad.hcl.traversal import StepError, take_step
from raftnomad.hcl.values import (
    UNKNOWN,
    ConversionError,
    HclList,
    HclMap,
    HclSet,
    Unknown,
    Value,
    convert,
    elements,
    entries,
    name_of,
    to_bool,
    to_string,
    type_name,
    type_of,
    unify,
)


class Scope(msgspec.Struct, kw_only=True):
    """What an expression may know, and what was found to be wrong with it.

    Without variables (None) every name is a mistake, without functions every call. `keeps_unknown` decides what a
    name that is not there means.
    """

    source: Source
    variables: Mapping[str, Value] | None
    functions: Mapping[str, Function] | None
    diagnostics: list[Diagnostic]
    keeps_unknown: bool = True
    splat_item: Value = None

    def report(self, summary: str, detail: str, start: int, end: int) -> Unknown:
        self.diagnostics.append(Diagnostic(summary=summary, detail=detail, source=self.source, start=start, end=end))
        return UNKNOWN

    def with_names(self, names: Mapping[str, Value]) -> Scope:
        return msgspec.structs.replace(self, variables={**(self.variables or {}), **names})

    def apart(self) -> Scope:
        """The same scope with a list of its own for what is wrong."""
        return msgspec.structs.replace(self, diagnostics=[])


def evaluate(expression: s.Expression, scope: Scope) -> Value:
    """The value of an expression; after a mistake, which is noted in the scope, UNKNOWN."""
    return _RULES[type(expression)](expression, scope)


def _literal(node: s.Literal, scope: Scope) -> Value:
    return node.value


def _text(node: s.Text, scope: Scope) -> Value:
    return node.value


def _object_key(node: s.ObjectKey, scope: Scope) -> Value:
    return node.name


def _template(node: s.Template, scope: Scope) -> Value:
    texts: list[str] = []
    known = True
    for part in node.parts:
        value = evaluate(part, scope)
        if isinstance(value, Unknown):
            known = False
            continue
        start, end = _inner_range(part)
        if value is None:
            detail = "The expression result is null. Cannot include a null value in a string template."
            scope.report("Invalid template interpolation value", detail, start, end)
            continue
        try:
            texts.append(to_string(value))
        except ConversionError as error:
            detail = f"Cannot include the given value in a string template: {error}."
            scope.report("Invalid template interpolation value", detail, start, end)
    return "".join(texts) if known else UNKNOWN


def _inner_range(part: s.Expression) -> tuple[int, int]:
    inner = part.expression if isinstance(part, s.Interpolation) else part
    return inner.start, inner.end


def _template_wrap(node: s.TemplateWrap, scope: Scope) -> Value:
    return evaluate(node.wrapped, scope)


def _interpolation(node: s.Interpolation, scope: Scope) -> Value:
    inner = node.expression
    if node.verbatim and isinstance(inner, s.Traversal) and _stays(inner, scope):
        return scope.source.text[node.start : node.end]
    return evaluate(inner, scope)


def _template_join(node: s.TemplateJoin, scope: Scope) -> Value:
    items = evaluate(node.loop, scope)
    if not isinstance(items, tuple) or UNKNOWN in items:
        return UNKNOWN
    return "".join(map(to_string, items))


def _stays(node: s.Traversal, scope: Scope) -> bool:
    return scope.keeps_unknown and scope.variables is not None and node.root not in scope.variables


def _traversal(node: s.Traversal, scope: Scope) -> Value:
    if scope.variables is None:
        return scope.report("Variables not allowed", "Variables may not be used here.", node.start, node.root_end)
    if node.root in scope.variables:
        return _steps(scope.variables[node.root], node.steps, scope)
    if scope.keeps_unknown:
        return "${" + scope.source.text[node.start : node.end] + "}"
    return scope.report("Unknown variable", f'There is no variable named "{node.root}".', node.start, node.root_end)


def _relative_traversal(node: s.RelativeTraversal, scope: Scope) -> Value:
    return _steps(evaluate(node.source, scope), node.steps, scope)


def _steps(value: Value, steps: tuple[s.Step, ...], scope: Scope) -> Value:
    for step in steps:
        value = _step(value, step, scope, step.start, step.end)
    return value


def _step(value: Value, step: s.Step, scope: Scope, start: int, end: int) -> Value:
    try:
        if isinstance(step, s.AttributeStep):
            return take_step(value, step.name, attribute=True)
        return take_step(value, step.key, attribute=False)
    except StepError as error:
        return scope.report(error.summary, error.detail, start, end)


def _index(node: s.Index, scope: Scope) -> Value:
    collection = evaluate(node.collection, scope)
    key = evaluate(node.key, scope)
    try:
        return take_step(collection, key, attribute=False)
    except StepError as error:
        return scope.report(error.summary, error.detail, node.open, node.end)


def _splat_item(node: s.SplatItem, scope: Scope) -> Value:
    return scope.splat_item


def _splat(node: s.Splat, scope: Scope) -> Value:
    source = evaluate(node.source, scope)
    if isinstance(source, Unknown):
        return UNKNOWN
    if source is None:
        return ()
    items = elements(source) if isinstance(source, tuple | HclList | HclSet) else (source,)
    results = []
    for item in items:
        results.append(evaluate(node.each, msgspec.structs.replace(scope, splat_item=item)))
    return tuple(results)


def _call(node: s.Call, scope: Scope) -> Value:
    return call_function(node, scope, evaluate)


def _unary(node: s.Unary, scope: Scope) -> Value:
    operand_type, operation = UNARY_OPERATORS[node.operator]
    operand = _operand(evaluate(node.operand, scope), operand_type, "unary", node.operand, scope)
    return _operate(lambda: operation(operand), [operand], node, scope)


def _binary(node: s.Binary, scope: Scope) -> Value:
    operand_type, operation = BINARY_OPERATORS[node.operator]
    left = _operand(evaluate(node.left, scope), operand_type, "left", node.left, scope)
    right = _operand(evaluate(node.right, scope), operand_type, "right", node.right, scope)
    return _operate(lambda: operation(left, right), [left, right], node, scope)


def _operand(value: Value, wanted: str, side: str, node: s.Expression, scope: Scope) -> Value:
    try:
        return convert(value, wanted)
    except ConversionError as error:
        detail = f"Unsuitable value for {side} operand: {error}."
        return scope.report("Invalid operand", detail, node.start, node.end)


def _operate(operation: Callable[[], Value], operands: list[Value], node: s.Expression, scope: Scope) -> Value:
    if any(isinstance(operand, Unknown) for operand in operands):
        return UNKNOWN
    try:
        return operation()
    except OperationError as error:
        detail = f"Error during operation: {error}."
        return scope.report("Operation failed", detail, node.start, node.end)


def _conditional(node: s.Conditional, scope: Scope) -> Value:
    """Both branches have their say about the type, but mistakes count only in the branch that is taken."""
    yes_scope, no_scope = scope.apart(), scope.apart()
    yes, no = evaluate(node.yes, yes_scope), evaluate(node.no, no_scope)
    wanted = unify([type_of(yes), type_of(no)])
    if wanted is None:
        detail = (
            "The true and false result expressions must have consistent types. "
            f"The 'true' value is {type_name(type_of(yes))}, but the 'false' value is {type_name(type_of(no))}."
        )
        return scope.report("Inconsistent conditional result types", detail, node.yes.start, node.no.end)
    condition = evaluate(node.condition, scope)
    if isinstance(condition, Unknown):
        return UNKNOWN
    start, end = node.condition.start, node.condition.end
    if condition is None:
        detail = "The condition value is null. Conditions must either be true or false."
        return scope.report("Null condition", detail, start, end)
    try:
        taken = to_bool(condition)
    except ConversionError:
        detail = "The condition expression must be of type bool."
        return scope.report("Incorrect condition type", detail, start, end)
    scope.diagnostics.extend((yes_scope if taken else no_scope).diagnostics)
    return convert(yes if taken else no, wanted)


def _parentheses(node: s.Parentheses, scope: Scope) -> Value:
    return evaluate(node.inner, scope)


def _tuple(node: s.Tuple, scope: Scope) -> Value:
    return tuple([evaluate(item, scope) for item in node.items])


def _object(node: s.Object, scope: Scope) -> Value:
    result: dict[str, Value] = {}
    known = True
    for key_node, value_node in node.items:
        key = _object_key_text(key_node, scope)
        value = evaluate(value_node, scope)
        if key is None:
            known = False
        else:
            result[key] = value
    return result if known else UNKNOWN


def _object_key_text(node: s.Expression, scope: Scope) -> str | None:
    if isinstance(node, s.Traversal):
        detail = (
            "If this expression is intended to be a reference, wrap it in parentheses. If it's instead intended as a "
            "literal name containing periods, wrap it in quotes to create a string literal."
        )
        scope.report("Ambiguous attribute key", detail, node.start, node.end)
        return None
    key = evaluate(node, scope)
    if isinstance(key, Unknown):
        return None
    if key is None:
        scope.report("Null value as key", "Can't use a null value as a key.", node.start, node.end)
        return None
    try:
        return to_string(key)
    except ConversionError as error:
        scope.report("Incorrect key type", f"Can't use this value as a key: {error}.", node.start, node.end)
        return None


def _for(node: s.For, scope: Scope) -> Value:
    collection = evaluate(node.collection, scope)
    if isinstance(collection, Unknown):
        return UNKNOWN
    start, end = node.collection.start, node.collection.end
    if collection is None:
        detail = "A null value cannot be used as the collection in a 'for' expression."
        return scope.report("Iteration over null value", detail, start, end)
    if isinstance(collection, dict | HclMap):
        pairs: list[tuple[Value, Value]] = [(key, item) for key, item in sorted(entries(collection).items())]
    elif isinstance(collection, tuple | HclList):
        pairs = list(enumerate(elements(collection)))
    elif isinstance(collection, HclSet):
        pairs = [(item, item) for item in collection.items]
    else:
        detail = f"A value of type {name_of(collection)} cannot be used as the collection in a 'for' expression."
        return scope.report("Iteration over non-iterable value", detail, start, end)
    return _loop(node, pairs, scope)


def _loop(node: s.For, pairs: list[tuple[Value, Value]], scope: Scope) -> Value:
    items: list[Value] = []
    groups: dict[str, list[Value]] = {}
    known = True
    for key, item in pairs:
        inner = scope.with_names(
            {node.key_name: key, node.value_name: item} if node.key_name else {node.value_name: item}
        )
        included = _included(node, inner)
        known = known and included is not None
        if not included:
            continue
        if node.key is None:
            items.append(evaluate(node.value, inner))
            continue
        name = _loop_key(node, inner)
        value = evaluate(node.value, inner)
        if name is None:
            known = False
        elif name in groups and not node.grouped:
            detail = (
                f"Two different items produced the key \"{name}\" in this 'for' expression. If duplicates are "
                "expected, use the ellipsis (...) after the value expression to enable grouping by key."
            )
            scope.report("Duplicate object key", detail, node.key.start, node.key.end)
            known = False
        else:
            groups.setdefault(name, []).append(value)
    if not known:
        return UNKNOWN
    if node.key is None:
        return tuple(items)
    return {name: tuple(group) if node.grouped else group[0] for name, group in groups.items()}


def _included(node: s.For, scope: Scope) -> bool | None:
    if node.condition is None:
        return True
    condition = evaluate(node.condition, scope)
    start, end = node.condition.start, node.condition.end
    if isinstance(condition, Unknown):
        return None
    if condition is None:
        scope.report("Condition is null", "The value of the 'if' clause must not be null.", start, end)
        return None
    try:
        return to_bool(condition)
    except ConversionError as error:
        scope.report("Invalid 'for' condition", f"The 'if' clause value is invalid: {error}.", start, end)
        return None


def _loop_key(node: s.For, scope: Scope) -> str | None:
    assert node.key is not None
    key = evaluate(node.key, scope)
    start, end = node.key.start, node.key.end
    if isinstance(key, Unknown):
        return None
    if key is None:
        detail = "Key expression in 'for' expression must not produce a null value."
        scope.report("Invalid object key", detail, start, end)
        return None
    try:
        return to_string(key)
    except ConversionError as error:
        scope.report("Invalid object key", f"The key expression produced an invalid result: {error}.", start, end)
        return None


def _embedded(node: s.Embedded, scope: Scope) -> Value:
    inner = msgspec.structs.replace(scope, source=node.text_source, diagnostics=[])
    value = evaluate(node.expression, inner)
    for diagnostic in inner.diagnostics:
        scope.report(diagnostic.summary, diagnostic.detail, node.start, node.end)
    return value


def _broken(node: s.Broken, scope: Scope) -> Value:
    scope.diagnostics.extend(node.diagnostics)
    return UNKNOWN


_RULES: dict[type, Callable[[Any, Scope], Value]] = {
    s.Literal: _literal,
    s.Text: _text,
    s.ObjectKey: _object_key,
    s.Template: _template,
    s.TemplateWrap: _template_wrap,
    s.Interpolation: _interpolation,
    s.TemplateJoin: _template_join,
    s.Traversal: _traversal,
    s.RelativeTraversal: _relative_traversal,
    s.Index: _index,
    s.SplatItem: _splat_item,
    s.Splat: _splat,
    s.Call: _call,
    s.Unary: _unary,
    s.Binary: _binary,
    s.Conditional: _conditional,
    s.Parentheses: _parentheses,
    s.Tuple: _tuple,
    s.Object: _object,
    s.PlainObject: _object,
    s.For: _for,
    s.Embedded: _embedded,
    s.Broken: _broken,
}
