"""Values with defaults for tests: `a_job(count=3)`, `a_node()`, `an_allocation()`, `an_evaluation()`."""

from __future__ import annotations

from typing import Any

import msgspec

from raftnomad.identifiers import id_bytes
from raftnomad.model.allocation import Allocation, AllocDeploymentStatus, TaskState
from raftnomad.model.deployment import Deployment, DeploymentState
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import EphemeralDisk, Job, Task, TaskGroup
from raftnomad.model.node import (
    DriverInfo,
    LegacyNodeCpuResources,
    Node,
    NodeDiskResources,
    NodeMemoryResources,
    NodeResources,
)
from raftnomad.model.plan import PlacementBlock, Plan
from raftnomad.model.resources import (
    AllocatedCpuResources,
    AllocatedMemoryResources,
    AllocatedResources,
    AllocatedSharedResources,
    AllocatedTaskResources,
    Resources,
)

SECOND = 1_000_000_000


def an_id(number: int, kind: str = "a") -> str:
    """A UUID that reads as what it is: `an_id(3, "node")`. Equal arguments give equal ids."""
    head = kind.encode().hex()[:8].ljust(8, "0")
    return f"{head}-0000-4000-8000-{number:012x}"


def a_task(name: str = "server", driver: str = "mock_driver", **fields: Any) -> Task:
    defaults: dict[str, Any] = {
        "config": {"run_for": "1h"},
        "resources": Resources(cpu=100, memory_mb=128),
        "kill_timeout_ns": 5 * SECOND,
    }
    return Task(name=name, driver=driver, **{**defaults, **fields})


def a_group(name: str = "web", count: int = 1, **fields: Any) -> TaskGroup:
    defaults: dict[str, Any] = {"tasks": (a_task(),), "ephemeral_disk": EphemeralDisk(size_mb=300)}
    return TaskGroup(name=name, count=count, **{**defaults, **fields})


def a_job(id: str = "web", count: int = 1, **fields: Any) -> Job:
    """A service in namespace default with one group `web` of `count`, on any datacenter."""
    defaults: dict[str, Any] = {
        "name": id,
        "namespace": "default",
        "region": "global",
        "type": "service",
        "priority": 50,
        "datacenters": ("*",),
        "node_pool": "default",
        "task_groups": (a_group(count=count),),
    }
    return Job(id=id, **{**defaults, **fields})


def a_node(number: int = 1, cpu: int = 4000, memory_mb: int = 8192, disk_mb: int = 100_000, **fields: Any) -> Node:
    """A ready, eligible node in dc1 with the mock and raw_exec drivers."""
    healthy = DriverInfo(detected=True, healthy=True)
    defaults: dict[str, Any] = {
        "id": an_id(number, "node"),
        "secret_id": an_id(number, "key"),
        "name": f"node{number}",
        "datacenter": "dc1",
        "node_pool": "default",
        "http_addr": "127.0.0.1:4646",
        "status": "ready",
        "scheduling_eligibility": "eligible",
        "attributes": {
            "kernel.name": "linux",
            "driver.mock_driver": "1",
            "driver.raw_exec": "1",
            "nomad.version": "2.0.6",
        },
        "drivers": {"mock_driver": healthy, "raw_exec": healthy},
        "node_resources": NodeResources(
            cpu=LegacyNodeCpuResources(cpu_shares=cpu, total_cpu_cores=4, reservable_cpu_cores=(0, 1, 2, 3)),
            memory=NodeMemoryResources(memory_mb=memory_mb),
            disk=NodeDiskResources(disk_mb=disk_mb),
            min_dynamic_port=20000,
            max_dynamic_port=32000,
        ),
        "computed_class": "v1:1",
    }
    return Node(**{**defaults, **fields})


def an_evaluation(number: int = 1, job: Job | None = None, **fields: Any) -> Evaluation:
    """Pending, for `job` (web by default), caused by its registration."""
    job = job or a_job()
    defaults: dict[str, Any] = {
        "id": an_id(number, "eval"),
        "namespace": job.namespace,
        "priority": job.priority,
        "type": job.type,
        "triggered_by": "job-register",
        "job_id": job.id,
        "status": "pending",
    }
    return Evaluation(**{**defaults, **fields})


def allocated(cpu: int = 100, memory_mb: int = 128, disk_mb: int = 300, task: str = "server") -> AllocatedResources:
    return AllocatedResources(
        tasks={
            task: AllocatedTaskResources(
                cpu=AllocatedCpuResources(cpu_shares=cpu), memory=AllocatedMemoryResources(memory_mb=memory_mb)
            )
        },
        task_lifecycles={task: None},
        shared=AllocatedSharedResources(disk_mb=disk_mb),
    )


def an_allocation(
    number: int = 1, job: Job | None = None, node: Node | None = None, group: str = "web", index: int = 0, **fields: Any
) -> Allocation:
    """One that should run and that its client has not reported yet."""
    job = job or a_job()
    node = node or a_node()
    defaults: dict[str, Any] = {
        "id": an_id(number, "allo"),
        "namespace": job.namespace,
        "eval_id": an_id(1, "eval"),
        "name": f"{job.id}.{group}[{index}]",
        "node_id": node.id,
        "node_name": node.name,
        "job_id": job.id,
        "job": job,
        "task_group": group,
        "allocated_resources": allocated(),
        "desired_status": "run",
        "client_status": "pending",
    }
    return Allocation(**{**defaults, **fields})


def a_deployment(number: int = 1, job: Job | None = None, group: str = "web", **fields: Any) -> Deployment:
    job = job or a_job()
    defaults: dict[str, Any] = {
        "id": an_id(number, "depl"),
        "namespace": job.namespace,
        "job_id": job.id,
        "job_version": job.version,
        "job_create_index": job.create_index,
        "job_modify_index": job.modify_index,
        "job_spec_modify_index": job.job_modify_index,
        "status": "running",
        "status_description": "Deployment is running",
        "eval_priority": job.priority,
        "task_groups": {
            group: DeploymentState(
                desired_total=(job.task_groups or (a_group(),))[0].count, progress_deadline_ns=600 * SECOND
            )
        },
    }
    return Deployment(**{**defaults, **fields})


def a_block(
    ids: list[str], node_ids: list[str], group: str = "web", first_index: int = 0, **fields: Any
) -> PlacementBlock:
    """Placements by column: allocation `ids[i]`, named `first_index + i`, goes to `node_ids[i]`."""
    distinct = list(dict.fromkeys(node_ids))
    columns: dict[str, Any] = {
        "task_group": group,
        "alloc_ids": b"".join(map(id_bytes, ids)),
        "node_ids": tuple(distinct),
        "node_index": b"".join(distinct.index(node_id).to_bytes(4, "little") for node_id in node_ids),
        "name_index": b"".join((first_index + i).to_bytes(4, "little") for i in range(len(ids))),
        "resources": allocated(),
    }
    return PlacementBlock(**{**columns, **fields})


def a_plan(
    job: Job, blocks: tuple[PlacementBlock, ...] = (), evaluation: Evaluation | None = None, **fields: Any
) -> Plan:
    defaults: dict[str, Any] = {
        "eval_id": evaluation.id if evaluation else an_id(1, "eval"),
        "namespace": job.namespace,
        "job_id": job.id,
        "job_version": job.version,
        "job_create_index": job.create_index,
        "priority": job.priority,
    }
    return Plan(placements=blocks, **{**defaults, **fields})


def running(task: str = "server") -> dict[str, TaskState]:
    return {task: TaskState(state="running", started_at="2026-01-01T00:00:00Z")}


def healthy(value: bool = True, timestamp: str = "2026-01-01T00:00:10Z") -> AllocDeploymentStatus:
    return AllocDeploymentStatus(healthy=value, timestamp=timestamp)


def changed(row: Any, **fields: Any) -> Any:
    """The row with some fields replaced."""
    return msgspec.structs.replace(row, **fields)
