"""Which tasks of a group may run now, and which must stop: prestart, sidecars, main, poststart, poststop, leader.

The order is Nomad's: prestart tasks first; main tasks when those have completed and prestart sidecars run; poststart
tasks when every main task has started; poststop tasks when all others are dead, also after a failure or a stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from raftnomad.model.job import Task
from raftnomad.model.status import TaskStatus

PRESTART, POSTSTART, POSTSTOP = "prestart", "poststart", "poststop"


@dataclass(frozen=True, kw_only=True)
class TaskView:
    """A task as this decision sees it. `hook` is empty for a main task."""

    name: str
    hook: str = ""
    sidecar: bool = False
    leader: bool = False
    status: str = TaskStatus.PENDING
    failed: bool = False

    @property
    def dead(self) -> bool:
        return self.status == TaskStatus.DEAD

    @property
    def completed(self) -> bool:
        return self.dead and not self.failed

    @property
    def has_started(self) -> bool:
        return self.status == TaskStatus.RUNNING or self.completed


class KillCause(StrEnum):
    SIBLING_FAILED = "a sibling failed"
    LEADER_DEAD = "the leader is dead"
    MAIN_DEAD = "only sidecars are left"


@dataclass(frozen=True, kw_only=True)
class Kill:
    task: str
    cause: KillCause
    sibling: str = ""


@dataclass(frozen=True, kw_only=True)
class Decision:
    may_start: tuple[str, ...]
    """Tasks whose turn it is, those that run already included."""
    kill: tuple[Kill, ...]


def decide(tasks: Sequence[TaskView], *, stopping: bool) -> Decision:
    """stopping: the whole allocation is being stopped, so that only poststop tasks may still start."""
    kill = () if stopping else _kills(tasks)
    ending = stopping or bool(kill) or any(task.failed for task in tasks if task.hook != POSTSTOP)
    return Decision(may_start=tuple(task.name for task in tasks if _may_start(task, tasks, ending)), kill=kill)


def _may_start(task: TaskView, tasks: Sequence[TaskView], ending: bool) -> bool:
    if task.hook == POSTSTOP:
        return all(other.dead for other in tasks if other.hook != POSTSTOP)
    if ending:
        return False
    if task.hook == PRESTART:
        return True
    if task.hook == POSTSTART:
        return all(other.has_started for other in tasks if other.hook == "")
    return all(
        other.status == TaskStatus.RUNNING if other.sidecar else other.completed
        for other in tasks
        if other.hook == PRESTART
    )


def _kills(tasks: Sequence[TaskView]) -> tuple[Kill, ...]:
    alive = [task for task in tasks if not task.dead and task.hook != POSTSTOP]
    failed = next((task.name for task in tasks if task.dead and task.failed), None)
    if failed is not None:
        return tuple(Kill(task=task.name, cause=KillCause.SIBLING_FAILED, sibling=failed) for task in alive)
    if any(task.leader and task.dead for task in tasks):
        return tuple(Kill(task=task.name, cause=KillCause.LEADER_DEAD) for task in alive)
    if alive and all(task.sidecar for task in alive):
        return tuple(Kill(task=task.name, cause=KillCause.MAIN_DEAD) for task in alive)
    return ()


def is_coming_down(tasks: Sequence[TaskView]) -> bool:
    """A task has failed, and siblings of it are not dead yet."""
    return any(task.dead and task.failed for task in tasks) and not all(
        task.dead for task in tasks if task.hook != POSTSTOP
    )


def restarts_on_success(task: Task, job_type: str) -> bool:
    """Whether exit code 0 means "start it again": what should run for ever does, what should complete does not."""
    if task.lifecycle is not None and task.lifecycle.hook:
        return task.lifecycle.sidecar
    return job_type in ("service", "system")
