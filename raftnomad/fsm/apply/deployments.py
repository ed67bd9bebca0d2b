"""Deployments: their status, what users say of their allocations' health, and promotion of canaries."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from raftnomad.fsm.apply import evaluations, jobs
from raftnomad.fsm.commands import PromoteDeployment, SetAllocationHealth, UpdateDeployment
from raftnomad.fsm.outcome import Applied, Outcome, Rejected
from raftnomad.fsm.rollback import UNHEALTHY, failure
from raftnomad.fsm.transaction import Transaction
from raftnomad.model.allocation import AllocDeploymentStatus
from raftnomad.model.deployment import Deployment
from raftnomad.model.plan import DeploymentUpdate
from raftnomad.model.status import ACTIVE_DEPLOYMENT_STATUSES, TERMINAL_CLIENT_STATUSES, DeploymentStatus


def update(txn: Transaction, command: UpdateDeployment) -> Outcome:
    if (stale := evaluations.stale_epoch(txn, command.epoch)) is not None:
        return stale
    deployment = txn.state.deployments.get(command.deployment_id)
    if deployment is None:
        return Rejected(txn.index, "deployment not found", 404)
    if deployment.status not in ACTIVE_DEPLOYMENT_STATUSES:
        return Rejected(txn.index, f"deployment {deployment.id} is over: {deployment.status}")
    fields: dict[str, Any] = {"modify_index": txn.index, "modify_time_ns": txn.time_ns}
    if command.status:
        fields |= {"status": command.status, "status_description": command.status_description}
    if command.require_progress_by:
        fields["task_groups"] = {
            name: replace(group, require_progress_by=command.require_progress_by.get(name, group.require_progress_by))
            for name, group in (deployment.task_groups or {}).items()
        }
    txn.put_deployment(replace(deployment, **fields))
    key = (deployment.namespace, deployment.job_id)
    if command.mark_stable or command.status == DeploymentStatus.SUCCESSFUL:
        jobs.set_stable(txn, key, deployment.job_version, True)
    if command.rollback_to is not None:
        _roll_back(txn, deployment, command.rollback_to)
    evaluations.store(txn, command.evaluations)
    return Applied(txn.index, value=txn.index)


def _roll_back(txn: Transaction, deployment: Deployment, version: int) -> None:
    """Only while the job is what the deployment rolled out: a newer version has been chosen by somebody."""
    job = txn.state.jobs.get((deployment.namespace, deployment.job_id))
    target = txn.state.job_version(deployment.namespace, deployment.job_id, version)
    if job is not None and target is not None and job.version == deployment.job_version:
        jobs.roll_back(txn, replace(target, stop=False), job)


def apply_update(txn: Transaction, update: DeploymentUpdate) -> None:
    """What a plan says of a deployment: all is placed and healthy, a newer version cancels it, or its job has stopped.

    The version of one that succeeded is a version to roll back to.
    """
    deployment = txn.state.deployments.get(update.deployment_id)
    if deployment is not None and deployment.status in ACTIVE_DEPLOYMENT_STATUSES:
        txn.put_deployment(
            replace(
                deployment,
                status=update.status,
                status_description=update.status_description,
                modify_index=txn.index,
                modify_time_ns=txn.time_ns,
            )
        )
        if update.status == DeploymentStatus.SUCCESSFUL:
            key = (deployment.namespace, deployment.job_id)
            jobs.set_stable(txn, key, deployment.job_version, True)


def set_health(txn: Transaction, command: SetAllocationHealth) -> Outcome:
    """An allocation that is named as both is unhealthy."""
    deployment = txn.state.deployments.get(command.deployment_id)
    if deployment is None:
        return Rejected(txn.index, "deployment not found")
    if deployment.status not in ACTIVE_DEPLOYMENT_STATUSES:
        return Rejected(txn.index, "can't set health of allocations for a terminal deployment")
    verdicts = {**dict.fromkeys(command.healthy, True), **dict.fromkeys(command.unhealthy, False)}
    for alloc_id in verdicts:
        alloc = txn.state.allocations.get(alloc_id)
        if alloc is None:
            return Rejected(txn.index, f'unknown alloc "{alloc_id}"')
        if alloc.deployment_id != deployment.id:
            return Rejected(txn.index, f'alloc "{alloc_id}" not in deployment "{deployment.id}"')
    for alloc_id, healthy in verdicts.items():
        alloc = txn.state.allocations[alloc_id]
        status = replace(
            alloc.deployment_status or AllocDeploymentStatus(),
            healthy=healthy,
            timestamp=command.timestamp or txn.time,
            modify_index=txn.index,
        )
        txn.put_allocation(replace(alloc, deployment_status=status, modify_index=txn.index, modify_time_ns=txn.time_ns))
    if command.unhealthy:
        _fail(txn, deployment, command.unhealthy)
    evaluations.store(txn, command.evaluations)
    return Applied(txn.index, value=txn.index)


def _fail(txn: Transaction, deployment: Deployment, unhealthy: tuple[str, ...]) -> None:
    """A user's verdict leaves nothing to wait for."""
    groups = {txn.state.allocations[alloc_id].task_group: None for alloc_id in unhealthy}
    description, version = failure(txn.state, deployment, UNHEALTHY, groups)
    txn.put_deployment(
        replace(
            deployment,
            status=str(DeploymentStatus.FAILED),
            status_description=description,
            modify_index=txn.index,
            modify_time_ns=txn.time_ns,
        )
    )
    if version is not None:
        _roll_back(txn, deployment, version)


def promote(txn: Transaction, command: PromoteDeployment) -> Outcome:
    if (stale := evaluations.stale_epoch(txn, command.epoch)) is not None:
        return stale
    deployment = txn.state.deployments.get(command.deployment_id)
    if deployment is None:
        return Rejected(txn.index, "deployment not found")
    if deployment.status not in ACTIVE_DEPLOYMENT_STATUSES:
        return Rejected(txn.index, "can't promote terminal deployment")
    groups = dict(deployment.task_groups or {})
    chosen = [name for name in sorted(groups) if command.groups is None or name in command.groups]
    waiting = [name for name in chosen if groups[name].desired_canaries and not groups[name].promoted]
    if errors := [text for name in waiting if (text := _too_early(txn, deployment, name))]:
        return Rejected(txn.index, _listed(errors))
    for name in chosen:
        groups[name] = replace(groups[name], promoted=True)
        _accept_canaries(txn, groups[name].placed_canaries or ())
    description = deployment.status_description
    if all(group.promoted or not group.desired_canaries for group in groups.values()):
        description = "Deployment is running"
    txn.put_deployment(
        replace(
            deployment,
            task_groups=groups,
            status_description=description,
            modify_index=txn.index,
            modify_time_ns=txn.time_ns,
        )
    )
    evaluations.store(txn, command.evaluations)
    return Applied(txn.index, value=txn.index)


def _too_early(txn: Transaction, deployment: Deployment, group: str) -> str:
    assert deployment.task_groups is not None
    state = deployment.task_groups[group]
    healthy = 0
    for alloc_id in state.placed_canaries or ():
        alloc = txn.state.allocations.get(alloc_id)
        if alloc is None or alloc.client_status in TERMINAL_CLIENT_STATUSES or alloc.deployment_status is None:
            continue
        healthy += alloc.deployment_status.healthy is True
    if healthy >= state.desired_canaries:
        return ""
    return f'Task group "{group}" has {healthy}/{state.desired_canaries} healthy allocations'


def _listed(errors: list[str]) -> str:
    count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    return f"{count} occurred:\n" + "".join(f"\t* {error}\n" for error in errors) + "\n"


def _accept_canaries(txn: Transaction, alloc_ids: tuple[str, ...]) -> None:
    for alloc_id in alloc_ids:
        alloc = txn.state.allocations.get(alloc_id)
        if alloc is not None and alloc.deployment_status is not None and alloc.deployment_status.canary:
            status = replace(alloc.deployment_status, canary=False, modify_index=txn.index)
            txn.put_allocation(
                replace(
                    alloc,
                    deployment_status=status,
                    modify_index=txn.index,
                    alloc_modify_index=txn.index,
                    modify_time_ns=txn.time_ns,
                )
            )
