"""Places what reconciling a group asked for: the nodes are chosen here, and what can't be placed is explained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raftnomad.fsm.node_columns import BoolColumn, NodeColumns
from raftnomad.model.allocation import AllocMetric
from raftnomad.model.job import Job, TaskGroup
from raftnomad.model.resources import Affinity, Constraint
from raftnomad.scheduler.ask import Ask, Given
from raftnomad.scheduler.changes import Placement, Why
from raftnomad.scheduler.explain import base_metric, failed_metric, with_exhausted, with_scores
from raftnomad.scheduler.feasible import (
    Feasibility,
    candidates,
    constraint_mask,
    feasible,
    group_constraints,
    property_column,
    volume_mask,
)
from raftnomad.scheduler.input import AllocView, SchedulerInput, Victim, oversubscribes
from raftnomad.scheduler.operands import DISTINCT_HOSTS, DISTINCT_PROPERTY
from raftnomad.scheduler.preempt import make_room
from raftnomad.scheduler.rank import GroupRank, Scores
from raftnomad.scheduler.reschedule import previous_nodes
from raftnomad.scheduler.room import Room
from raftnomad.scheduler.spread import DistinctProperty, spreads_of


@dataclass(frozen=True)
class Placed:
    placement: Placement
    slot: int
    given: Given
    victims: tuple[str, ...] = ()
    """Allocations that are preempted for it."""


@dataclass
class GroupOutcome:
    """What became of the placements of one group under one version of the job."""

    ask: Ask
    feasibility: Feasibility
    metric: AllocMetric
    placed: list[Placed] = field(default_factory=list)
    failed: list[Placement] = field(default_factory=list)
    failure: AllocMetric | None = None
    full_slots: list[int] = field(default_factory=list)
    """Of a system job: the nodes that should have run one and have no room."""


class _Peer(NamedTuple):
    """An allocation of the job that goes on; one that was just placed has no id yet."""

    alloc_id: str
    task_group: str
    slot: int


class Placer:
    """`live` are the job's allocations that go on: they count for anti-affinity, spreads and distinct constraints."""

    def __init__(self, input: SchedulerInput, nodes: NodeColumns, room: Room, live: Iterable[AllocView]) -> None:
        self._input = input
        self._nodes = nodes
        self._room = room
        slot_of = nodes.slot_of
        self._peers = [
            _Peer(alloc.id, alloc.task_group, slot_of[alloc.node_id]) for alloc in live if alloc.node_id in slot_of
        ]
        self._evicted: dict[str, None] = {}
        self._peer_ids = {peer.alloc_id for peer in self._peers}

    def place(self, job: Job, group: TaskGroup, placements: list[Placement]) -> GroupOutcome:
        """Placements that are alike are placed together; those with wishes of their own come first."""
        start = candidates(self._nodes, job) & self._nodes.ready
        found = feasible(self._nodes, start, job, group)
        ask = Ask(group, oversubscribes(self._input))
        rank = self._rank(job, group, ask, found)
        self._leave([placement.previous for placement in placements if _frees(placement)], rank)
        metric = base_metric(self._nodes, job, start, found)
        scores = rank.components()
        outcome = GroupOutcome(ask, found, with_scores(with_exhausted(metric, rank, scores), rank, scores))
        special: list[Placement] = []
        alike: list[Placement] = []
        for placement in placements:
            (special if self._is_special(placement) else alike).append(placement)
        for placement in special:
            self._place_special(rank, placement, outcome)
        placed = rank.place_many(len(alike))
        for placement, (slot, given) in zip(alike, placed, strict=False):
            outcome.placed.append(Placed(placement, slot, given))
        outcome.failed.extend(alike[len(placed) :])
        if any(_frees(placement) for placement in outcome.failed):
            self._place_again(rank, placements, outcome)
        if self._input.victims and outcome.failed:
            self._preempt(rank, outcome)
        if outcome.failed:
            now = with_exhausted(metric, rank, rank.components())
            outcome.failure = failed_metric(now, group, len(outcome.failed))
        self._remember(outcome.placed)
        return outcome

    def _remember(self, placed: list[Placed]) -> None:
        """For the groups that come after."""
        replaced = {one.placement.previous.id for one in placed if one.placement.previous and _frees(one.placement)}
        if replaced:
            self._peers = [peer for peer in self._peers if peer.alloc_id not in replaced]
        self._peers.extend(_Peer("", one.placement.group.name, one.slot) for one in placed)

    def _place_again(self, rank: GroupRank, placements: list[Placement], outcome: GroupOutcome) -> None:
        """Not everything fits, and what is not replaced has to stay: so its room can't be lent in advance. Take all
        back and go one by one."""
        for one in outcome.placed:
            rank.take(one.slot, -1)
            self._take_back(rank, one)
        for placement in placements:
            if _frees(placement) and placement.previous is not None:
                self._return(placement.previous, rank)
        outcome.placed, outcome.failed = [], []
        rank.refusals.clear()
        for placement in placements:
            previous = placement.previous if _frees(placement) else None
            self._leave([previous], rank)
            before = len(outcome.placed)
            self._place_special(rank, placement, outcome)
            if previous is not None and len(outcome.placed) == before:
                self._return(previous, rank)

    def _preempt(self, rank: GroupRank, outcome: GroupOutcome) -> None:
        """What found no place takes that of others: of all nodes, where the least important and the fewest go."""
        failed, outcome.failed = outcome.failed, []
        for placement in failed:
            previous = placement.previous if _frees(placement) else None
            self._leave([previous], rank)
            best = min(self._ways(rank), default=None)
            if best is None:
                if previous is not None:
                    self._return(previous, rank)
                outcome.failed.append(placement)
                continue
            slot = best[2]
            chosen = make_room(rank, slot, self._victims_on(slot))
            given = self._room.give(slot, rank.ask) if rank.ask.by_name else Given()
            assert isinstance(given, Given)
            rank.take(slot)
            self._evicted.update(dict.fromkeys(victim.alloc.id for victim in chosen))
            outcome.placed.append(Placed(placement, slot, given, tuple(victim.alloc.id for victim in chosen)))

    def _ways(self, rank: GroupRank) -> Iterator[tuple[int, int, int]]:
        """(priority of the most important victim, number of victims, slot) of each node that can be made to take it."""
        for node_id in self._input.victims:
            slot = self._nodes.slot_of.get(node_id)
            if slot is None or not rank.mask[slot] or not all(one.allows(slot) for one in rank.distinct):
                continue
            chosen = make_room(rank, slot, self._victims_on(slot))
            for victim in chosen:
                self._room.occupy(victim.alloc)
            if chosen:
                yield max(victim.priority for victim in chosen), len(chosen), slot

    def _victims_on(self, slot: int) -> list[Victim]:
        facts = self._nodes.facts[slot]
        assert facts is not None
        return [one for one in self._input.victims[facts.id] if one.alloc.id not in self._evicted]

    def _take_back(self, rank: GroupRank, one: Placed) -> None:
        self._room.release(one.slot, rank.ask, one.given)
        if rank.distinct_hosts:
            rank.mask[one.slot] = True
            rank.taken_hosts[one.slot] = False

    def _leave(self, stopping: Iterable[AllocView | None], rank: GroupRank) -> None:
        """They stop when their replacements are placed, so that these may take their room."""
        for alloc in stopping:
            if alloc is None:
                continue
            self._room.free(alloc)
            slot = self._nodes.slot_of.get(alloc.node_id)
            if slot is not None and alloc.id in self._peer_ids:
                rank.count_peer(slot, -1)
                rank.reopen(slot)

    def _return(self, alloc: AllocView, rank: GroupRank) -> None:
        self._room.occupy(alloc)
        slot = self._nodes.slot_of.get(alloc.node_id)
        if slot is not None and alloc.id in self._peer_ids:
            rank.count_peer(slot, 1)

    def _is_special(self, placement: Placement) -> bool:
        """It has nodes that it rather avoids or must have, unlike the others."""
        if placement.group.volumes and any(volume.per_alloc for volume in placement.group.volumes.values()):
            return True
        if placement.previous is None:
            return False
        disk = placement.group.ephemeral_disk
        return placement.why is Why.RESCHEDULE or placement.why is Why.LOST or bool(disk and disk.sticky)

    def _place_special(self, rank: GroupRank, placement: Placement, outcome: GroupOutcome) -> None:
        only = self._volumes_of(placement)
        penalized: list[int] = []
        previous = placement.previous
        if previous is not None:
            slot_of = self._nodes.slot_of
            if placement.why in (Why.RESCHEDULE, Why.LOST):
                penalized = [slot_of[node_id] for node_id in previous_nodes(previous) if node_id in slot_of]
            elif placement.group.ephemeral_disk and placement.group.ephemeral_disk.sticky:
                home = np.zeros(self._nodes.slots, np.bool_)
                if previous.node_id in slot_of:
                    home[slot_of[previous.node_id]] = True
                if (best := rank.place_one((), home if only is None else home & only)) is not None:
                    outcome.placed.append(Placed(placement, *best))
                    return
        best = rank.place_one(penalized, only)
        if best is None:
            outcome.failed.append(placement)
        else:
            outcome.placed.append(Placed(placement, *best))

    def _volumes_of(self, placement: Placement) -> BoolColumn | None:
        """Volumes of which each allocation has its own: `source[number]`."""
        only: BoolColumn | None = None
        for volume in (placement.group.volumes or {}).values():
            if volume.per_alloc:
                mask = volume_mask(self._nodes, f"{volume.source}[{placement.index}]", volume.read_only)
                only = mask if only is None else only & mask
        return only

    def _spreads_out(self) -> bool:
        pool = self._input.node_pool
        own = pool.scheduler_configuration.scheduler_algorithm if pool and pool.scheduler_configuration else ""
        return (own or self._input.configuration.scheduler_algorithm) == "spread"

    def _rank(self, job: Job, group: TaskGroup, ask: Ask, found: Feasibility) -> GroupRank:
        everywhere = [peer.slot for peer in self._peers]
        peers = [peer.slot for peer in self._peers if peer.task_group == group.name]
        spreads = [*(job.spreads or ()), *(group.spreads or ())]
        rank = GroupRank(
            room=self._room,
            ask=ask,
            mask=found.mask.copy(),
            collisions=np.zeros(self._nodes.slots, np.int64),
            count=group.count,
            spread_algorithm=self._spreads_out(),
            affinity=self._affinity(job, group),
            spreads=spreads_of([(one, property_column(self._nodes, one.attribute)) for one in spreads], group.count),
        )
        for slot in peers:
            rank.count_peer(slot)
        hosts = [*_operand(job.constraints, DISTINCT_HOSTS), *_operand(group_constraints(group), DISTINCT_HOSTS)]
        if any(constraint.r_target.lower() not in ("false", "0") for constraint in hosts):
            whole_job = any(True for _ in _operand(job.constraints, DISTINCT_HOSTS))
            rank.distinct_hosts = True
            rank.take_hosts(np.array(everywhere if whole_job else peers, np.int64))
        rank.distinct = [
            *self._distinct(_operand(job.constraints, DISTINCT_PROPERTY), everywhere),
            *self._distinct(_operand(group_constraints(group), DISTINCT_PROPERTY), peers),
        ]
        return rank

    def _distinct(self, constraints: Iterable[Constraint], slots: list[int]) -> Iterable[DistinctProperty]:
        for constraint in constraints:
            limit = int(constraint.r_target) if constraint.r_target.isdecimal() else 1
            distinct = DistinctProperty(property_column(self._nodes, constraint.l_target), constraint.l_target, limit)
            for slot in slots:
                distinct.add(slot)
            yield distinct

    def _affinity(self, job: Job, group: TaskGroup) -> Scores | None:
        """-1 to 1: the weights of the affinities that a node meets, of all weights."""
        affinities: list[Affinity] = [*(job.affinities or ()), *(group.affinities or ())]
        for task in group.tasks or ():
            affinities.extend(task.affinities or ())
        total = sum(abs(affinity.weight) for affinity in affinities)
        if not total:
            return None
        score: NDArray[np.float64] = np.zeros(self._nodes.slots)
        for affinity in affinities:
            score += np.where(constraint_mask(self._nodes, affinity), affinity.weight, 0)
        return score / total


def _frees(placement: Placement) -> bool:
    """The previous allocation stops if and only if this one is placed."""
    return placement.stop is not None and placement.why is not Why.MIGRATE


def _operand(constraints: Iterable[Constraint] | None, operand: str) -> Iterable[Constraint]:
    return (constraint for constraint in constraints or () if constraint.operand == operand)
