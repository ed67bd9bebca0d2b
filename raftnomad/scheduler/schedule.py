"""An evaluation becomes a plan. `job plan` and the real thing are this one function: only who carries it out differs.

The same input and nodes give the same output, to the byte: chance comes from the input's seed.
"""

from __future__ import annotations

import msgspec
import numpy as np

from raftnomad.fsm.node_columns import BoolColumn, NodeColumns
from raftnomad.model.allocation import AllocMetric
from raftnomad.model.job import Job, TaskGroup
from raftnomad.model.plan import AllocStop, AllocUpdate, PlacementBlock
from raftnomad.model.status import EvalStatus, EvalTrigger, JobType
from raftnomad.scheduler.blocks import blocks_of, evictions
from raftnomad.scheduler.chance import Chance
from raftnomad.scheduler.changes import UNKNOWN, Changes, Placement, Why, gone_with_their_nodes
from raftnomad.scheduler.evaluations import FollowUps, blocked_evaluation
from raftnomad.scheduler.feasible import candidates, feasible
from raftnomad.scheduler.finish import finished, plan_of
from raftnomad.scheduler.input import AllocView, SchedulerInput, SchedulerOutput
from raftnomad.scheduler.place import GroupOutcome, Placer
from raftnomad.scheduler.preempt import NODES_MAX, may_preempt
from raftnomad.scheduler.reconcile import reconcile
from raftnomad.scheduler.room import Room
from raftnomad.scheduler.system import schedule_system


def schedule(input: SchedulerInput, nodes: NodeColumns) -> SchedulerOutput:
    job_type = input.job.type if input.job is not None else input.evaluation.type
    if job_type in (JobType.SYSTEM, JobType.SYSBATCH):
        return schedule_system(input, nodes)
    return _schedule_generic(input, nodes)


def _schedule_generic(input: SchedulerInput, nodes: NodeColumns) -> SchedulerOutput:
    chance = Chance(input.seed)
    changes = reconcile(input, _Nodes(nodes).can_stay, chance.id)
    follow_ups = FollowUps(input, chance.id)
    room = Room(nodes, chance)
    stops = _unconditional_stops(input, changes, room)
    updates = list(_updates(changes, follow_ups, stops))
    outcomes = _place(input, nodes, room, changes, stops)
    blocks: list[PlacementBlock] = []
    for outcome in outcomes:
        version = input.job.version if input.job else 0
        for block, placed in blocks_of(outcome, nodes, version, changes.current, chance):
            blocks.append(block)
            stops.update(evicted := evictions(block, placed))
            changes.groups[outcome.ask.group.name].count("preemptions", len(evicted))
        for one in outcome.placed:
            if one.placement.stop is not None:
                stops.setdefault(one.placement.stop.alloc_id, one.placement.stop)
    failed = _failed(outcomes)
    plan = plan_of(input, changes, blocks, stops, updates)
    created = list(follow_ups.evaluations)
    evaluation = finished(input, changes, outcomes, failed, plan)
    if created:
        evaluation = msgspec.structs.replace(evaluation, next_eval=created[0].id)
    if failed:
        found = [outcome for outcome in outcomes if outcome.failed]
        assert input.job is not None
        start = candidates(nodes, input.job) & nodes.ready
        blocked = blocked_evaluation(
            input, nodes, start, [(one.ask.group, one.feasibility) for one in found], failed, chance.id()
        )
        if input.evaluation.status == EvalStatus.BLOCKED:
            evaluation = blocked
        else:
            created.append(blocked)
            evaluation = msgspec.structs.replace(evaluation, blocked_eval=blocked.id)
    short = _short_of_room(input, nodes, outcomes)
    return SchedulerOutput(plan=plan, evaluation=evaluation, created=tuple(created), short_of_room=short)


def _short_of_room(input: SchedulerInput, nodes: NodeColumns, outcomes: list[GroupOutcome]) -> tuple[str, ...]:
    """Nodes that could run what found no place."""
    if input.victims or input.job is None or not may_preempt(input.configuration, input.job.type):
        return ()
    slots: dict[int, None] = {}
    for outcome in outcomes:
        if outcome.failed:
            slots.update(dict.fromkeys(np.flatnonzero(outcome.feasibility.mask)[:NODES_MAX].tolist()))
    return tuple(facts.id for slot in slots if (facts := nodes.facts[slot]) is not None)


class _Nodes:
    """Whether allocations can stay where they are; each (version, group) is looked at once."""

    def __init__(self, nodes: NodeColumns) -> None:
        self._nodes = nodes
        self._masks: dict[tuple[int, str], BoolColumn] = {}

    def can_stay(self, job: Job, group: TaskGroup, alloc: AllocView) -> bool:
        slot = self._nodes.slot_of.get(alloc.node_id)
        if slot is None:
            return False
        key = (job.version, group.name)
        if key not in self._masks:
            self._masks[key] = feasible(self._nodes, candidates(self._nodes, job), job, group).mask
        return bool(self._masks[key][slot])


def _unconditional_stops(input: SchedulerInput, changes: Changes, room: Room) -> dict[str, AllocStop]:
    """What goes whether or not something comes in its place; allocations that move are among them."""
    stops = gone_with_their_nodes(input)
    for group in changes.groups.values():
        for alloc, stop in group.stop:
            stops[alloc.id] = stop
            room.free(alloc)
        for placement in group.place:
            if placement.why is Why.MIGRATE and placement.previous is not None and placement.stop is not None:
                stops[placement.previous.id] = placement.stop
                room.free(placement.previous)
    return stops


def _updates(changes: Changes, follow_ups: FollowUps, stops: dict[str, AllocStop]) -> list[AllocUpdate]:
    updates: list[AllocUpdate] = []
    current = changes.current
    for name, group in changes.groups.items():
        deployed = current.id if current is not None and name in (current.task_groups or {}) else ""
        updates.extend(AllocUpdate(alloc_id=alloc.id, deployment_id=deployed) for alloc in group.in_place)
        for alloc, until_ns in group.disconnected:
            stops[alloc.id] = AllocStop(
                alloc_id=alloc.id,
                desired_status="run",
                client_status="unknown",
                client_description=UNKNOWN,
                followup_eval_id=follow_ups.at(until_ns, EvalTrigger.MAX_DISCONNECT_TIMEOUT),
            )
        for alloc, at_ns in sorted(group.later, key=lambda later: later[1]):
            followup = follow_ups.at(at_ns, EvalTrigger.ALLOC_RESCHEDULE)
            if alloc.id in stops:
                stops[alloc.id] = msgspec.structs.replace(stops[alloc.id], followup_eval_id=followup)
            else:
                updates.append(AllocUpdate(alloc_id=alloc.id, to_plan_job=False, followup_eval_id=followup))
    return updates


def _place(
    input: SchedulerInput, nodes: NodeColumns, room: Room, changes: Changes, stops: dict[str, AllocStop]
) -> list[GroupOutcome]:
    gone = {alloc_id for alloc_id, stop in stops.items() if stop.desired_status != "run"}
    live = [alloc for alloc in input.allocations if not alloc.is_terminal and alloc.id not in gone]
    placer = Placer(input, nodes, room, live)
    outcomes: list[GroupOutcome] = []
    for group in changes.groups.values():
        by_version: dict[int, list[Placement]] = {}
        for placement in group.place:
            by_version.setdefault(placement.job.version, []).append(placement)
        for placements in by_version.values():
            job = placements[0].job
            asked = next((one for one in job.task_groups or () if one.name == placements[0].group.name), None)
            outcomes.append(placer.place(job, asked or placements[0].group, placements))
    return outcomes


def _failed(outcomes: list[GroupOutcome]) -> dict[str, AllocMetric]:
    return {outcome.ask.group.name: outcome.failure for outcome in outcomes if outcome.failure is not None}
