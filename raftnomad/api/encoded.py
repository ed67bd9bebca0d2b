"""Answers as bytes, encoded once for everybody who asks the same while nothing has changed.

When a change wakes a thousand waiters of one list, the first to run pays for all of them. A long list is encoded a
slice at a time: its rows are what they were when it was read, and the rest of the server goes on in between.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from raftnomad.model import wire
from raftnomad.tasks import Tasks

BYTES_MAX = 64 * 1024 * 1024
SLICE_ROWS = 1000
"""About ten milliseconds of allocations."""


def _itself(row: Any) -> Any:
    return row


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a read of the state gave: one value, or `rows` of a list that `show` makes presentable."""

    index: int
    value: object = None
    rows: Sequence[Any] | None = None
    show: Callable[[Any], object] = _itself
    missing: str = ""
    """The text of a 404, for an object that is not there."""
    next_token: str = ""


@dataclass(frozen=True)
class Encoded:
    """Without the rows themselves, which may be many."""

    index: int
    body: bytes
    missing: str
    next_token: str


Version = tuple[object, ...]


class EncodedAnswers:
    """A small cache: the key names the question, the version what its answer was made from."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._entries: OrderedDict[object, tuple[Version, Encoded]] = OrderedDict()
        self._being_made: dict[tuple[object, Version], asyncio.Task[Encoded]] = {}
        self._tasks = Tasks("encoded answers")
        self._bytes = 0
        self._bytes_max = bytes_max

    async def get(self, key: object, version: Version, read: Callable[[], Found]) -> Encoded:
        """`read` is called before the first await, so what it gives is of the version, and of now."""
        entry = self._entries.get(key)
        if entry is not None and entry[0] == version:
            self._entries.move_to_end(key)
            return entry[1]
        making = self._being_made.get((key, version))
        if making is None:
            found = read()
            if found.rows is None or len(found.rows) <= SLICE_ROWS:
                return self._keep(key, version, _encoded(found, _at_once(found)))
            making = self._tasks.start(self._make(key, version, found), "a long list")
            self._being_made[key, version] = making
        # Shielded, since whoever asked first may hang up while others wait for the same answer.
        return await asyncio.shield(making)

    async def close(self) -> None:
        await self._tasks.cancel()

    async def _make(self, key: object, version: Version, found: Found) -> Encoded:
        try:
            return self._keep(key, version, _encoded(found, await _in_slices(found)))
        finally:
            del self._being_made[key, version]

    def _keep(self, key: object, version: Version, encoded: Encoded) -> Encoded:
        self._forget(key)
        if len(encoded.body) <= self._bytes_max // 4:
            self._entries[key] = (version, encoded)
            self._bytes += _size(encoded)
            while self._bytes > self._bytes_max:
                self._forget(next(iter(self._entries)))
        return encoded

    def _forget(self, key: object) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= _size(entry[1])


def _encoded(found: Found, body: bytes) -> Encoded:
    return Encoded(found.index, body, found.missing, found.next_token)


def _at_once(found: Found) -> bytes:
    if found.missing:
        return b""
    if found.rows is None:
        return wire.encode(found.value)
    return wire.encode([found.show(row) for row in found.rows])


async def _in_slices(found: Found) -> bytes:
    assert found.rows is not None
    parts = []
    for start in range(0, len(found.rows), SLICE_ROWS):
        rows = found.rows[start : start + SLICE_ROWS]
        parts.append(wire.encode([found.show(row) for row in rows])[1:-1])
        await asyncio.sleep(0)
    return b"[" + b",".join(parts) + b"]"


def _size(encoded: Encoded) -> int:
    return len(encoded.body) + 1024
