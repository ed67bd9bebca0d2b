"""`try`, `can` and `convert`, which get expressions instead of values."""

from __future__ import annotations

from collections.abc import Callable

from raftnomad.hcl import syntax as s
from raftnomad.hcl.calls import Function, FunctionError, Parameter, right_count
from raftnomad.hcl.evaluator import Scope
from raftnomad.hcl.types import read_type
from raftnomad.hcl.values import UNKNOWN, ConversionError, Unknown, Value, convert, is_known

Evaluate = Callable[[s.Expression, Scope], Value]


def _try(node: s.Call, scope: Scope, evaluate: Evaluate) -> Value:
    """The first of the expressions that has a value."""
    if not node.arguments:
        raise FunctionError("at least one argument is required")
    reasons: list[str] = []
    for argument in node.arguments:
        attempt = scope.apart()
        value = evaluate(argument, attempt)
        if not attempt.diagnostics:
            return value
        reasons.extend(f"- {one.summary} (at {one.place()})\n  {one.detail}" for one in attempt.diagnostics)
    raise FunctionError(
        "no expression succeeded:\n"
        + "\n".join(reasons)
        + "\n\nAt least one expression must produce a successful result"
    )


def _can(node: s.Call, scope: Scope, evaluate: Evaluate) -> Value:
    if not right_count(_CAN, len(node.arguments), node, scope):
        return UNKNOWN
    attempt = scope.apart()
    value = evaluate(node.arguments[0], attempt)
    return not attempt.diagnostics and is_known(value)


def _convert(node: s.Call, scope: Scope, evaluate: Evaluate) -> Value:
    if not right_count(_CONVERT, len(node.arguments), node, scope):
        return UNKNOWN
    value = evaluate(node.arguments[0], scope)
    wanted = read_type(node.arguments[1], scope, allow_any=True)
    if wanted is None or isinstance(value, Unknown):
        return UNKNOWN
    try:
        return convert(value, wanted)
    except ConversionError as error:
        raise FunctionError(str(error), 0) from None


_CAN = Function(parameters=(Parameter("expression"),), apply=_can, lazy=True)
_CONVERT = Function(parameters=(Parameter("value"), Parameter("type")), apply=_convert, lazy=True)

ATTEMPT_FUNCTIONS: dict[str, Function] = {
    "can": _CAN,
    "convert": _CONVERT,
    "try": Function(rest=Parameter("expressions"), apply=_try, lazy=True),
}
