"""Whether this server leads, and the reign that begins and ends with that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from raftnomad.server.reign import Reign
from raftnomad.tasks import Tasks

if TYPE_CHECKING:
    from raftnomad.server.server import Server

logger = logging.getLogger(__name__)


class Leader:
    def __init__(self, server: Server, on_crash: Callable[[BaseException], None] | None) -> None:
        self._server = server
        self._tasks = Tasks("leader", on_crash)
        self._reign: Reign | None = None
        self._task: asyncio.Task[None] | None = None

    def on_leadership(self, leads: bool) -> None:
        """The log's callback. A reign that ends is cancelled; whatever it still proposes, its epoch refuses."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self._reign = None
        if leads:
            self._reign = Reign(self._server)
            self._task = self._tasks.start(self._reign.run(), "reign")

    async def stop(self) -> None:
        self.on_leadership(False)
        await self._tasks.cancel()

    def heard(self, node_ids: Sequence[str]) -> bool:
        """Note heartbeats; False when this server does not lead, so that they must travel on."""
        if self._reign is None or not self._server.log.is_leader:
            return False
        self._reign.heard(node_ids)
        return True

    def statistics(self) -> dict[str, str]:
        return self._reign.statistics() if self._reign is not None else {}
