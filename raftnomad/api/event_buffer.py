"""The latest events, kept for those who follow them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from functools import cached_property

from raftnomad.api.blocking import RESTORED
from raftnomad.api.events import TYPES, Event, Subscription, events_of
from raftnomad.fsm.changes import Changes

REPLAYED = 100
"""Commands of the past that a new subscriber may ask for. Nomad: `event_buffer_size`."""
KEPT = 1024
ROWS_KEPT = 50_000
"""What is kept at most, in commands and in rows. A subscriber that is further behind is cut off, and comes back with
the index that it has."""
HEARTBEAT_S = 30.0


class _Batch:
    """The events of one command, made when somebody first asks for them."""

    def __init__(self, changes: Changes) -> None:
        self.changes = changes

    @cached_property
    def events(self) -> list[Event]:
        return events_of(self.changes)


class EventBuffer:
    """The latest events, in the order of the log. Subscribe `note` to the feed."""

    def __init__(self) -> None:
        self._batches: deque[_Batch] = deque()
        self._first = 0
        """The number of the oldest batch that is kept."""
        self._rows = 0
        self._changed = asyncio.Event()
        self._epoch = 0

    def note(self, changes: Changes) -> None:
        if changes.command == RESTORED:
            self._epoch += 1
            self._forget(len(self._batches))
        elif changes.command in TYPES and changes.rows:
            self._batches.append(_Batch(changes))
            self._rows += len(changes.rows)
            while len(self._batches) > KEPT or (self._rows > ROWS_KEPT and len(self._batches) > 1):
                self._forget(1)
        else:
            return
        self._changed.set()
        self._changed = asyncio.Event()

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._rows -= len(self._batches.popleft().changes.rows)
        self._first += count

    async def follow(self, subscription: Subscription, index: int) -> AsyncIterator[bytes]:
        """`{}` at once and every 30 s; ends when the state was replaced, or when the reader is too far behind."""
        end = self._first + len(self._batches)
        position = max(self._first, end - REPLAYED)
        epoch = self._epoch
        yield b"{}\n"
        while epoch == self._epoch and position >= self._first:
            changed = self._changed
            while position < self._first + len(self._batches):
                batch = self._batches[position - self._first]
                position += 1
                wanted = [event for event in batch.events if event.index >= index and subscription.wants(event)]
                if wanted:
                    yield _line(wanted)
                if epoch != self._epoch or position < self._first:
                    return
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await changed.wait()
            except TimeoutError:
                yield b"{}\n"


def _line(events: list[Event]) -> bytes:
    joined = b",".join(event.encoded for event in events)
    return b'{"Index":%d,"Events":[%b]}\n' % (events[0].index, joined)
