"""Draining nodes: services move a few at a time, batch jobs may finish until the deadline, system jobs go last."""

from __future__ import annotations

from collections.abc import Iterable

from raftnomad.fsm.commands import Command, TransitionAllocations, UpdateNodeDrain
from raftnomad.fsm.state import State, is_terminal, uses_node
from raftnomad.model.allocation import Allocation, DesiredTransition
from raftnomad.model.job import Job, TaskGroup
from raftnomad.model.node import DrainStrategy, Node, NodeEvent
from raftnomad.model.status import ClientStatus, EvalTrigger, JobType
from raftnomad.server.duties.decision import Decision
from raftnomad.server.triggered import NewId, evaluation_of, jobs_of

LOOK_AGAIN_S = 5.0
"""A node whose allocations change nothing is looked at this often while it drains."""


class Deadlines:
    """Node -> when its drain forces what is left, on the leader's monotonic clock."""

    def __init__(self) -> None:
        self.forces_at: dict[tuple[str, str], float] = {}
        """By node and start of the drain: another drain of the node has its own deadline."""

    def of(self, node: Node, strategy: DrainStrategy, now_s: float) -> float | None:
        if strategy.deadline_ns == 0:
            return None
        key = (node.id, strategy.started_at)
        return self.forces_at.setdefault(key, now_s + max(0, strategy.deadline_ns) / 1_000_000_000)

    def keep_only(self, nodes: Iterable[Node]) -> None:
        kept = {(node.id, node.drain_strategy.started_at) for node in nodes if node.drain_strategy is not None}
        self.forces_at = {key: time for key, time in self.forces_at.items() if key in kept}


def decide(state: State, deadlines: Deadlines, now_s: float, now_ns: int, epoch: int, new_id: NewId) -> Decision:
    nodes = [node for node in state.nodes.values() if node.drain_strategy is not None]
    deadlines.keep_only(nodes)
    if not nodes:
        return Decision()
    commands: list[Command] = []
    moving: list[Allocation] = []
    forced: list[Allocation] = []
    again_s = LOOK_AGAIN_S
    for node in nodes:
        assert node.drain_strategy is not None
        deadline = deadlines.of(node, node.drain_strategy, now_s)
        is_forced = deadline is not None and deadline <= now_s
        if deadline is not None and not is_forced:
            again_s = min(again_s, deadline - now_s)
        remaining = remaining_on(state, node, node.drain_strategy)
        if not remaining:
            commands.append(_completion(node, is_forced, epoch))
        else:
            chosen = to_move(state, remaining, is_forced, moving)
            moving.extend(chosen)
            forced.extend(chosen if is_forced else ())
    if moving:
        commands.append(_migration(state, moving, forced, now_ns, epoch, new_id))
    return Decision(tuple(commands), max(0.1, again_s))


def remaining_on(state: State, node: Node, strategy: DrainStrategy) -> list[Allocation]:
    """What has to leave the node before it is drained; with the deadline passed, batch jobs too."""
    return [
        alloc
        for alloc in state.allocations_of_node(node.id)
        if uses_node(alloc) and not (strategy.ignore_system_jobs and _is_system(alloc))
    ]


def _is_system(alloc: Allocation) -> bool:
    assert alloc.job is not None
    return alloc.job.type in (JobType.SYSTEM, JobType.SYSBATCH)


def _is_batch(alloc: Allocation) -> bool:
    assert alloc.job is not None
    return alloc.job.type == JobType.BATCH


def to_move(state: State, remaining: list[Allocation], is_forced: bool, already: list[Allocation]) -> list[Allocation]:
    """Which of a node's allocations are asked to leave now."""
    asked = [alloc for alloc in remaining if not is_terminal(alloc) and not alloc.desired_transition.migrate]
    if is_forced:
        return asked
    others = [alloc for alloc in remaining if not _is_system(alloc)]
    if not others:
        return asked  # Only system jobs are left.
    chosen: list[Allocation] = []
    groups: dict[tuple[str, str, str], list[Allocation]] = {}
    for alloc in asked:
        assert alloc.job is not None
        if alloc.job.type == JobType.SERVICE:
            groups.setdefault((alloc.namespace, alloc.job_id, alloc.task_group), []).append(alloc)
    for (namespace, job_id, group), allocs in groups.items():
        key = (namespace, job_id, group)
        moving = sum(1 for alloc in already if (alloc.namespace, alloc.job_id, alloc.task_group) == key)
        room = _may_move(state, namespace, job_id, group) - moving
        chosen.extend(allocs[: max(0, room)])
    return chosen


def _may_move(state: State, namespace: str, job_id: str, group: str) -> int:
    """How many of the group may be away at once, less those that are on their way already."""
    job = state.jobs.get((namespace, job_id))
    if job is None or job.stop:
        return 1_000_000  # They are to stop anyway.
    task_group = _group(job, group)
    if task_group is None:
        return 1_000_000
    parallel = task_group.migrate.max_parallel if task_group.migrate is not None else 1
    healthy = sum(
        1
        for alloc in state.allocations_of_job(namespace, job_id)
        if alloc.task_group == group and _is_healthy(alloc) and not alloc.desired_transition.migrate
    )
    return healthy - (task_group.count - parallel)


def _group(job: Job, name: str) -> TaskGroup | None:
    return next((group for group in job.task_groups or () if group.name == name), None)


def _is_healthy(alloc: Allocation) -> bool:
    """Its client has said so: what has merely been started in the place of another one may still fail."""
    if is_terminal(alloc) or alloc.client_status != ClientStatus.RUNNING:
        return False
    return alloc.deployment_status is not None and alloc.deployment_status.healthy is True


def _migration(
    state: State, moving: list[Allocation], forced: list[Allocation], now_ns: int, epoch: int, new_id: NewId
) -> TransitionAllocations:
    """A batch run that had until the deadline is ended, and not begun anew elsewhere."""
    ended = {alloc.id: None for alloc in forced if _is_batch(alloc)}
    return TransitionAllocations(
        transitions={
            alloc.id: DesiredTransition(migrate=True, migrate_disable_placement=True if alloc.id in ended else None)
            for alloc in moving
        },
        evaluations=tuple(
            evaluation_of(job, EvalTrigger.NODE_DRAIN, new_id, now_ns) for job in jobs_of(state, moving).values()
        ),
        epoch=epoch,
    )


def _completion(node: Node, is_forced: bool, epoch: int) -> UpdateNodeDrain:
    details = {"deadline_reached": "true"} if is_forced else None
    return UpdateNodeDrain(
        node_id=node.id,
        strategy=None,
        completed=True,
        event=NodeEvent(message="Node drain complete", subsystem="Drain", details=details),
        epoch=epoch,
    )
