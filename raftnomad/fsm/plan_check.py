"""Which placements of a plan the newest state can't take: nodes gone or not ready, room or ports taken meanwhile.

One function for both times that a plan is checked: by the leader before it is proposed, and when the log applies it.
What the plan itself stops makes room for what it places: a replacement may take its predecessor's place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from raftnomad.fsm.capacity import NodeTable, demand_of, held_names, hold, holds_names, uses_node
from raftnomad.fsm.node_columns import Held
from raftnomad.fsm.node_facts import parse_ports
from raftnomad.model.allocation import Allocation
from raftnomad.model.plan import PlacementBlock


def refused_rows(
    table: NodeTable, blocks: Sequence[PlacementBlock], stopping: Iterable[Allocation] = ()
) -> list[list[int]]:
    """For each block the numbers of the rows that can't be placed, ascending.

    `stopping` are the rows in the state of the allocations that this plan stops.
    """
    stopping = [alloc for alloc in stopping if uses_node(alloc)]
    used = table.used.copy()
    for alloc in stopping:
        if (slot := table.slot_of.get(alloc.node_id)) is not None:
            used[slot] -= demand_of(alloc.allocated_resources)
    slots = [_slots(table, block) for block in blocks]
    doubtful = _doubtful(table, used, blocks, slots)
    names = [bool(block.port_labels) or holds_names(block.resources) for block in blocks]
    if not doubtful.any() and not any(names):
        return [[] for _ in blocks]
    return _row_by_row(table, used, blocks, slots, doubtful, names, _Names(table, stopping))


def node_indexes(block: PlacementBlock) -> NDArray[np.uint32]:
    return np.frombuffer(block.node_index, np.dtype("<u4"))


def _slots(table: NodeTable, block: PlacementBlock) -> NDArray[np.int64]:
    """The slot of each row, -1 where the node is gone or not ready."""
    of_node = np.array([table.slot_of.get(node_id, -1) for node_id in block.node_ids], np.int64)
    of_node[(of_node >= 0) & ~table.ready[of_node]] = -1
    return of_node[node_indexes(block)] if len(block.node_index) else np.zeros(0, np.int64)


def _doubtful(
    table: NodeTable, used: NDArray[np.float64], blocks: Sequence[PlacementBlock], slots: list[NDArray[np.int64]]
) -> NDArray[np.bool_]:
    """Per slot, with one more for "no slot": would the node be over its room if it took everything?"""
    want = used.copy()
    count = table.alloc_count.astype(np.int64)
    for block, of_row in zip(blocks, slots, strict=True):
        rows = np.bincount(of_row[of_row >= 0], minlength=table.slots)
        want += rows[:, None] * demand_of(block.resources)
        count += rows
    placed = np.zeros(table.slots + 1, np.bool_)
    for of_row in slots:
        placed[of_row] = True
    over = (want > table.total).any(axis=1) | (count > table.max_allocs)
    return np.append(over, True) & placed


def _row_by_row(
    table: NodeTable,
    used: NDArray[np.float64],
    blocks: Sequence[PlacementBlock],
    slots: list[NDArray[np.int64]],
    doubtful: NDArray[np.bool_],
    has_names: list[bool],
    names: _Names,
) -> list[list[int]]:
    refused: list[list[int]] = []
    count = table.alloc_count.copy()
    for block, of_row, named in zip(blocks, slots, has_names, strict=True):
        demand = demand_of(block.resources)
        out: list[int] = []
        index = node_indexes(block).tolist()
        for row, slot in enumerate(of_row.tolist()):
            if slot < 0:
                out.append(row)
                continue
            if doubtful[slot] and (
                count[slot] >= table.max_allocs[slot] or (used[slot] + demand > table.total[slot]).any()
            ):
                out.append(row)
                continue
            if named and not names.take(slot, block, row, index[row]):
                out.append(row)
                continue
            used[slot] += demand
            count[slot] += 1
        refused.append(out)
    return refused


class _Names:
    """Ports, cores and devices as the plan leaves them, row after row; nodes are copied when they are touched."""

    def __init__(self, table: NodeTable, stopping: Iterable[Allocation]) -> None:
        self._table = table
        self._held: dict[int, Held] = {}
        for alloc in stopping:
            slot = table.slot_of.get(alloc.node_id)
            if slot is not None and holds_names(alloc.allocated_resources):
                self._held[slot] = hold(self._of(slot), alloc.allocated_resources, -1) or {}

    def _of(self, slot: int) -> Held:
        held = self._held.get(slot)
        if held is None:
            held = {kind: dict(counts) for kind, counts in (self._table.held[slot] or {}).items()}
            self._held[slot] = held
        return held

    def take(self, slot: int, block: PlacementBlock, row: int, node: int) -> bool:
        held = self._of(slot)
        facts = self._table.facts[slot]
        assert facts is not None
        reserved = parse_ports(facts.reserved_ports)
        wanted = list(row_names(block, row, node))
        for kind, name in wanted:
            if name in held.get(kind, ()) or (name in reserved and kind != "cores"):
                return False
        for kind, name in wanted:
            held.setdefault(kind, {})[name] = 1
        return True


def row_names(block: PlacementBlock, row: int, node: int) -> Iterator[tuple[str, int | str]]:
    """What one row of a block holds by name on its node, as `capacity.held_names` says it of an allocation."""
    width = len(block.port_labels)
    if not width:
        yield from held_names(block.resources)
        return
    address = block.host_ips[node] if block.host_ips else ""
    ignored = {port.label for port in block.resources.shared.ports or () if port.ignore_collision}
    ports = np.frombuffer(block.ports, np.dtype("<u2"), width, row * width * 2).tolist()
    for label, port in zip(block.port_labels, ports, strict=True):
        if label not in ignored:
            yield address, port
