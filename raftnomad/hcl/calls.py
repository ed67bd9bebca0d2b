"""Calling a function: its parameters are checked and converted before it sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from raftnomad.hcl import syntax as s
from raftnomad.hcl.suggest import suggestion
from raftnomad.hcl.values import (
    UNKNOWN,
    ConversionError,
    HclList,
    HclSet,
    Type,
    Unknown,
    Value,
    convert,
    elements,
    is_known,
)

if TYPE_CHECKING:
    from raftnomad.hcl.evaluator import Scope

Evaluate = Callable[[s.Expression, "Scope"], Value]


class FunctionError(Exception):
    """A function cannot do what it was asked; `argument` is the one at fault, counted from 0, if one is."""

    def __init__(self, message: str, argument: int | None = None) -> None:
        super().__init__(message)
        self.argument = argument


class Parameter(msgspec.Struct, frozen=True):
    name: str
    type: Type = "dynamic"
    nullable: bool = False


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function by its parameters; `rest` takes any number of further arguments.

    A lazy one gets the expressions themselves, with what it needs to evaluate them.
    """

    parameters: tuple[Parameter, ...] = ()
    rest: Parameter | None = None
    apply: Callable[..., Value]
    lazy: bool = False

    def parameter(self, index: int) -> Parameter:
        if index < len(self.parameters):
            return self.parameters[index]
        assert self.rest is not None
        return self.rest


def call_function(node: s.Call, scope: Scope, evaluate: Evaluate) -> Value:
    if scope.functions is None:
        summary = "Function calls not allowed"
        return scope.report(summary, "Functions may not be called here.", node.start, node.end)
    function = scope.functions.get(node.name)
    if function is None:
        return _no_function(node, scope)
    if function.lazy:
        return _apply(function, [node, scope, evaluate], node, scope)
    arguments = _arguments(node, scope, evaluate)
    if arguments is None or not right_count(function, len(arguments), node, scope):
        return UNKNOWN
    converted: list[Value] = []
    refused = False
    for index, argument in enumerate(arguments):
        value = _converted(function.parameter(index), argument, index, node, scope)
        refused = refused or isinstance(value, Unknown)
        converted.append(value)
    if refused or not all(map(is_known, converted)):
        return UNKNOWN
    return _apply(function, converted, node, scope)


def _apply(function: Function, arguments: list[Any], node: s.Call, scope: Scope) -> Value:
    try:
        return function.apply(*arguments)
    except FunctionError as error:
        if error.argument is None:
            detail = f'Call to function "{node.name}" failed: {error}.'
            return scope.report("Error in function call", detail, node.start, node.name_end + 1)
        return _bad_argument(function.parameter(error.argument).name, str(error), error.argument, node, scope)


def _arguments(node: s.Call, scope: Scope, evaluate: Evaluate) -> list[Value] | None:
    """The arguments' values, the last one spread if it ends in `...`."""
    values = [evaluate(argument, scope) for argument in node.arguments]
    if not node.expands:
        return values
    last = values.pop()
    at = node.arguments[-1]
    if isinstance(last, Unknown):
        return None
    if not isinstance(last, tuple | HclList | HclSet):
        detail = "The expanding argument (indicated by ...) must be of a tuple, list, or set type."
        if last is None:
            detail = "The expanding argument (indicated by ...) must not be null."
        scope.report("Invalid expanding argument value", detail, at.start, at.end)
        return None
    return values + list(elements(last))


def right_count(function: Function, count: int, node: s.Call, scope: Scope) -> bool:
    wanted = len(function.parameters)
    if count < wanted:
        qualifier = "at least " if function.rest else ""
        detail = (
            f'Function "{node.name}" expects {qualifier}{wanted} argument(s). '
            f'Missing value for "{function.parameters[count].name}".'
        )
        scope.report("Not enough function arguments", detail, node.end - 1, node.end)
        return False
    if count > wanted and function.rest is None:
        detail = f'Function "{node.name}" expects only {wanted} argument(s).'
        first, last = node.arguments[min(wanted, len(node.arguments) - 1)], node.arguments[-1]
        scope.report("Too many function arguments", detail, s.start_range(first)[0], s.start_range(last)[1])
        return False
    return True


def _converted(parameter: Parameter, value: Value, index: int, node: s.Call, scope: Scope) -> Value:
    if value is None and not parameter.nullable:
        return _bad_argument(parameter.name, "argument must not be null", index, node, scope)
    try:
        return convert(value, parameter.type)
    except ConversionError as error:
        return _bad_argument(parameter.name, str(error), index, node, scope)


def _bad_argument(name: str, message: str, index: int, node: s.Call, scope: Scope) -> Unknown:
    start, end = s.start_range(node.arguments[min(index, len(node.arguments) - 1)])
    detail = f'Invalid value for "{name}" parameter: {message}.'
    return scope.report("Invalid function argument", detail, start, end)


def _no_function(node: s.Call, scope: Scope) -> Unknown:
    if "::" in node.name:
        namespace = node.name.rpartition("::")[0]
        detail = f'There are no functions in namespace "{namespace}::".'
    else:
        close = suggestion(node.name, sorted(scope.functions or ()))
        detail = f'There is no function named "{node.name}".' + (f' Did you mean "{close}"?' if close else "")
    return scope.report("Call to unknown function", detail, node.start, node.name_end)
