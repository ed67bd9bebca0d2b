"""System and sysbatch jobs: one allocation of each group on every node that may run it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from raftnomad.fsm.node_columns import BoolColumn, NodeColumns
from raftnomad.model.allocation import AllocMetric
from raftnomad.model.deployment import Deployment
from raftnomad.model.job import Job, TaskGroup
from raftnomad.model.plan import AllocUpdate, PlacementBlock
from raftnomad.model.status import (
    ACTIVE_DEPLOYMENT_STATUSES,
    ClientStatus,
    DeploymentStatus,
    DesiredStatus,
    EvalStatus,
    EvalTrigger,
    JobType,
)
from raftnomad.scheduler.ask import Ask, Given
from raftnomad.scheduler.blocks import blocks_of, evictions
from raftnomad.scheduler.chance import Chance
from raftnomad.scheduler.changed import must_replace
from raftnomad.scheduler.changes import (
    LOST,
    NODE_TAINTED,
    NOT_NEEDED,
    UPDATING,
    Changes,
    GroupChanges,
    Placement,
    Why,
    gone_with_their_nodes,
    stop_of,
)
from raftnomad.scheduler.deployments import cancel_unneeded, complete, create_deployment, new_state
from raftnomad.scheduler.evaluations import blocked_evaluation
from raftnomad.scheduler.explain import base_metric, failed_metric, with_exhausted, with_scores
from raftnomad.scheduler.feasible import Feasibility, candidates, feasible
from raftnomad.scheduler.finish import finished, plan_of
from raftnomad.scheduler.input import AllocView, SchedulerInput, SchedulerOutput, Victim, oversubscribes
from raftnomad.scheduler.place import GroupOutcome, Placed
from raftnomad.scheduler.preempt import make_room, may_preempt
from raftnomad.scheduler.rank import GroupRank
from raftnomad.scheduler.room import Room


def schedule_system(input: SchedulerInput, nodes: NodeColumns) -> SchedulerOutput:
    chance = Chance(input.seed)
    room = Room(nodes, chance)
    job = None if input.job is None or input.job.stop else input.job
    updates = cancel_unneeded(input.deployment, job)
    changes = Changes({}, deployment_updates=updates)
    current = None if updates or job is None else _deployment_of(input.deployment, job)
    by_group: dict[str, list[AllocView]] = {group.name: [] for group in (job.task_groups if job else None) or ()}
    for alloc in input.allocations:
        by_group.setdefault(alloc.task_group, []).append(alloc)
    groups: list[_SystemGroup] = []
    for group in (job.task_groups if job else None) or ():
        assert job is not None
        one = _SystemGroup(input, nodes, room, job, group, by_group.pop(group.name), current)
        one.reconcile()
        groups.append(one)
        changes.groups[group.name] = one.changes
    for name, allocs in by_group.items():
        changes.groups[name] = _stop_all(input, allocs)
    for group_changes in changes.groups.values():
        for alloc, _ in group_changes.stop:
            room.free(alloc)
    outcomes = [one.place() for one in groups]
    if job is not None:
        changes.deployment = create_deployment(input, job, changes.groups, current, chance.id)
        changes.current = changes.deployment or (current if _is_active(current) else None)
        changes.deployment_updates.extend(complete(current, changes.groups))
    return _output(input, nodes, changes, outcomes, chance)


def _deployment_of(deployment: Deployment | None, job: Job) -> Deployment | None:
    if deployment is None or deployment.status in (DeploymentStatus.SUCCESSFUL, DeploymentStatus.CANCELLED):
        return None
    is_this = deployment.job_version == job.version and deployment.job_create_index == job.create_index
    return deployment if is_this else None


def _is_active(deployment: Deployment | None) -> bool:
    return deployment is not None and deployment.status in ACTIVE_DEPLOYMENT_STATUSES


def _stop_all(input: SchedulerInput, allocs: list[AllocView]) -> GroupChanges:
    changes = GroupChanges(None)
    for alloc in allocs:
        if not alloc.is_terminal:
            lost = alloc.node_id in input.tainted
            changes.stop_now(alloc, LOST if lost else NOT_NEEDED, ClientStatus.LOST if lost else "")
            changes.count("stop")
    return changes


def _output(
    input: SchedulerInput, nodes: NodeColumns, changes: Changes, outcomes: list[GroupOutcome], chance: Chance
) -> SchedulerOutput:
    stops = gone_with_their_nodes(input)
    updates: list[AllocUpdate] = []
    blocks: list[PlacementBlock] = []
    current = changes.current
    for name, group in changes.groups.items():
        stops.update((alloc.id, stop) for alloc, stop in group.stop)
        deployed = current.id if current is not None and name in (current.task_groups or {}) else ""
        updates.extend(AllocUpdate(alloc_id=alloc.id, deployment_id=deployed) for alloc in group.in_place)
    for outcome in outcomes:
        version = input.job.version if input.job else 0
        for block, placed in blocks_of(outcome, nodes, version, current, chance):
            blocks.append(block)
            stops.update(evictions(block, placed))
        stops.update((one.placement.stop.alloc_id, one.placement.stop) for one in outcome.placed if one.placement.stop)
    failed: dict[str, AllocMetric] = {
        outcome.ask.group.name: outcome.failure for outcome in outcomes if outcome.failure is not None
    }
    plan = plan_of(input, changes, blocks, stops, updates)
    evaluation = finished(input, changes, outcomes, failed, plan)
    waiting = [(outcome.ask.group, outcome.feasibility) for outcome in outcomes if outcome.failed]
    if not waiting:
        return SchedulerOutput(plan=plan, evaluation=evaluation)
    assert input.job is not None
    start = candidates(nodes, input.job) & nodes.ready
    exhausted = {name: metric for name, metric in failed.items() if metric.nodes_exhausted}
    blocked = blocked_evaluation(input, nodes, start, waiting, exhausted, chance.id())
    full = {slot for outcome in outcomes for slot in outcome.full_slots}
    if len(full) == 1 and (facts := nodes.facts[full.pop()]) is not None:
        blocked = msgspec.structs.replace(blocked, node_id=facts.id)
    short = _short_of_room(input, outcomes, nodes)
    if input.evaluation.status == EvalStatus.BLOCKED:
        return SchedulerOutput(plan=plan, evaluation=blocked, short_of_room=short)
    evaluation = msgspec.structs.replace(evaluation, blocked_eval=blocked.id)
    return SchedulerOutput(plan=plan, evaluation=evaluation, created=(blocked,), short_of_room=short)


def _short_of_room(input: SchedulerInput, outcomes: list[GroupOutcome], nodes: NodeColumns) -> tuple[str, ...]:
    if input.victims or input.job is None or not may_preempt(input.configuration, input.job.type):
        return ()
    slots = dict.fromkeys(slot for outcome in outcomes for slot in outcome.full_slots)
    return tuple(facts.id for slot in slots if (facts := nodes.facts[slot]) is not None)


@dataclass(frozen=True)
class _Wanted:
    slot: int
    placement: Placement


class _SystemGroup:
    def __init__(
        self,
        input: SchedulerInput,
        nodes: NodeColumns,
        room: Room,
        job: Job,
        group: TaskGroup,
        allocs: list[AllocView],
        current: Deployment | None,
    ) -> None:
        self._input = input
        self._nodes = nodes
        self._room = room
        self._job = job
        self._group = group
        self._allocs = allocs
        self._current = current
        self._is_batch = job.type == JobType.SYSBATCH
        self.changes = GroupChanges(group)
        self._in_place_mask: BoolColumn = candidates(nodes, job)
        self._start: BoolColumn = self._in_place_mask & nodes.ready
        self._found: Feasibility = feasible(nodes, self._in_place_mask, job, group)
        self._mask: BoolColumn = self._found.mask & nodes.ready
        if group.count == 0:
            self._mask = np.zeros(nodes.slots, np.bool_)
        self._wanted: list[_Wanted] = []
        self._had_some = False

    def reconcile(self) -> None:
        occupied: list[int] = []
        destructive: list[tuple[int, AllocView]] = []
        for alloc in self._allocs:
            slot = self._nodes.slot_of.get(alloc.node_id, -1)
            if alloc.is_terminal:
                if slot >= 0 and self._is_done(alloc):
                    occupied.append(slot)
                continue
            if not self._keep(alloc, slot):
                continue
            self._had_some = True
            occupied.append(slot)
            self._update(alloc, slot, destructive)
        limit = self._limit(len(destructive))
        for slot, alloc in destructive[:limit]:
            self._wanted.append(
                _Wanted(slot, Placement(self._group, self._job, 0, Why.UPDATE, alloc, None, stop_of(alloc, UPDATING)))
            )
        self.changes.count("destructive_update", min(len(destructive), limit))
        self.changes.count("ignore", max(len(destructive) - limit, 0))
        open_slots = self._mask.copy()
        open_slots[occupied] = False
        for slot in np.flatnonzero(open_slots).tolist():
            self._wanted.append(_Wanted(slot, Placement(self._group, self._job, 0, Why.NEW)))
        self._deploy(limit < len(destructive) or bool(destructive))

    def _is_done(self, alloc: AllocView) -> bool:
        """Nothing is placed where this one ended: a batch run of this version, or one that a user stopped."""
        same = alloc.job_version == self._job.version and alloc.job_create_index == self._job.create_index
        if not same:
            return False
        if self._is_batch and alloc.client_status in (ClientStatus.COMPLETE, ClientStatus.FAILED):
            return alloc.desired_status == DesiredStatus.RUN
        stopped_by_user = alloc.migrate and alloc.desired_status != DesiredStatus.RUN
        return stopped_by_user and self._input.evaluation.triggered_by == EvalTrigger.ALLOC_STOP

    def _keep(self, alloc: AllocView, slot: int) -> bool:
        """Whether it goes on; else it has been stopped."""
        if alloc.node_id in self._input.tainted:
            self._stop(alloc, LOST, ClientStatus.LOST)
        elif alloc.migrate:
            # A drain, or `alloc stop`: it can't go elsewhere.
            self._stop(alloc, NODE_TAINTED)
            if slot >= 0:
                self._mask[slot] = False
        elif slot < 0 or (not self._found.mask[slot]) or self._group.count == 0:
            self._stop(alloc, NOT_NEEDED)
        else:
            return True
        return False

    def _stop(self, alloc: AllocView, description: str, client_status: str = "") -> None:
        self.changes.stop_now(alloc, description, client_status)
        self.changes.count("stop")

    def _update(self, alloc: AllocView, slot: int, destructive: list[tuple[int, AllocView]]) -> None:
        job = self._job
        same_job = alloc.job_create_index == job.create_index
        if same_job and alloc.job_version == job.version:
            self.changes.count("ignore")
            return
        before = self._input.versions.get(alloc.job_version)
        if not same_job or before is None or must_replace(before, job, self._group.name):
            destructive.append((slot, alloc))
        else:
            self.changes.in_place.append(alloc)
            self.changes.count("in_place_update")

    def _limit(self, wanted: int) -> int:
        strategy = self._group.update
        if strategy is None or strategy.max_parallel <= 0 or self._is_batch:
            return wanted
        limit = strategy.max_parallel
        if self._current is not None:
            if self._current.status in (DeploymentStatus.PAUSED, DeploymentStatus.FAILED):
                return 0
            for alloc in self._allocs:
                if alloc.deployment_id == self._current.id and not alloc.is_terminal:
                    if alloc.healthy is False:
                        return 0
                    limit -= alloc.healthy is None
        return max(min(limit, wanted), 0)

    def _deploy(self, is_unfinished: bool) -> None:
        strategy = self._group.update
        if strategy is not None and strategy.max_parallel > 0 and not self._is_batch:
            known = (self._current.task_groups or {}).get(self._group.name) if self._current else None
            self.changes.state = known or new_state(strategy, int(self._mask.sum()))
        self.changes.is_complete = not (is_unfinished or self._wanted or self.changes.in_place)

    def place(self) -> GroupOutcome:
        ask = Ask(self._group, oversubscribes(self._input))
        rank = GroupRank(self._room, ask, self._mask, np.zeros(self._nodes.slots, np.int64), 1)
        shown = Feasibility(self._nodes, self._start)
        shown.reasons, shown.reason = self._found.reasons, self._found.reason
        shown.mask, shown.by_class = self._found.mask & self._start, self._found.by_class & self._start
        metric = base_metric(self._nodes, self._job, self._start, shown)
        scores = rank.components()
        outcome = GroupOutcome(
            ask, shown, with_scores(msgspec.structs.replace(metric, node_pool=""), rank, scores, True)
        )
        for wanted in self._wanted:
            self._place_one(rank, wanted, outcome)
        placed = sum(one.placement.why is Why.NEW for one in outcome.placed)
        tried = sum(wanted.placement.why is Why.NEW for wanted in self._wanted)
        self.changes.count("place", tried if self._is_batch else placed)
        if outcome.failed:
            full = np.zeros(self._nodes.slots, np.bool_)
            full[[wanted.slot for wanted in self._wanted]] = True
            full[[one.slot for one in outcome.placed]] = False
            rank.mask = full
            now = with_exhausted(metric, rank, rank.components())
            outcome.failure = failed_metric(now, self._group, 1)
        elif not outcome.placed and not self._had_some and metric.nodes_filtered:
            # Only what was filtered is said, as Nomad does: the nodes that a system job can't run on don't wait.
            outcome.failure = msgspec.structs.replace(metric, nodes_available=None, node_pool="", nodes_in_pool=0)
        return outcome

    def _place_one(self, rank: GroupRank, wanted: _Wanted, outcome: GroupOutcome) -> None:
        slot, placement = wanted.slot, wanted.placement
        previous = placement.previous
        if previous is not None:
            self._room.free(previous)
        fits = bool((self._room.used[slot] + rank.demand[slot] <= self._nodes.total[slot]).all())
        given: Given | str = "full"
        if fits and self._room.limit_of(slot) >= 1:
            given = self._room.give(slot, rank.ask) if rank.ask.by_name else Given()
        victims: list[Victim] = []
        if isinstance(given, str):
            victims, given = self._preempt(rank, slot, given)
        if isinstance(given, str):
            if fits:
                rank.refusals[slot] = given
            if previous is not None:
                self._room.occupy(previous)
            outcome.failed.append(placement)
            outcome.full_slots.append(slot)
            return
        self._room.used[slot] += rank.demand[slot]
        self._room.alloc_count[slot] += 1
        outcome.placed.append(Placed(placement, slot, given, tuple(victim.alloc.id for victim in victims)))

    def _preempt(self, rank: GroupRank, slot: int, refusal: str) -> tuple[list[Victim], Given | str]:
        """Who goes from the node, and what it gives then; its refusal when nothing helps."""
        facts = self._nodes.facts[slot]
        victims = self._input.victims.get(facts.id, ()) if facts is not None else ()
        chosen = make_room(rank, slot, victims)
        if not chosen:
            return [], refusal
        return chosen, self._room.give(slot, rank.ask) if rank.ask.by_name else Given()
