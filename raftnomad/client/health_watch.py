"""Judges an allocation's health when a task's state changes and when time alone may change the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from raftnomad.client import task_events
from raftnomad.client.alloc_health import Healthy, NotYet, Unhealthy, health_policy, judge
from raftnomad.client.task_runner import TaskRunner
from raftnomad.clock import Clock, rfc3339
from raftnomad.model.allocation import Allocation, AllocDeploymentStatus
from raftnomad.model.job import Job, TaskGroup

PAUSE_MIN_S = 0.001


class Surroundings(Protocol):
    """The allocation that is watched."""

    alloc: Allocation
    clock: Clock
    stopping: bool
    tasks: dict[str, TaskRunner]

    @property
    def job(self) -> Job: ...

    @property
    def group(self) -> TaskGroup: ...

    def changed(self) -> None: ...


class HealthWatch:
    """status: the verdict, once there is one. since_ns: when the allocation was first seen on this node."""

    def __init__(self, around: Surroundings, status: AllocDeploymentStatus | None, since_ns: int) -> None:
        self.status = status
        self.since_ns = since_ns
        self._around = around
        self._news = asyncio.Event()

    def look(self) -> None:
        """Something changed."""
        self._news.set()

    def begin_anew(self) -> None:
        """Another deployment wants its own verdict."""
        self.status = None
        self.since_ns = self._around.clock.now_ns()

    async def run(self) -> None:
        while True:
            self._news.clear()
            pause_s = self._judge()
            try:
                await asyncio.wait_for(self._news.wait(), pause_s)
            except TimeoutError:
                continue

    def _judge(self) -> float | None:
        """Seconds after which to judge again; None when only a change can matter."""
        around, now_ns = self._around, self._around.clock.now_ns()
        policy = health_policy(around.alloc, around.group, around.job.type)
        if policy is None or self.status is not None:
            return None
        states = {name: runner.state for name, runner in around.tasks.items()}
        match judge(policy, around.group.tasks or (), states, since_ns=self.since_ns, now_ns=now_ns):
            case NotYet(until_ns=until_ns):
                return max((until_ns - now_ns) / 1e9, PAUSE_MIN_S)
            case Healthy():
                self._judged(healthy=True)
            case Unhealthy(messages=messages):
                self._judged(healthy=False)
                self._explain(messages)
        return None

    def _judged(self, *, healthy: bool) -> None:
        before = self._around.alloc.deployment_status
        self.status = AllocDeploymentStatus(
            healthy=healthy,
            timestamp=rfc3339(self._around.clock.now_ns()),
            canary=before.canary if before is not None else False,
        )
        self._around.changed()

    def _explain(self, messages: Mapping[str, str]) -> None:
        """A migration waits for health too, but only a deployment's tasks are told why they lack it."""
        if not self._around.alloc.deployment_id or self._around.stopping:
            return
        for name, text in messages.items():
            self._around.tasks[name].note(task_events.alloc_unhealthy(self._around.clock.now_ns(), text))
