"""Plans become entries of the log.

The log is the order, and the state checks every placement when it applies the entry. What is hopeless already, since
another plan has taken the room while this one was made, is left out here and never enters the log. A plan that is too
long for one entry goes in parts. The evaluation travels with the last part; where a placement was refused it stays
behind, and the worker tries again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from msgspec.structs import replace

from raftnomad.fsm.commands import ApplyPlan, Command
from raftnomad.fsm.outcome import Applied
from raftnomad.fsm.state import State
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.plan import PlacementBlock, Plan
from raftnomad.scheduler.input import changes_nothing
from raftnomad.scheduler.verify import verify


class PlanApplier:
    def __init__(
        self, propose: Callable[[Command], Awaitable[Applied]], state: State, epoch: int, part_bytes: int
    ) -> None:
        self._state = state
        self._propose = propose
        self._epoch = epoch
        self._part_bytes = part_bytes

    async def apply(
        self, plan: Plan, evaluations: tuple[Evaluation, ...], preempted: tuple[Evaluation, ...] = ()
    ) -> tuple[int, tuple[str, ...]]:
        """Returns the last index and the ids of refused placements; with any, the evaluations were not stored.

        `preempted` are evaluations of the jobs that lose something to the plan, and stored with that.
        """
        verified = verify(self._state, plan)
        refused = verified.refused
        index = self._state.index
        if refused and changes_nothing(verified.plan):
            return index, refused
        parts = list(parts_of(verified.plan, self._part_bytes))
        for position, part in enumerate(parts):
            is_last = position == len(parts) - 1
            carried = evaluations if is_last and not refused else ()
            command = ApplyPlan(plan=part, evaluations=carried, epoch=self._epoch, preempted=preempted)
            applied = await self._propose(command)
            refused += applied.refused
            index = applied.index
        return index, refused


def parts_of(plan: Plan, part_bytes: int) -> Iterator[Plan]:
    """The plan in pieces of about `part_bytes`: stops and updates first, as they make room for what follows.

    An allocation that replaces another one of its node has to be in the part of the other's stop, or the room would
    not be there yet: a plan that both stops and places is cut only when it is far too long.
    """
    size = sum(map(_size, plan.placements)) + 300 * (len(plan.stops) + len(plan.updates))
    if plan.all_at_once or size <= part_bytes:
        yield plan
        return
    blocks = [piece for block in plan.placements for piece in _pieces(block, part_bytes)]
    if plan.stops:
        yield from _with_stops(plan, blocks, part_bytes)
        return
    first = replace(plan, placements=tuple(blocks[:1]))
    rest = replace(plan, placements=(), updates=(), deployment=None, deployment_updates=(), annotations=None)
    yield first
    for block in blocks[1:]:
        yield replace(rest, placements=(block,))


def _with_stops(plan: Plan, blocks: list[PlacementBlock], part_bytes: int) -> Iterator[Plan]:
    """Every part names all the stops: stopping twice is stopping once, and the room counts for each part."""
    budget = max(1, (3 * 1024 * 1024 - 300 * len(plan.stops)) // part_bytes)
    groups = [blocks[start : start + budget] for start in range(0, len(blocks), budget)] or [[]]
    for position, group in enumerate(groups):
        part = replace(plan, placements=tuple(group))
        if position:
            part = replace(part, updates=(), deployment=None, deployment_updates=(), annotations=None)
        yield part


def _size(block: PlacementBlock) -> int:
    rows = len(block.alloc_ids) // 16
    extra = 100 * (len(block.previous or ()) + len(block.reschedule_trackers or ()))
    return 2_000 + rows * (24 + 2 * len(block.port_labels)) + 60 * len(block.node_ids) + extra


def _pieces(block: PlacementBlock, part_bytes: int) -> Iterator[PlacementBlock]:
    """The block's rows in slices; each piece keeps the whole list of nodes, by which its rows count."""
    rows = len(block.alloc_ids) // 16
    row_bytes = 24 + 2 * len(block.port_labels) + (100 if block.previous else 0)
    step = max(1, (part_bytes - 60 * len(block.node_ids)) // row_bytes, 500)
    width = 2 * len(block.port_labels)
    for start in range(0, rows, step):
        end = min(rows, start + step)
        yield replace(
            block,
            alloc_ids=block.alloc_ids[16 * start : 16 * end],
            node_index=block.node_index[4 * start : 4 * end],
            name_index=block.name_index[4 * start : 4 * end],
            ports=block.ports[width * start : width * end],
            previous=_shifted(block.previous, start, end),
            reschedule_trackers=_shifted(block.reschedule_trackers, start, end),
        )


V = TypeVar("V")


def _shifted(rows: dict[int, V] | None, start: int, end: int) -> dict[int, V] | None:
    if rows is None:
        return None
    return {row - start: value for row, value in rows.items() if start <= row < end}
