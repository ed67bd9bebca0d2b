"""How a task's state follows from what happens to it; the state is what the servers and users see."""

from __future__ import annotations

from msgspec.structs import replace

from raftnomad.client.task_events import KEPT
from raftnomad.clock import rfc3339
from raftnomad.model.allocation import TaskEvent, TaskState
from raftnomad.model.row import ZERO_TIME
from raftnomad.model.status import TaskStatus

NEW = TaskState(state=TaskStatus.PENDING)


def with_event(state: TaskState, event: TaskEvent) -> TaskState:
    """The state with one more event; an event that fails the task marks it failed."""
    events = (*(state.events or ()), event)[-KEPT:]
    return replace(state, events=events, failed=state.failed or event.fails_task)


def running(state: TaskState, event: TaskEvent) -> TaskState:
    return replace(with_event(state, event), state=TaskStatus.RUNNING, started_at=rfc3339(event.time_ns))


def restarting(state: TaskState, event: TaskEvent) -> TaskState:
    """Pending again: the task does not run while it waits for its restart."""
    return replace(
        with_event(state, event),
        state=TaskStatus.PENDING,
        failed=False,
        restarts=state.restarts + 1,
        last_restart=rfc3339(event.time_ns),
    )


def dead(state: TaskState, now_ns: int) -> TaskState:
    finished = (
        rfc3339(now_ns) if state.finished_at == ZERO_TIME or state.state != TaskStatus.DEAD else state.finished_at
    )
    return replace(state, state=TaskStatus.DEAD, finished_at=finished)
