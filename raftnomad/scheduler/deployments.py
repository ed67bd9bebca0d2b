"""When a job's reconciliation begins, ends or gives up a deployment."""

from __future__ import annotations

from collections.abc import Callable

from raftnomad.model.deployment import Deployment, DeploymentState
from raftnomad.model.job import Job
from raftnomad.model.plan import DeploymentUpdate
from raftnomad.model.policies import UpdateStrategy
from raftnomad.model.status import ACTIVE_DEPLOYMENT_STATUSES, DeploymentStatus
from raftnomad.scheduler.changes import GroupChanges
from raftnomad.scheduler.input import SchedulerInput

RUNNING = "Deployment is running"
NEEDS_PROMOTION = "Deployment is running but requires manual promotion"
PROMOTES_ITSELF = "Deployment is running pending automatic promotion"


def cancel_unneeded(deployment: Deployment | None, job: Job | None) -> list[DeploymentUpdate]:
    """The job is stopped (None), or has a newer version than the one that is being deployed."""
    if deployment is None or deployment.status not in ACTIVE_DEPLOYMENT_STATUSES:
        return []
    if job is None:
        reason = "Cancelled because job is stopped"
    elif deployment.job_create_index != job.create_index or deployment.job_version < job.version:
        reason = "Cancelled due to newer version of job"
    else:
        return []
    return [DeploymentUpdate(deployment_id=deployment.id, status=DeploymentStatus.CANCELLED, status_description=reason)]


def new_state(strategy: UpdateStrategy, desired_total: int) -> DeploymentState:
    """Progress is due when something has been placed: until then `require_progress_by` is zero."""
    return DeploymentState(
        auto_revert=strategy.auto_revert,
        auto_promote=strategy.auto_promote,
        progress_deadline_ns=strategy.progress_deadline_ns,
        desired_total=desired_total,
    )


def create_deployment(
    input: SchedulerInput,
    job: Job,
    groups: dict[str, GroupChanges],
    current: Deployment | None,
    new_id: Callable[[], str],
) -> Deployment | None:
    """A version that changes something, or that never ran, is deployed; replacing what failed is not."""
    if current is not None:
        return None
    states: dict[str, DeploymentState] = {}
    for name, changes in groups.items():
        state = changes.state
        if state is not None and state.desired_total and _begins(input, job, name, changes):
            states[name] = state
    if not states:
        return None
    return Deployment(
        id=new_id(),
        namespace=job.namespace,
        job_id=job.id,
        job_version=job.version,
        job_modify_index=job.modify_index,
        job_spec_modify_index=job.job_modify_index,
        job_create_index=job.create_index,
        task_groups=states,
        status=DeploymentStatus.RUNNING,
        status_description=_description(states),
        eval_priority=input.evaluation.priority,
        create_time_ns=input.now_ns,
        modify_time_ns=input.now_ns,
    )


def _begins(input: SchedulerInput, job: Job, name: str, changes: GroupChanges) -> bool:
    if changes.in_place or changes.counts.get("destructive_update") or changes.counts.get("canary"):
        return True
    return not any(
        alloc.task_group == name and alloc.job_version == job.version and alloc.job_create_index == job.create_index
        for alloc in input.allocations
    )


def _description(states: dict[str, DeploymentState]) -> str:
    waiting = [state for state in states.values() if state.desired_canaries and not state.promoted]
    if not waiting:
        return RUNNING
    return PROMOTES_ITSELF if all(state.auto_promote for state in waiting) else NEEDS_PROMOTION


def complete(deployment: Deployment | None, groups: dict[str, GroupChanges]) -> list[DeploymentUpdate]:
    """Nothing is left to do and everything is healthy: the deployment has succeeded."""
    if deployment is None or not _is_complete(deployment, groups):
        return []
    return [
        DeploymentUpdate(
            deployment_id=deployment.id,
            status=DeploymentStatus.SUCCESSFUL,
            status_description="Deployment completed successfully",
        )
    ]


def _is_complete(deployment: Deployment, groups: dict[str, GroupChanges]) -> bool:
    if deployment.status not in ACTIVE_DEPLOYMENT_STATUSES or deployment.status == DeploymentStatus.PAUSED:
        return False
    for name, state in (deployment.task_groups or {}).items():
        changes = groups.get(name)
        if changes is None or not changes.is_complete:
            return False
        if state.healthy_allocs < max(state.desired_total, state.desired_canaries):
            return False
        if state.desired_canaries and not state.promoted:
            return False
    return True
