"""Waiting in tests for what background tasks are about to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def eventually(holds: Callable[[], object], rounds: int = 400) -> None:
    """Return when `holds` does; fail when it has not after many turns of the event loop."""
    for _ in range(rounds):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come to hold")
