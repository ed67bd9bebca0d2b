"""Time, as something that is handed in: the only home of the machine's clocks.

Wall clock for display, cron and expiry; monotonic clock for waiting. The simulator hands in its own.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import Protocol


class Clock(Protocol):
    def now_ns(self) -> int:
        """The wall clock, nanoseconds since 1970."""

    def monotonic_s(self) -> float:
        """A clock that never goes back, in seconds; for deadlines and waits."""

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def rfc3339(time_ns: int) -> str:
    """A wall-clock time as Nomad prints it: UTC, nanoseconds without trailing zeros, `Z`."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def from_rfc3339(text: str) -> int:
    """Nanoseconds since 1970 of a time as `rfc3339` prints it; raises ValueError."""
    body, _, fraction = text.removesuffix("Z").partition(".")
    moment = datetime.datetime.strptime(body, "%Y-%m-%dT%H:%M:%S")
    seconds = int((moment - datetime.datetime(1970, 1, 1)).total_seconds())
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or 0)
