"""What the servers are told of an allocation."""

from __future__ import annotations

from collections.abc import Mapping

from raftnomad.client import task_states
from raftnomad.client.alloc_status import client_status
from raftnomad.model.allocation import Allocation, AllocDeploymentStatus, AllocNetworkStatus, TaskState
from raftnomad.model.status import ClientStatus
from raftnomad.sdk.agent_protocol import AllocationReport


def report(
    alloc_id: str, states: Mapping[str, TaskState], deployment_status: AllocDeploymentStatus | None
) -> AllocationReport:
    status, description = client_status(states)
    return AllocationReport(
        id=alloc_id,
        client_status=status,
        client_description=description,
        task_states=dict(states),
        deployment_status=deployment_status,
        network_status=AllocNetworkStatus(),
    )


def declined(alloc: Allocation, now_ns: int) -> AllocationReport:
    """Of one that was stopped before this client ever saw it: over, and nothing of it ran."""
    groups = (alloc.job.task_groups if alloc.job is not None else None) or ()
    tasks = next((group.tasks for group in groups if group.name == alloc.task_group), None) or ()
    return AllocationReport(
        id=alloc.id,
        client_status=ClientStatus.COMPLETE,
        client_description="All tasks have completed",
        task_states={task.name: task_states.dead(task_states.NEW, now_ns) for task in tasks},
    )
