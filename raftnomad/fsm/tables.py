"""Tables: plain dicts of rows, with indexes beside them and an undo overlay for each dump that is being read.

Reading costs nothing but a dict look-up. While a view is open, a write first notes the row that the view still has to
show; nothing is copied, and with no view open nothing is noted.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_BUCKET = 3
"""Ids are kept sorted in buckets by their first characters, so that an insertion moves little memory."""


class TableView(Generic[K, V]):
    """A table as it was when the view was opened."""

    def __init__(self, table: Table[K, V]) -> None:
        self._table = table
        self.keys = list(table)
        self.undo: dict[K, V] = {}

    def row(self, key: K) -> V:
        return self.undo[key] if key in self.undo else self._table[key]

    def close(self) -> None:
        self._table.views.remove(self)


class Index(Generic[K, V]):
    """Keys of a table's rows, grouped by what `group_of` says of a row; rows without a group ("") are left out."""

    def __init__(self, group_of: Callable[[V], Any]) -> None:
        self.group_of = group_of
        self.groups: dict[Any, dict[K, None]] = {}

    def update(self, key: K, old: V | None, new: V | None) -> None:
        before = None if old is None else self.group_of(old)
        after = None if new is None else self.group_of(new)
        if before == after:
            return
        if before:
            group = self.groups[before]
            del group[key]
            if not group:
                del self.groups[before]
        self.add(after, key)

    def add(self, group: Any, key: K) -> None:
        if not group:
            return
        keys = self.groups.get(group)
        if keys is None:
            self.groups[group] = {key: None}
        else:
            keys[key] = None


class Table(dict[K, V]):
    """Rows by key. Read it as a dict; only `Transaction` and a restore write, through `put` and `remove`."""

    __slots__ = ("indexes", "name", "views")

    def __init__(self, name: str, *indexes: Index[K, V]) -> None:
        super().__init__()
        self.name = name
        self.indexes = indexes
        self.views: list[TableView[K, V]] = []

    def put(self, key: K, row: V) -> V | None:
        """Returns the row that was there."""
        old = self.get(key)
        if old is not None and self.views:
            self._note(key, old)
        self[key] = row
        for index in self.indexes:
            index.update(key, old, row)
        return old

    def remove(self, key: K) -> V:
        old = self.pop(key)
        if self.views:
            self._note(key, old)
        for index in self.indexes:
            index.update(key, old, None)
        return old

    def open_view(self) -> TableView[K, V]:
        view = TableView(self)
        self.views.append(view)
        return view

    def _note(self, key: K, old: V) -> None:
        for view in self.views:
            view.undo.setdefault(key, old)


class IdTable(Table[str, V]):
    """Rows by id, which people may shorten: `with_prefix` finds them in the order of their ids."""

    __slots__ = ("_buckets",)

    def __init__(self, name: str, *indexes: Index[str, V]) -> None:
        super().__init__(name, *indexes)
        self._buckets: dict[str, list[str]] = {}

    def put(self, key: str, row: V) -> V | None:
        old = super().put(key, row)
        if old is None:
            self._sort_in(key)
        return old

    def _sort_in(self, key: str) -> None:
        bucket = self._buckets.get(key[:_BUCKET])
        if bucket is None:
            self._buckets[key[:_BUCKET]] = [key]
        else:
            insort(bucket, key)

    def remove(self, key: str) -> V:
        old = super().remove(key)
        bucket = self._buckets[key[:_BUCKET]]
        del bucket[bisect_left(bucket, key)]
        if not bucket:
            del self._buckets[key[:_BUCKET]]
        return old

    def with_prefix(self, prefix: str) -> list[V]:
        return [self[key] for key in self._ids_with_prefix(prefix)]

    def _ids_with_prefix(self, prefix: str) -> Iterator[str]:
        if len(prefix) < _BUCKET:
            for name in sorted(name for name in self._buckets if name.startswith(prefix)):
                yield from self._buckets[name]
            return
        bucket = self._buckets.get(prefix[:_BUCKET], [])
        for position in range(bisect_left(bucket, prefix), len(bucket)):
            if not bucket[position].startswith(prefix):
                return
            yield bucket[position]
