"""Waiting for a change: who waits for which rows, woken by the feed of applied commands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from raftnomad.durations import parse_duration
from raftnomad.errors import BadRequest
from raftnomad.fsm.changes import Changes, WatchKey, watch_keys
from raftnomad.identifiers import RandomBytes

WAIT_MAX_NS = 300 * 10**9
"""What `?wait` may ask for, and what it is when only `?index` is given. Nomad: blocking queries."""

JITTER_DIVISOR = 16
"""A wait is longer by up to a sixteenth, so that a herd does not come back at once."""

RESTORED = "Restore"
"""The command of a change that says: the whole state is another one."""

_REMEMBERED = ("allocations", "node")
"""Keys of this kind have the index of their last change kept: one a node, so bounded by the cluster's size."""


class Watch:
    """One question that waits for rows to change."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    async def wait(self, timeout_s: float) -> bool:
        """Until a change since the last call; False when the time was over first."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.changed.wait()
        except TimeoutError:
            return False
        self.changed.clear()
        return True


class Watchers:
    """One per server: subscribe `note` to its feed. Everything happens on the event loop."""

    def __init__(self, index: int = 0) -> None:
        self._waiting: dict[WatchKey, dict[Watch, None]] = {}
        self._last_change: dict[WatchKey, int] = {}
        self._floor = index

    def note(self, changes: Changes) -> None:
        """Wake everybody whose rows are among the changes. Never raises."""
        if changes.command == RESTORED:
            self.reset(changes.index)
        for change in changes.rows:
            for key in watch_keys(change):
                if key[:2] == _REMEMBERED:
                    self._last_change[key] = changes.index
                for watch in self._waiting.get(key, ()):
                    watch.changed.set()

    def reset(self, index: int) -> None:
        """The state was replaced by a snapshot: anything may have changed, so everybody looks again."""
        self._last_change.clear()
        self._floor = index
        for watches in self._waiting.values():
            for watch in watches:
                watch.changed.set()

    def last_change(self, key: WatchKey) -> int:
        """The index at which rows under a remembered key last changed, or one that is no lower."""
        assert key[:2] == _REMEMBERED, key
        return self._last_change.get(key, self._floor)

    @contextmanager
    def watch(self, keys: Iterable[WatchKey]) -> Iterator[Watch]:
        """Watch from now on: what changes between looking and waiting is not missed."""
        keys = tuple(keys)
        watch = Watch()
        for key in keys:
            self._waiting.setdefault(key, {})[watch] = None
        try:
            yield watch
        finally:
            for key in keys:
                watches = self._waiting[key]
                watches.pop(watch, None)
                if not watches:
                    del self._waiting[key]

    async def wait(self, keys: Iterable[WatchKey], timeout_s: float) -> bool:
        """Until a change of any key; False when the time was over first. Watching begins before the first await."""
        with self.watch(keys) as watch:
            return await watch.wait(timeout_s)


def parse_wait(text: str) -> int:
    """Nanoseconds of a `?wait`, bounded; raises BadRequest."""
    if not text:
        return WAIT_MAX_NS
    try:
        wait = parse_duration(text)
    except ValueError:
        raise BadRequest("Invalid wait time") from None
    return WAIT_MAX_NS if wait <= 0 else min(wait, WAIT_MAX_NS)


def parse_index(text: str) -> int:
    """A `?index`; raises BadRequest."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or int(text) >= 2**64:
        raise BadRequest("Invalid index")
    return int(text)


def with_jitter(wait_ns: int, random_bytes: RandomBytes) -> float:
    """Seconds to wait."""
    part = int.from_bytes(random_bytes(2), "big") / 65536
    return wait_ns * (1 + part / JITTER_DIVISOR) / 1e9
