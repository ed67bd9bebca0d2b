"""Functions of numbers."""

from __future__ import annotations

import math
from fractions import Fraction

from raftnomad.hcl.calls import Function, FunctionError, Parameter
from raftnomad.hcl.functions.arguments import whole
from raftnomad.hcl.numbers import Number, parse_number, rounded
from raftnomad.hcl.values import Value, name_of

_NUM = Parameter("num", "number")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_RANGE_MAX = 1024
_TOO_MANY = (
    f"more than {_RANGE_MAX} values were generated; either decrease the difference between start and end or use a "
    "smaller step"
)


def _rounded_to_whole(value: Number, up: bool) -> Number:
    if isinstance(value, float):
        return value if math.isinf(value) else 0
    return math.ceil(value) if up else math.floor(value)


def _from_float(value: float) -> Number:
    return value if math.isinf(value) else parse_number(repr(value))


def _log(value: Number, base: Number) -> Number:
    """The logarithm by way of floats, as Go computes it; of zero it is minus infinity."""
    number, radix = float(value), float(base)
    if number < 0 or radix < 0:
        raise FunctionError("the logarithm of a negative number is not defined")
    top = -math.inf if number == 0 else math.log(number)
    bottom = -math.inf if radix == 0 else math.log(radix)
    if bottom == 0:
        if top == 0:
            raise FunctionError("the logarithm of 1 to the base 1 is not defined")
        return math.copysign(math.inf, top)
    return _from_float(top / bottom)


def _pow(value: Number, power: Number) -> Number:
    try:
        return _from_float(math.pow(float(value), float(power)))
    except (OverflowError, ValueError):
        raise FunctionError("the power is not a number that can be represented") from None


def _most(values: tuple[Number, ...], largest: bool) -> Number:
    if not values:
        raise FunctionError("must pass at least one number")
    return max(values) if largest else min(values)


def _parseint(text: Value, base: Number) -> Value:
    if not isinstance(text, str):
        raise FunctionError(f"first argument must be a string, not {name_of(text)}", 0)
    if not isinstance(base, int) or not 2 <= base <= 62:
        raise FunctionError("base must be a whole number between 2 and 62 inclusive", 1)
    digits = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    folded = digits.lower() if base <= 36 else digits
    value = 0
    for digit in folded:
        place = _DIGITS.find(digit)
        if not 0 <= place < base:
            digits = ""
            break
        value = value * base + place
    if not digits:
        raise FunctionError(f'cannot parse "{text}" as a base {base} integer', 0)
    return -value if text.startswith("-") else value


def _range(*limits: Number) -> Value:
    if not 1 <= len(limits) <= 3:
        raise FunctionError("must have one, two, or three arguments")
    start, end = (0, limits[0]) if len(limits) == 1 else (limits[0], limits[1])
    step: Number = limits[2] if len(limits) == 3 else (1 if start <= end else -1)
    if len(limits) == 3 and step < 0 and end > start:
        raise FunctionError("end must be less than start when step is negative", 1)
    if len(limits) == 3 and step > 0 and end < start:
        raise FunctionError("end must be greater than start when step is positive", 1)
    values: list[Value] = []
    number = start
    while (step >= 0 and number < end) or (step < 0 and number > end):
        if len(values) >= _RANGE_MAX:
            raise FunctionError(_TOO_MANY)
        values.append(number)
        number = rounded(Fraction(number) + Fraction(step))
    return tuple(values)


def _signum(value: Number) -> Number:
    number = whole(value)
    return (number > 0) - (number < 0)


def _abs(value: Number) -> Number:
    return -value if value < 0 else value


ARITHMETIC_FUNCTIONS: dict[str, Function] = {
    "abs": Function(parameters=(_NUM,), apply=_abs),
    "ceil": Function(parameters=(_NUM,), apply=lambda value: _rounded_to_whole(value, True)),
    "floor": Function(parameters=(_NUM,), apply=lambda value: _rounded_to_whole(value, False)),
    "log": Function(parameters=(_NUM, Parameter("base", "number")), apply=_log),
    "max": Function(rest=Parameter("numbers", "number"), apply=lambda *values: _most(values, True)),
    "min": Function(rest=Parameter("numbers", "number"), apply=lambda *values: _most(values, False)),
    "parseint": Function(parameters=(Parameter("number"), Parameter("base", "number")), apply=_parseint),
    "pow": Function(parameters=(_NUM, Parameter("power", "number")), apply=_pow),
    "range": Function(rest=Parameter("params", "number"), apply=_range),
    "signum": Function(parameters=(_NUM,), apply=_signum),
}
