"""The scores that depend on where a job's other allocations are: `spread` blocks and distinct properties."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from raftnomad.fsm.node_columns import Column, FloatColumns
from raftnomad.model.resources import Spread

Boost = NDArray[np.float64]


class SpreadCounts:
    """One spread block: how many allocations each value has, and what one more there would be worth.

    boost[code], with one more at the end for nodes without the property.
    """

    def __init__(self, column: Column, spread: Spread, weight: float, count: int) -> None:
        self.codes = column.codes
        self.used = np.zeros(len(column.values) + 1)
        self._weight = weight
        self._desired = _desired(column, spread, count) if spread.spread_target else None

    def add(self, slot: int, number: int = 1) -> None:
        code = self.codes[slot]
        if code >= 0:
            self.used[code] += number

    def boost(self) -> Boost:
        boost = self._to_targets() if self._desired is not None else self._evenly()
        boost[-1] = -1.0
        return boost

    def _to_targets(self) -> Boost:
        assert self._desired is not None
        known = ~np.isnan(self._desired)
        boost = np.full(len(self.used), -1.0)
        desired = self._desired[known]
        share = np.where(desired == 0, -1.0, (desired - (self.used[known] + 1)) / np.where(desired == 0, 1, desired))
        boost[known] = share * self._weight
        return boost

    def _evenly(self) -> Boost:
        """The least used values are worth as much as the most used ones are ahead; only values in use count."""
        in_use = self.used > 0
        if not in_use.any():
            return np.zeros(len(self.used))
        least, most = self.used[in_use].min(), self.used[in_use].max()
        boost: Boost = (least - self.used) / least
        boost[self.used == least] = -1.0 if least == most else (most - least) / least
        return boost


def _desired(column: Column, spread: Spread, count: int) -> FloatColumns:
    """How many allocations each value should have; NaN where the block does not say."""
    targets = {target.value: target.percent / 100 * count for target in spread.spread_target or ()}
    rest = count - sum(targets.values())
    # What the percentages leave is meant for all values that are not named.
    other = targets.pop("*", rest if rest > 0 else np.nan)
    return np.array([*(targets.get(value, other) for value in column.values), np.nan])


def spreads_of(columns: Iterable[tuple[Spread, Column]], count: int) -> list[SpreadCounts]:
    pairs = list(columns)
    total = sum(spread.weight for spread, _ in pairs) or 1
    return [SpreadCounts(column, spread, spread.weight / total, count) for spread, column in pairs]


class DistinctProperty:
    """At most `limit` allocations for each value of a property."""

    def __init__(self, column: Column, target: str, limit: int) -> None:
        self.column = column
        self.target = target
        self.limit = limit
        self._used: dict[int, int] = {}

    def add(self, slot: int, number: int = 1) -> None:
        code = int(self.column.codes[slot])
        self._used[code] = self._used.get(code, 0) + number

    def allows(self, slot: int) -> bool:
        code = int(self.column.codes[slot])
        return code >= 0 and self._used.get(code, 0) < self.limit

    def mask(self) -> NDArray[np.bool_]:
        allowed = np.ones(len(self.column.values) + 1, np.bool_)
        allowed[-1] = False
        for code, used in self._used.items():
            if used >= self.limit:
                allowed[code] = False
        found: NDArray[np.bool_] = allowed[self.column.codes]
        return found

    def reason(self, slot: int) -> str:
        code = int(self.column.codes[slot])
        if code < 0:
            return f'missing property "{self.target}"'
        value = self.column.values[code]
        return f"distinct_property: {self.target}={value} used by {self._used.get(code, 0)} allocs"
