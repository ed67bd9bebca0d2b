"""Deployments under way: each step forward asks the scheduler for the next one; what does not get on, fails.

Success is the scheduler's to say, in the plan that finds nothing left to do. Progress deadlines are waits on the
leader's monotonic clock: a new leader starts them again.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from raftnomad.fsm.commands import (
    Command,
    PromoteDeployment,
    TransitionAllocations,
    UpdateDeployment,
    UpsertEvaluations,
)
from raftnomad.fsm.rollback import TOO_SLOW, UNHEALTHY, failure
from raftnomad.fsm.state import State
from raftnomad.model.allocation import Allocation, DesiredTransition
from raftnomad.model.deployment import Deployment, DeploymentState
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import Job
from raftnomad.model.status import ACTIVE_DEPLOYMENT_STATUSES, DeploymentStatus, DesiredStatus, EvalTrigger
from raftnomad.server.duties.decision import Decision
from raftnomad.server.triggered import NewId, evaluation_of, has_attempts_left

Step = tuple[int, int, int]
"""(placed, healthy, unhealthy)"""


class Progress:
    """What the leader remembers of each deployment: how far it has seen each group, and until when it waits."""

    def __init__(self) -> None:
        self.steps: dict[tuple[str, str], Step] = {}
        self.deadlines: dict[tuple[str, str], float] = {}

    def keep_only(self, keys: dict[tuple[str, str], None]) -> None:
        self.steps = {key: step for key, step in self.steps.items() if key in keys}
        self.deadlines = {key: deadline for key, deadline in self.deadlines.items() if key in keys}


def decide(state: State, progress: Progress, now_s: float, now_ns: int, epoch: int, new_id: NewId) -> Decision:
    commands: list[Command] = []
    keys: dict[tuple[str, str], None] = {}
    for deployment in active(state):
        job = state.jobs.get((deployment.namespace, deployment.job_id))
        if job is None or job.create_index != deployment.job_create_index:
            commands.append(
                UpdateDeployment(
                    deployment_id=deployment.id,
                    status=str(DeploymentStatus.CANCELLED),
                    status_description="Cancelled because job is stopped",
                    epoch=epoch,
                )
            )
            continue
        keys.update({(deployment.id, name): None for name in deployment.task_groups or {}})
        if (command := _next_step(state, deployment, job, progress, now_s, now_ns, epoch, new_id)) is not None:
            commands.append(command)
    progress.keep_only(keys)
    next_s = min(progress.deadlines.values(), default=None)
    return Decision(tuple(commands), None if next_s is None else max(0.1, next_s - now_s))


def active(state: State) -> Iterator[Deployment]:
    for key in state.active_deployments.counts:
        for deployment in state.deployments_of_job(*key):
            if deployment.status in ACTIVE_DEPLOYMENT_STATUSES:
                yield deployment


def _next_step(
    state: State,
    deployment: Deployment,
    job: Job,
    progress: Progress,
    now_s: float,
    now_ns: int,
    epoch: int,
    new_id: NewId,
) -> Command | None:
    moved = _note_steps(deployment, progress, now_s)
    if deployment.status == DeploymentStatus.PAUSED or job.version != deployment.job_version:
        return None  # A newer version's evaluation cancels the deployment.
    evaluation = replace(
        evaluation_of(job, EvalTrigger.DEPLOYMENT_WATCHER, new_id, now_ns, deployment_id=deployment.id),
        priority=deployment.eval_priority or job.priority,
    )
    groups = deployment.task_groups or {}
    for name, group in groups.items():
        if group.unhealthy_allocs and (hopeless := _hopeless(state, deployment, name, group, now_ns)):
            return _failure(state, deployment, hopeless, name, evaluation, epoch)
    for name in groups:
        if progress.deadlines.get((deployment.id, name), now_s + 1) <= now_s:
            return _failure(state, deployment, TOO_SLOW, name, evaluation, epoch)
    waiting = [group for group in groups.values() if group.desired_canaries and not group.promoted]
    if waiting and all(_may_promote(state, group) for group in waiting):
        return PromoteDeployment(deployment_id=deployment.id, evaluations=(evaluation,), epoch=epoch)
    if not moved:
        return None
    if transitions := _to_reschedule(state, deployment):
        return TransitionAllocations(transitions=transitions, evaluations=(evaluation,), epoch=epoch)
    return UpsertEvaluations(evaluations=(evaluation,), epoch=epoch)


def _note_steps(deployment: Deployment, progress: Progress, now_s: float) -> bool:
    """Move the deadlines of groups that have got on; whether an allocation's health has been judged since."""
    moved = False
    for name, group in (deployment.task_groups or {}).items():
        key = (deployment.id, name)
        step = (group.placed_allocs, group.healthy_allocs, group.unhealthy_allocs)
        seen = progress.steps.get(key)
        progress.steps[key] = step
        if seen is None:
            moved = moved or step[1:] != (0, 0)
        elif seen[1:] != step[1:]:
            moved = True
        has_got_on = seen is None or step[0] > seen[0] or step[1] > seen[1]
        if not _is_timed(deployment, group):
            progress.deadlines.pop(key, None)
        elif has_got_on or key not in progress.deadlines:
            progress.deadlines[key] = now_s + group.progress_deadline_ns / 1_000_000_000
    return moved


def _is_timed(deployment: Deployment, group: DeploymentState) -> bool:
    """Nothing is due before something is placed, while it waits for a promotion, or when all is healthy."""
    if deployment.status == DeploymentStatus.PAUSED or not group.progress_deadline_ns or not group.placed_allocs:
        return False
    if group.desired_canaries and not group.promoted:
        return group.healthy_allocs < group.desired_canaries
    return group.healthy_allocs < group.desired_total


def _may_promote(state: State, group: DeploymentState) -> bool:
    if not group.auto_promote:
        return False
    healthy = 0
    for alloc_id in group.placed_canaries or ():
        alloc = state.allocations.get(alloc_id)
        healthy += alloc is not None and alloc.deployment_status is not None and alloc.deployment_status.healthy is True
    return healthy >= group.desired_canaries


def _hopeless(state: State, deployment: Deployment, name: str, group: DeploymentState, now_ns: int) -> str:
    """Some allocation is unhealthy, and nothing else may be tried: no deadline gives time, or it was the last try."""
    unhealthy = [
        alloc
        for alloc in state.allocations_of_deployment(deployment.id)
        if alloc.task_group == name and alloc.deployment_status and alloc.deployment_status.healthy is False
    ]
    if any(not group.progress_deadline_ns or not _may_be_replaced(alloc, now_ns) for alloc in unhealthy):
        return UNHEALTHY
    return ""


def _may_be_replaced(alloc: Allocation, now_ns: int) -> bool:
    """It has been replaced already, or the group's policy still has an attempt for it."""
    return bool(alloc.next_allocation) or alloc.desired_status != DesiredStatus.RUN or has_attempts_left(alloc, now_ns)


def _to_reschedule(state: State, deployment: Deployment) -> dict[str, DesiredTransition]:
    """Unhealthy allocations that are to be placed elsewhere: the deployment's own word allows it."""
    return {
        alloc.id: DesiredTransition(reschedule=True)
        for alloc in state.allocations_of_deployment(deployment.id)
        if alloc.deployment_status is not None
        and alloc.deployment_status.healthy is False
        and not alloc.desired_transition.reschedule
        and not alloc.next_allocation
        and alloc.desired_status == DesiredStatus.RUN
    }


def _failure(
    state: State, deployment: Deployment, reason: str, group: str, evaluation: Evaluation, epoch: int
) -> UpdateDeployment:
    description, version = failure(state, deployment, reason, (group,))
    return UpdateDeployment(
        deployment_id=deployment.id,
        status=str(DeploymentStatus.FAILED),
        status_description=description,
        rollback_to=version,
        evaluations=(evaluation,),
        epoch=epoch,
    )
