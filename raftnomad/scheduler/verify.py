"""The leader's check of a plan against the newest state, before it is proposed."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from raftnomad.fsm.plan_check import node_indexes, refused_rows
from raftnomad.fsm.state import State
from raftnomad.identifiers import id_text
from raftnomad.model.plan import PlacementBlock, Plan
from raftnomad.scheduler.changes import MIGRATING


@dataclass(frozen=True)
class Verified:
    """`plan` is what can be proposed. When something was refused the evaluation is not done: it has to be scheduled
    once more, from a state as new as the one that refused."""

    plan: Plan
    refused: tuple[str, ...]
    """Allocation ids."""
    refused_nodes: tuple[str, ...]


def verify(state: State, plan: Plan) -> Verified:
    """Costs a pass over the nodes' columns; rows are looked at one by one only where a node is short of room or ports
    are given."""
    refused: list[str] = []
    nodes: dict[str, None] = {}
    # What is no longer stopped, since its replacement was refused, takes its room back: so look again.
    while True:
        stopping = [alloc for stop in plan.stops if (alloc := state.allocations.get(stop.alloc_id)) is not None]
        rows = refused_rows(state.node_table, plan.placements, stopping)
        if not any(rows):
            return Verified(plan, tuple(refused), tuple(nodes))
        for block, numbers in zip(plan.placements, rows, strict=True):
            index = node_indexes(block)
            for row in numbers:
                refused.append(_alloc_id(block, row))
                nodes[block.node_ids[int(index[row])]] = None
        if plan.all_at_once:
            every = [_alloc_id(block, row) for block in plan.placements for row in _all_rows(block)]
            return Verified(_nothing_of(plan), tuple(every), tuple(nodes))
        plan = without_rows(plan, rows)


def _alloc_id(block: PlacementBlock, row: int) -> str:
    return id_text(block.alloc_ids[16 * row : 16 * row + 16])


def _nothing_of(plan: Plan) -> Plan:
    return msgspec.structs.replace(plan, placements=(), stops=(), updates=(), deployment=None, deployment_updates=())


def _all_rows(block: PlacementBlock) -> list[int]:
    return list(range(len(block.node_index) // 4))


def without_rows(plan: Plan, refused: list[list[int]]) -> Plan:
    """The plan without those rows of its blocks, and without the stops that were only for their sake."""
    blocks: list[PlacementBlock] = []
    kept_alive: set[str] = set()
    not_placed: set[str] = set()
    for block, numbers in zip(plan.placements, refused, strict=True):
        kept_alive.update(previous for row in numbers if (previous := (block.previous or {}).get(row)) is not None)
        not_placed.update(_alloc_id(block, row) for row in numbers)
        rest = [row for row in _all_rows(block) if row not in set(numbers)]
        if rest:
            blocks.append(_with_rows(block, rest) if numbers else block)
    stops = tuple(
        stop
        for stop in plan.stops
        if stop.preempted_by not in not_placed
        and (stop.alloc_id not in kept_alive or stop.client_status or stop.desired_description == MIGRATING)
    )
    return msgspec.structs.replace(plan, placements=tuple(blocks), stops=stops)


def _with_rows(block: PlacementBlock, rows: list[int]) -> PlacementBlock:
    def chosen(column: bytes, width: int) -> bytes:
        if not width:
            return column
        return np.frombuffer(column, np.uint8).reshape(-1, width)[rows].tobytes()

    number = {row: position for position, row in enumerate(rows)}
    return msgspec.structs.replace(
        block,
        alloc_ids=chosen(block.alloc_ids, 16),
        node_index=chosen(block.node_index, 4),
        name_index=chosen(block.name_index, 4),
        ports=chosen(block.ports, 2 * len(block.port_labels)),
        previous={number[row]: value for row, value in (block.previous or {}).items() if row in number} or None,
        reschedule_trackers={
            number[row]: value for row, value in (block.reschedule_trackers or {}).items() if row in number
        }
        or None,
    )
