"""What a client says of an allocation, as it follows from the states of its tasks."""

from __future__ import annotations

from collections.abc import Mapping

from raftnomad.model.allocation import TaskState
from raftnomad.model.status import ClientStatus, TaskStatus


def client_status(states: Mapping[str, TaskState]) -> tuple[ClientStatus, str]:
    """Status and description. One failed task fails the allocation, whatever became of its siblings."""
    if any(state.state == TaskStatus.DEAD and state.failed for state in states.values()):
        return ClientStatus.FAILED, "Failed tasks"
    if any(state.state == TaskStatus.RUNNING for state in states.values()):
        return ClientStatus.RUNNING, "Tasks are running"
    if any(state.state == TaskStatus.PENDING for state in states.values()) or not states:
        return ClientStatus.PENDING, "No tasks have started"
    return ClientStatus.COMPLETE, "All tasks have completed"
