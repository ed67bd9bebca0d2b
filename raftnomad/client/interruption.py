"""Waiting that can be cut short: for a delay, a turn or a task's end, unless somebody wants the task killed first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from raftnomad.tasks import Tasks


class Interruption:
    """`tasks`: the parent of what waits here."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._event = asyncio.Event()

    def happen(self) -> None:
        """Cut short whatever waits now, and whatever will, until `clear`."""
        self._event.set()

    def clear(self) -> None:
        self._event.clear()

    async def or_else(self, event: Awaitable[object]) -> None:
        """Until the event or the interruption, whichever is first; the event is then not waited for any more."""
        waited = self._tasks.start(_awaited(event), "event")
        interrupted = self._tasks.start(self._event.wait(), "interruption")
        try:
            await asyncio.wait({waited, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waited.cancel()
            interrupted.cancel()


async def _awaited(awaitable: Awaitable[object]) -> object:
    return await awaitable
