"""Asks the servers, with a long poll, which allocations belong on this node, and carries out the difference."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from raftnomad.client.alloc_changes import Plan, compare, is_stale, plan
from raftnomad.client.connection import Connection
from raftnomad.client.servers import pause_s
from raftnomad.clock import Clock
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.agent_protocol import AllocationsResponse, FetchRequest

logger = logging.getLogger(__name__)

FETCH_MAX = 200
"""Allocations asked for at once, with their jobs."""


class Allocations(Protocol):
    """What runs on this node, as the watcher needs to know and change it."""

    def modify_indexes(self) -> Mapping[str, int]: ...

    def carry_out(self, changes: Plan) -> None: ...

    def confirm(self, alloc_ids: Mapping[str, int]) -> None: ...

    def forget(self, alloc_ids: tuple[str, ...]) -> None: ...


class AllocWatcher:
    def __init__(
        self,
        connection: Connection,
        allocations: Allocations,
        clock: Clock,
        chance: Callable[[], float],
        *,
        wait_s: float = 300.0,
    ) -> None:
        self._connection = connection
        self._allocations = allocations
        self._clock = clock
        self._chance = chance
        self._wait_s = wait_s
        self._highest = 0
        self._lagging_since_s: float | None = None

    async def run(self) -> None:
        failures = 0
        while True:
            try:
                await self.once()
                failures = 0
            except RaftnomadError as error:
                failures += 1
                logger.warning("the node's allocations can't be fetched: %s", error)
                await self._clock.sleep(pause_s(failures, self._chance()))

    async def once(self) -> None:
        """One answer of a server, and what follows from it."""
        answer = await self._connection.allocations(self._highest, self._wait_s)
        if self._is_stale(answer):
            logger.info("a server at index %d lags behind %d: not believed", answer.index, self._highest)
            await self._clock.sleep(pause_s(2, self._chance()))
            return
        difference = compare(self._allocations.modify_indexes(), answer.allocations)
        for start in range(0, len(difference.fetch), FETCH_MAX):
            ids = difference.fetch[start : start + FETCH_MAX]
            response = await self._connection.fetch(FetchRequest(ids=ids))
            self._allocations.carry_out(plan(self._allocations.modify_indexes(), response.allocations))
        self._allocations.confirm(answer.allocations)
        self._allocations.forget(difference.forget)
        # Only now, so that a fetch that failed is asked for again at once.
        self._highest = answer.index

    def _is_stale(self, answer: AllocationsResponse) -> bool:
        if answer.index >= self._highest:
            self._lagging_since_s = None
            return False
        now_s = self._clock.monotonic_s()
        if self._lagging_since_s is None:
            self._lagging_since_s = now_s
        return is_stale(answer.index, self._highest, now_s - self._lagging_since_s)
