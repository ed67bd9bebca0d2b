"""Counters, gauges and samples: what happened how often and how long it took. Named as Nomad names its own.

Recording costs a dict look-up and a few additions, so that the hot paths can afford it. Read by `api/metrics.py`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

INTERVAL_S = 10.0
"""Counters and samples are shown for the last whole interval of this length."""

NAMES_MAX = 5000
"""Series that one registry keeps; labels that vary without end must not fill the memory."""

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Aggregate:
    """Of the values recorded under one name."""

    count: int = 0
    sum: float = 0.0
    sum_of_squares: float = 0.0
    min: float = math.inf
    max: float = -math.inf

    def add(self, value: float) -> None:
        self.count += 1
        self.sum += value
        self.sum_of_squares += value * value
        self.min = min(self.min, value)
        self.max = max(self.max, value)

    @property
    def mean(self) -> float:
        return self.sum / self.count if self.count else 0.0

    @property
    def standard_deviation(self) -> float:
        if self.count < 2:
            return 0.0
        spread = self.count * self.sum_of_squares - self.sum**2
        return math.sqrt(max(spread, 0.0) / (self.count * (self.count - 1)))


Series = dict[tuple[str, Labels], Aggregate]


class Registry:
    """All series of one process."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._started = monotonic_s()
        self._current: tuple[Series, Series] = ({}, {})
        self._finished: tuple[Series, Series] | None = None
        self.totals: tuple[Series, Series] = ({}, {})
        """(counters, samples) since the process began, for Prometheus."""
        self._gauges: dict[tuple[str, Labels], float] = {}
        self._sources: list[Callable[[], Iterable[tuple[str, float]]]] = []

    def count(self, name: str, value: float = 1, labels: Labels = ()) -> None:
        self._record(0, name, value, labels)

    def sample(self, name: str, value: float, labels: Labels = ()) -> None:
        """A duration goes in as milliseconds, as Nomad's do."""
        self._record(1, name, value, labels)

    def gauge(self, name: str, value: float, labels: Labels = ()) -> None:
        if len(self._gauges) < NAMES_MAX:
            self._gauges[name, labels] = value

    def gauges_from(self, source: Callable[[], Iterable[tuple[str, float]]]) -> Callable[[], None]:
        """Ask `source` for gauges whenever they are read, instead of telling them as they change.

        Returns the function that ends this.
        """
        self._sources.append(source)
        return lambda: self._sources.remove(source)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        start = self._monotonic_s()
        try:
            yield
        finally:
            self.sample(name, (self._monotonic_s() - start) * 1000)

    def gauges(self) -> dict[tuple[str, Labels], float]:
        gauges = dict(self._gauges)
        for source in self._sources:
            gauges.update({(name, ()): value for name, value in source()})
        return gauges

    def interval(self) -> tuple[Series, Series]:
        """(counters, samples) of the last whole interval, or of the present one when there is no other yet."""
        self._roll()
        return self._finished if self._finished is not None else self._current

    def _record(self, kind: int, name: str, value: float, labels: Labels) -> None:
        self._roll()
        key = (name, labels)
        for series in (self._current[kind], self.totals[kind]):
            aggregate = series.get(key)
            if aggregate is None:
                if len(series) >= NAMES_MAX:
                    return
                aggregate = series[key] = Aggregate()
            aggregate.add(value)

    def _roll(self) -> None:
        now = self._monotonic_s()
        if now - self._started >= INTERVAL_S:
            self._finished, self._current = self._current, ({}, {})
            self._started = now


registry = Registry()
"""The process's own."""
