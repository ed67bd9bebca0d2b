"""Jobs and allocations for the client's tests, with whatever a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from raftnomad.identifiers import new_id
from raftnomad.model.allocation import Allocation
from raftnomad.model.job import Job, Task, TaskGroup
from raftnomad.model.policies import RestartPolicy
from raftnomad.model.resources import (
    AllocatedCpuResources,
    AllocatedMemoryResources,
    AllocatedResources,
    AllocatedSharedResources,
    AllocatedTaskResources,
    TaskLifecycleConfig,
)

SECOND = 1_000_000_000


def a_task(name: str = "web", hook: str = "", sidecar: bool = False, **fields: Any) -> Task:
    lifecycle = TaskLifecycleConfig(hook=hook, sidecar=sidecar) if hook else None
    values: dict[str, Any] = {
        "name": name,
        "driver": "mock_driver",
        "config": {"run_for": "60s"},
        "kill_timeout_ns": 5 * SECOND,
        "lifecycle": lifecycle,
    }
    return Task(**{**values, **fields})


def never_restart() -> RestartPolicy:
    return RestartPolicy(attempts=0, mode="fail")


def a_group(*tasks: Task, **fields: Any) -> TaskGroup:
    values: dict[str, Any] = {
        "name": "front",
        "count": 1,
        "tasks": tasks or (a_task(),),
        "restart_policy": never_restart(),
    }
    return TaskGroup(**{**values, **fields})


def a_job(group: TaskGroup | None = None, **fields: Any) -> Job:
    values: dict[str, Any] = {
        "id": "shop",
        "name": "shop",
        "type": "service",
        "namespace": "default",
        "region": "global",
        "task_groups": (group or a_group(),),
    }
    return Job(**{**values, **fields})


def an_alloc(job: Job | None = None, **fields: Any) -> Allocation:
    job = job or a_job()
    group = (job.task_groups or ())[0]
    resources = AllocatedResources(
        tasks={
            task.name: AllocatedTaskResources(
                cpu=AllocatedCpuResources(cpu_shares=50), memory=AllocatedMemoryResources(memory_mb=32)
            )
            for task in group.tasks or ()
        },
        shared=AllocatedSharedResources(disk_mb=300),
    )
    values: dict[str, Any] = {
        "id": new_id(),
        "name": f"{job.id}.{group.name}[0]",
        "namespace": job.namespace,
        "job": job,
        "job_id": job.id,
        "task_group": group.name,
        "desired_status": "run",
        "client_status": "pending",
        "allocated_resources": resources,
    }
    return Allocation(**{**values, **fields})
