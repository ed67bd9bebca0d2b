"""Which rows an applied command touched: the one feed that wakes blocking queries, the broker and the duties."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

Key = str | tuple[str, str]
"""An id, or (namespace, id)."""


class Change(msgspec.Struct, frozen=True, gc=False):
    """One row: `old` is None when it is new, `new` is None when it is gone."""

    table: str
    key: Key
    old: Any
    new: Any


class Changes(msgspec.Struct, frozen=True, gc=False):
    """All rows that the command at `index` touched; `command` is its kind's name, e.g. `RegisterJob`."""

    index: int
    command: str
    rows: tuple[Change, ...]


WatchKey = tuple[str, ...] | tuple[str, str, tuple[str, str]]
"""What a blocking query waits on: ("allocations",), ("allocations", "id", ID), ("allocations", "node", ID),
("allocations", "job", (NAMESPACE, ID)), and so on."""

Subscriber = Callable[[Changes], None]


def watch_keys(change: Change) -> Iterator[WatchKey]:
    """Every key whose waiters this change wakes."""
    yield (change.table,)
    yield (change.table, "id", change.key)  # type: ignore[misc]
    for row in (change.old, change.new):
        if row is None:
            continue
        job_id = getattr(row, "job_id", "")
        if job_id and change.table != "jobs":
            yield (change.table, "job", (row.namespace, job_id))
        for field, name in (("node_id", "node"), ("eval_id", "evaluation"), ("deployment_id", "deployment")):
            if value := getattr(row, field, ""):
                yield (change.table, name, value)


class Feed:
    """Hands each command's changes to every subscriber, in the order of the log, on the caller's thread.

    Subscribers must not raise: they note what changed and return.
    """

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Returns the function that ends the subscription."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def publish(self, changes: Changes) -> None:
        for subscriber in tuple(self._subscribers):
            subscriber(changes)
