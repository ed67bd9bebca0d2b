"""An event loop on virtual time: when nothing can run, the clock jumps to the next timer."""

from __future__ import annotations

import asyncio
from asyncio import base_events
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector:
    """Waiting costs no time but the clock's."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen")
        self._loop.now_s += max(0.0, timeout)
        return []

    def close(self) -> None: ...


class VirtualLoop(base_events.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0
        self._selector = _Selector(self)

    def time(self) -> float:
        return self.now_s

    def _process_events(self, events: list[Any]) -> None: ...

    def _write_to_self(self) -> None:
        raise RuntimeError("a thread has entered virtual time")


class VirtualClock:
    """A server's clocks: wall and monotonic ones of servers never agree."""

    def __init__(self, loop: VirtualLoop, offset_s: float = 0.0) -> None:
        self._loop = loop
        self._offset_s = offset_s

    def now_ns(self) -> int:
        return int((self._loop.now_s + self._offset_s) * 1e9)

    def monotonic_s(self) -> float:
        return self._loop.now_s + self._offset_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(main: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Like `asyncio.run`; whatever is left over when `main` is done is dropped."""
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        asyncio.set_event_loop(None)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.set_exception_handler(lambda *ignored: None)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
