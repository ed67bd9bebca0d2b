"""Whether an allocation counts as healthy in its deployment or migration, as its tasks' states tell.

Health is judged once: the first verdict stands. Service checks are not looked at yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raftnomad.client.lifecycle import POSTSTOP
from raftnomad.clock import from_rfc3339
from raftnomad.durations import format_duration
from raftnomad.model.allocation import Allocation, TaskState
from raftnomad.model.job import Task, TaskGroup
from raftnomad.model.status import TaskStatus


@dataclass(frozen=True, kw_only=True)
class HealthPolicy:
    min_healthy_ns: int
    deadline_ns: int
    """Since the allocation was first seen here."""


@dataclass(frozen=True, kw_only=True)
class Healthy:
    pass


@dataclass(frozen=True, kw_only=True)
class Unhealthy:
    messages: Mapping[str, str]
    """Which tasks are to blame, and what their events say."""


@dataclass(frozen=True, kw_only=True)
class NotYet:
    until_ns: int
    """When to ask again if no task's state changes before (wall clock)."""


Verdict = Healthy | Unhealthy | NotYet


def health_policy(alloc: Allocation, group: TaskGroup, job_type: str) -> HealthPolicy | None:
    """By which times this allocation is judged; None when nobody waits for its health."""
    if alloc.deployment_status is not None and alloc.deployment_status.healthy is not None:
        return None
    if alloc.deployment_id:
        update = group.update
        if update is None or update.health_check == "manual":
            return None
        return HealthPolicy(min_healthy_ns=update.min_healthy_time_ns, deadline_ns=update.healthy_deadline_ns)
    if job_type != "service" or group.migrate is None or group.migrate.health_check == "manual":
        return None
    return HealthPolicy(min_healthy_ns=group.migrate.min_healthy_time_ns, deadline_ns=group.migrate.healthy_deadline_ns)


def judge(
    policy: HealthPolicy, tasks: Sequence[Task], states: Mapping[str, TaskState], *, since_ns: int, now_ns: int
) -> Verdict:
    """since_ns: when the allocation was first seen here, from which its deadline counts."""
    judged = [task for task in tasks if task.lifecycle is None or task.lifecycle.hook != POSTSTOP]
    failed = [task.name for task in judged if states[task.name].failed]
    if failed:
        return Unhealthy(messages=dict.fromkeys(failed, "Unhealthy because of failed task"))
    lasting = [task for task in judged if not _completes(task)]
    ended = [task.name for task in lasting if states[task.name].state == TaskStatus.DEAD]
    if ended:
        return Unhealthy(messages=dict.fromkeys(ended, "Unhealthy because of dead task"))

    deadline_ns = since_ns + policy.deadline_ns
    waiting = [task.name for task in lasting if states[task.name].state != TaskStatus.RUNNING]
    waiting += [task.name for task in judged if _completes(task) and states[task.name].state != TaskStatus.DEAD]
    if waiting:
        if now_ns < deadline_ns:
            return NotYet(until_ns=deadline_ns)
        return Unhealthy(messages=dict.fromkeys(waiting, "Task not running by deadline"))

    healthy_ns = max((from_rfc3339(states[task.name].started_at) for task in lasting), default=now_ns)
    healthy_ns += policy.min_healthy_ns
    if now_ns >= healthy_ns:
        return Healthy()
    if now_ns < deadline_ns:
        return NotYet(until_ns=min(healthy_ns, deadline_ns))
    text = (
        f"Task not running for min_healthy_time of {format_duration(policy.min_healthy_ns)} "
        f"by healthy_deadline of {format_duration(policy.deadline_ns)}"
    )
    return Unhealthy(messages={task.name: text for task in lasting})


def _completes(task: Task) -> bool:
    return task.lifecycle is not None and bool(task.lifecycle.hook) and not task.lifecycle.sidecar
