from __future__ import annotations

import pytest

from raftnomad.client.alloc_status import client_status
from raftnomad.model.allocation import TaskState

PENDING, RUNNING = TaskState(state="pending"), TaskState(state="running")
DONE, FAILED = TaskState(state="dead"), TaskState(state="dead", failed=True)


@pytest.mark.parametrize(
    ("states", "status", "description"),
    [
        ([], "pending", "No tasks have started"),
        ([PENDING, DONE], "pending", "No tasks have started"),
        ([PENDING, RUNNING], "running", "Tasks are running"),
        ([DONE, RUNNING], "running", "Tasks are running"),
        ([DONE, DONE], "complete", "All tasks have completed"),
        ([FAILED, RUNNING], "failed", "Failed tasks"),
    ],
)
def test_the_status_follows_from_the_tasks(states: list[TaskState], status: str, description: str) -> None:
    assert client_status({str(number): state for number, state in enumerate(states)}) == (status, description)
