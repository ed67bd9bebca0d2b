"""Tells the servers what becomes of allocations: batched, repeated until acknowledged, the newest word for each.

Nothing waits here that is not also in the local state, so that a report lost with the agent is made again at its next
start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from raftnomad.client.connection import Connection
from raftnomad.client.servers import pause_s
from raftnomad.clock import Clock
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.agent_protocol import AllocationReport, ReportRequest

logger = logging.getLogger(__name__)

BATCH_MAX = 500
"""Reports in one request: far below a request's size limit."""


class AllocReporter:
    def __init__(
        self, connection: Connection, clock: Clock, chance: Callable[[], float], *, interval_s: float = 0.2
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._chance = chance
        self._interval_s = interval_s
        self._waiting: dict[str, AllocationReport] = {}
        self._acknowledged: dict[str, AllocationReport] = {}
        self._news = asyncio.Event()
        self._flushed = asyncio.Event()
        self._flushed.set()

    def note(self, report: AllocationReport, *, again: bool = False) -> None:
        """Send this, unless it is what the servers acknowledged last (`again`: even then)."""
        if not again and report.id not in self._waiting and self._acknowledged.get(report.id) == report:
            return
        self._waiting[report.id] = report
        self._flushed.clear()
        self._news.set()

    def forget(self, alloc_id: str) -> None:
        self._waiting.pop(alloc_id, None)
        self._acknowledged.pop(alloc_id, None)

    def is_acknowledged(self, report: AllocationReport) -> bool:
        """Whether the servers have heard exactly this."""
        return self._acknowledged.get(report.id) == report

    async def flushed(self) -> None:
        """Until the servers have heard everything noted so far."""
        await self._flushed.wait()

    async def run(self) -> None:
        failures = 0
        while True:
            await self._news.wait()
            await self._clock.sleep(self._interval_s)
            self._news.clear()
            if await self._send():
                failures = 0
            else:
                failures += 1
                await self._clock.sleep(pause_s(failures, self._chance()))
            if self._waiting:
                self._news.set()
            else:
                self._flushed.set()

    async def _send(self) -> bool:
        batch = dict(list(self._waiting.items())[:BATCH_MAX])
        if not batch:
            return True
        try:
            await self._connection.report(ReportRequest(reports=tuple(batch.values())))
        except RaftnomadError as error:
            logger.warning("the state of %d allocations is not reported yet: %s", len(batch), error)
            return False
        for id, report in batch.items():
            self._acknowledged[id] = report
            if self._waiting.get(id) is report:
                del self._waiting[id]
        return True
