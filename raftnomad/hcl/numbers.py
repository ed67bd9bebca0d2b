"""Numbers as the language has them: binary fractions of 512 bits, printed without an exponent.

A whole number is an `int`, any other a `Fraction` whose denominator is a power of two. A `float` stands only for what
neither can be: infinity, its negative, and negative zero.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TypeAlias

Number: TypeAlias = int | Fraction | float

PRECISION_BITS = 512
_LONGEST_EXPONENT = 4096


def parse_number(text: str) -> Number:
    """A number as a file writes it; raises ValueError."""
    mantissa, _, exponent = text.lower().partition("e")
    if exponent and abs(int(exponent)) > _LONGEST_EXPONENT:
        raise ValueError(f"the exponent of {text} is too large")
    if "." not in mantissa and not exponent:
        return _whole(int(mantissa), mantissa)
    return rounded(Fraction(text))


def _whole(value: int, text: str) -> Number:
    return -0.0 if value == 0 and text.startswith("-") else value


def rounded(value: Fraction) -> Number:
    """The nearest number of 512 bits, half to even."""
    if value.denominator == 1 and abs(value.numerator).bit_length() <= PRECISION_BITS:
        return value.numerator
    shift = _unit_exponent(value)
    scaled = value / Fraction(2) ** shift
    result = Fraction(round(scaled)) * Fraction(2) ** shift
    return result.numerator if result.denominator == 1 else result


def _unit_exponent(value: Fraction) -> int:
    """The power of two of the last of 512 bits."""
    magnitude = abs(value.numerator).bit_length() - value.denominator.bit_length()
    if abs(value) < Fraction(2) ** magnitude:
        magnitude -= 1
    return magnitude - PRECISION_BITS + 1


def format_number(value: Number) -> str:
    """The shortest decimal text that is read back as the same number."""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "-0")
    half_unit = Fraction(2) ** (_unit_exponent(value) - 1)
    low, high = 1, 1
    while not _close(value, high, half_unit):
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        if _close(value, middle, half_unit):
            high = middle
        else:
            low = middle + 1
    digits = f"{abs(round(value * 10**low)):0{low + 1}d}"
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-low]}.{digits[-low:]}"


def _close(value: Fraction, places: int, half_unit: Fraction) -> bool:
    return abs(Fraction(round(value * 10**places), 10**places) - value) <= half_unit


def to_json_number(value: Number) -> int | float:
    """As driver configuration holds it: an int if it is whole and fits in 64 bits, otherwise a float."""
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else float(value)
    return float(value)


def is_number(value: object) -> bool:
    return isinstance(value, int | Fraction | float) and not isinstance(value, bool)
