"""The nodes by column, for reading: room, use, readiness and coded attributes, one slot a node.

The server's copy (`capacity.NodeTable`) is kept by the log. The scheduler process holds another: room and use lie in
memory that both share, the rest follows in deltas.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from raftnomad.fsm.node_facts import NodeFacts, read

CPU, MEMORY, DISK, CORES = range(4)
DIMENSIONS = ("cpu", "memory", "disk", "cores")

FloatColumns: TypeAlias = NDArray[np.float64]
BoolColumn: TypeAlias = NDArray[np.bool_]
CodeColumn: TypeAlias = NDArray[np.int32]

Held: TypeAlias = dict[str, dict[int | str, int]]
"""What allocations hold by name on one node: address -> port -> how often, `cores` -> core id, `device KEY` -> id."""


class Column:
    """One attribute, dictionary-coded: `codes[slot]` is a position in `values`, -1 where a node has no value.

    A predicate is evaluated once for each distinct value and then looked up: its cost does not grow with the nodes.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.values: list[str] = []
        self._index: dict[str, int] = {}
        self.codes: CodeColumn = np.full(0, -1, np.int32)

    def resize(self, slots: int) -> None:
        grown = np.full(slots, -1, np.int32)
        grown[: len(self.codes)] = self.codes
        self.codes = grown

    def set(self, slot: int, facts: NodeFacts | None) -> None:
        value = None if facts is None else read(facts, self.key)
        if value is None:
            self.codes[slot] = -1
            return
        code = self._index.get(value)
        if code is None:
            code = self._index[value] = len(self.values)
            self.values.append(value)
        self.codes[slot] = code

    def is_worn(self) -> bool:
        """Most values belong to nodes that are gone."""
        return len(self.values) > 2 * len(self.codes) + 64


class SlotDelta(msgspec.Struct, frozen=True, array_like=True):
    """One slot as it is now: `facts` when they changed, None inside `facts` when the slot is empty."""

    slot: int
    has_facts: bool
    facts: NodeFacts | None
    has_held: bool
    held: Held | None


class TableDelta(msgspec.Struct, frozen=True, array_like=True):
    """What changed since another version; `slots` is how many there are."""

    version: int
    slots: int
    changed: tuple[SlotDelta, ...]


class NodeColumns:
    """total, used: [slot, (cpu MHz, memory MiB, disk MiB, reservable cores)]. `ready`: may be given work."""

    def __init__(self, slots: int = 64) -> None:
        self.total: FloatColumns = np.zeros((slots, 4))
        self.used: FloatColumns = np.zeros((slots, 4))
        self.ready: BoolColumn = np.zeros(slots, np.bool_)
        self.alloc_count: NDArray[np.int32] = np.zeros(slots, np.int32)
        self.max_allocs: FloatColumns = np.full(slots, np.inf)
        """A node's own limit, infinite without one."""
        self.facts: list[NodeFacts | None] = [None] * slots
        self.held: list[Held | None] = [None] * slots
        self.slot_of: dict[str, int] = {}
        self._columns: dict[str, Column] = {}

    @property
    def slots(self) -> int:
        return len(self.facts)

    def column(self, key: str) -> Column:
        """The coded attribute; built on first use, then kept up to date."""
        column = self._columns.get(key)
        if column is None or column.is_worn():
            column = Column(key)
            column.resize(self.slots)
            for slot, facts in enumerate(self.facts):
                if facts is not None:
                    column.set(slot, facts)
            self._columns[key] = column
        return column

    def set_facts(self, slot: int, facts: NodeFacts | None) -> None:
        before = self.facts[slot]
        if before is not None and (facts is None or facts.id != before.id):
            del self.slot_of[before.id]
        self.facts[slot] = facts
        self.max_allocs[slot] = facts.max_allocs if facts is not None and facts.max_allocs else np.inf
        if facts is not None:
            self.slot_of[facts.id] = slot
        for column in self._columns.values():
            column.set(slot, facts)

    def grow(self, slots: int) -> None:
        more = slots - self.slots
        if more <= 0:
            return
        self.total = np.vstack((self.total, np.zeros((more, 4))))
        self.used = np.vstack((self.used, np.zeros((more, 4))))
        self.ready = np.concatenate((self.ready, np.zeros(more, np.bool_)))
        self.alloc_count = np.concatenate((self.alloc_count, np.zeros(more, np.int32)))
        self.max_allocs = np.concatenate((self.max_allocs, np.full(more, np.inf)))
        self.facts.extend([None] * more)
        self.held.extend([None] * more)
        for column in self._columns.values():
            column.resize(slots)

    def absorb(self, delta: TableDelta) -> None:
        """Bring this copy's facts and held names to the delta's version; room and use come another way."""
        self.grow(delta.slots)
        for change in delta.changed:
            if change.has_facts:
                # Two slots can have swapped their nodes: a node is looked up where it was written last.
                self.set_facts(change.slot, None)
        for change in delta.changed:
            if change.has_facts:
                self.set_facts(change.slot, change.facts)
            if change.has_held:
                self.held[change.slot] = change.held
