"""Heartbeats that arrive at a follower travel to the leader, many at a time."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from raftnomad.clock import Clock
from raftnomad.errors import RaftnomadError
from raftnomad.raft.log import Log, Member

logger = logging.getLogger(__name__)

Relay = Callable[[Member, Sequence[str]], Awaitable[None]]
"""Carries node ids to the leader, over the connection that raft has to it (`agent/heartbeat_channel.py`); raises
RaftnomadError or OSError when it can't."""

BATCH_S = 0.2
KEPT_MAX = 100_000


class HeartbeatRelay:
    def __init__(self, log: Log, clock: Clock, relay: Relay | None, heard: Callable[[Sequence[str]], bool]) -> None:
        self._log = log
        self._clock = clock
        self._relay = relay
        self._heard = heard
        self._waiting: dict[str, None] = {}

    def note(self, node_id: str) -> None:
        """The node is alive. While no leader can be reached this is kept; its next heartbeat says the same."""
        if not self._heard((node_id,)) and len(self._waiting) < KEPT_MAX:
            self._waiting[node_id] = None

    async def run(self) -> None:
        while True:
            await self._clock.sleep(BATCH_S)
            if self._waiting:
                await self._send()

    async def _send(self) -> None:
        node_ids = tuple(self._waiting)
        leader = self._log.leader
        if self._heard(node_ids):
            sent = True
        elif leader is None or self._relay is None or leader.id == self._log.server_id:
            sent = False
        else:
            try:
                await self._relay(leader, node_ids)
                sent = True
            except (RaftnomadError, OSError, TimeoutError) as error:
                logger.info("heartbeats of %d nodes did not reach %s: %s", len(node_ids), leader.name, error)
                sent = False
        if sent:
            for node_id in node_ids:
                self._waiting.pop(node_id, None)
