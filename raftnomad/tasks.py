"""Parents for the tasks that run as long as their owner: the only home of `asyncio.create_task`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

logger = logging.getLogger(__name__)


class Tasks:
    """The background tasks of one owner. An exception in one is logged, handed to `on_crash`, and never swallowed."""

    def __init__(self, owner: str, on_crash: Callable[[BaseException], None] | None = None) -> None:
        self._owner = owner
        self._on_crash = on_crash
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(coroutine, name=f"{self._owner}: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        error = task.exception()
        assert error is not None
        logger.error("%s failed", task.get_name(), exc_info=error)
        if self._on_crash is not None:
            self._on_crash(error)

    async def cancel(self) -> None:
        """End all of them and wait until they have; never cancels the caller's own task."""
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def abandon(self) -> None:
        """Cancel all of them without waiting."""
        for task in list(self._tasks):
            task.cancel()
