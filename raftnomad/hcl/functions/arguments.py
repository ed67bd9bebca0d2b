"""What several functions ask of their arguments."""

from __future__ import annotations

from raftnomad.hcl.calls import FunctionError
from raftnomad.hcl.numbers import Number

WHOLE = "value must be a whole number, between -9223372036854775808 and 9223372036854775807"


def whole(value: Number) -> int:
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    if value == 0:
        return 0
    raise FunctionError(WHOLE)
