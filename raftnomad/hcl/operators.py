"""What the operators do, each with the type that its operands must have."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from raftnomad.hcl.numbers import Number, rounded
from raftnomad.hcl.values import Value, equal


class OperationError(Exception):
    pass


def _needed(*operands: Value) -> None:
    if any(operand is None for operand in operands):
        raise OperationError("argument must not be null")


def arithmetic(operation: Callable[[Fraction, Fraction], Fraction], left: Number, right: Number) -> Number:
    """An operation on exact fractions; what is infinite goes through floats, which know infinity."""
    if _is_infinite(left) or _is_infinite(right):
        return float(operation(float(left), float(right)))  # type: ignore[arg-type]
    return rounded(Fraction(operation(Fraction(left), Fraction(right))))


def _is_infinite(value: Number) -> bool:
    return isinstance(value, float) and math.isinf(value)


def _arithmetic(operation: Callable[[Fraction, Fraction], Fraction]) -> Callable[[Value, Value], Value]:
    def apply(left: Value, right: Value) -> Value:
        _needed(left, right)
        return arithmetic(operation, left, right)  # type: ignore[arg-type]

    return apply


def _divide(left: Value, right: Value) -> Value:
    _needed(left, right)
    assert isinstance(left, int | Fraction | float) and isinstance(right, int | Fraction | float)
    if (left == 0 and right == 0) or (_is_infinite(left) and _is_infinite(right)):
        raise OperationError("can't divide zero by zero or infinity by infinity")
    if right == 0:
        return math.copysign(math.inf, float(left) * math.copysign(1, float(right)))
    return arithmetic(lambda a, b: a / b, left, right)


def modulo(left: Value, right: Value) -> Value:
    """The rest with the sign of the left operand; a division by zero leaves all of it."""
    _needed(left, right)
    assert isinstance(left, int | Fraction | float) and isinstance(right, int | Fraction | float)
    if right == 0 or _is_infinite(left) or _is_infinite(right):
        return left
    return arithmetic(lambda a, b: a - b * math.trunc(a / b), left, right)


def _compare(operation: Callable[[Number, Number], bool]) -> Callable[[Value, Value], Value]:
    def apply(left: Value, right: Value) -> Value:
        _needed(left, right)
        return operation(left, right)  # type: ignore[arg-type]

    return apply


def _logic(operation: Callable[[bool, bool], bool]) -> Callable[[Value, Value], Value]:
    def apply(left: Value, right: Value) -> Value:
        _needed(left, right)
        return operation(bool(left), bool(right))

    return apply


def _negate(operand: Value) -> Value:
    _needed(operand)
    assert isinstance(operand, int | Fraction | float)
    return -0.0 if operand == 0 else -operand


def _not(operand: Value) -> Value:
    _needed(operand)
    return not operand


UNARY_OPERATORS: dict[str, tuple[str, Callable[[Value], Value]]] = {"-": ("number", _negate), "!": ("bool", _not)}

BINARY_OPERATORS: dict[str, tuple[str, Callable[[Value, Value], Value]]] = {
    "+": ("number", _arithmetic(lambda a, b: a + b)),
    "-": ("number", _arithmetic(lambda a, b: a - b)),
    "*": ("number", _arithmetic(lambda a, b: a * b)),
    "/": ("number", _divide),
    "%": ("number", modulo),
    "<": ("number", _compare(lambda a, b: a < b)),
    ">": ("number", _compare(lambda a, b: a > b)),
    "<=": ("number", _compare(lambda a, b: a <= b)),
    ">=": ("number", _compare(lambda a, b: a >= b)),
    "&&": ("bool", _logic(lambda a, b: a and b)),
    "||": ("bool", _logic(lambda a, b: a or b)),
    "==": ("dynamic", equal),
    "!=": ("dynamic", lambda left, right: not equal(left, right)),
}
