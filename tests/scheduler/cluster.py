"""Makers for scheduler tests: nodes, jobs, allocations and inputs with defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from raftnomad.fsm.apply.placements import rows_of
from raftnomad.fsm.capacity import NodeTable, uses_node
from raftnomad.model.allocation import Allocation, AllocDeploymentStatus, TaskState
from raftnomad.model.deployment import Deployment
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import EphemeralDisk, Job, Task, TaskGroup
from raftnomad.model.node import (
    DriverInfo,
    LegacyNodeCpuResources,
    Node,
    NodeDiskResources,
    NodeMemoryResources,
    NodeNetworkAddress,
    NodeNetworkResource,
    NodeResources,
)
from raftnomad.model.policies import ReschedulePolicy, UpdateStrategy
from raftnomad.model.resources import Resources
from raftnomad.model.scheduler_configuration import SchedulerConfiguration
from raftnomad.scheduler.input import SchedulerInput, SchedulerOutput, view_of
from raftnomad.scheduler.schedule import schedule

SECOND_NS = 1_000_000_000
NOW_NS = 1_800_000_000 * SECOND_NS


def a_node(node_id: str = "n0", cpu: int = 1000, memory: int = 1000, disk: int = 100_000, **fields: Any) -> Node:
    address = NodeNetworkAddress(alias="default", address="10.0.0.1")
    node = Node(
        id=node_id,
        name=node_id,
        datacenter="dc1",
        node_pool="default",
        status="ready",
        scheduling_eligibility="eligible",
        attributes={"kernel.name": "linux"},
        drivers={"mock_driver": DriverInfo(detected=True, healthy=True)},
        node_resources=NodeResources(
            cpu=LegacyNodeCpuResources(cpu_shares=cpu),
            memory=NodeMemoryResources(memory_mb=memory),
            disk=NodeDiskResources(disk_mb=disk),
            node_networks=(NodeNetworkResource(mode="host", addresses=(address,)),),
        ),
    )
    return msgspec.structs.replace(node, **fields)


def a_group(name: str = "g", count: int = 1, cpu: int = 100, memory: int = 100, **fields: Any) -> TaskGroup:
    task = Task(
        name="t", driver="mock_driver", config={"run_for": "1s"}, resources=Resources(cpu=cpu, memory_mb=memory)
    )
    group = TaskGroup(
        name=name,
        count=count,
        tasks=(task,),
        ephemeral_disk=EphemeralDisk(size_mb=10),
        reschedule_policy=ReschedulePolicy(
            delay_ns=30 * SECOND_NS, delay_function="exponential", max_delay_ns=3600 * SECOND_NS, unlimited=True
        ),
    )
    return msgspec.structs.replace(group, **fields)


def a_job(*groups: TaskGroup, **fields: Any) -> Job:
    job = Job(
        id="web",
        name="web",
        namespace="default",
        type="service",
        priority=50,
        datacenters=("dc1",),
        node_pool="default",
        create_index=10,
        modify_index=10,
        job_modify_index=10,
        task_groups=groups or (a_group(),),
    )
    return msgspec.structs.replace(job, **fields)


def rolling(**fields: Any) -> UpdateStrategy:
    return msgspec.structs.replace(
        UpdateStrategy(max_parallel=1, health_check="checks", progress_deadline_ns=600 * SECOND_NS), **fields
    )


def a_version_after(job: Job, *groups: TaskGroup, **fields: Any) -> Job:
    return msgspec.structs.replace(
        job, version=job.version + 1, task_groups=groups or job.task_groups, modify_index=job.modify_index + 1, **fields
    )


@dataclass
class Cluster:
    """A little of what the state does with plans, so that a test can tell a story of several evaluations."""

    nodes: dict[str, Node]
    jobs: dict[int, Job] = field(default_factory=dict)
    allocations: dict[str, Allocation] = field(default_factory=dict)
    deployment: Deployment | None = None
    configuration: SchedulerConfiguration = field(default_factory=SchedulerConfiguration)
    now_ns: int = NOW_NS
    index: int = 100

    def table(self) -> NodeTable:
        table = NodeTable(4)
        for node in self.nodes.values():
            table.upsert_node(node)
        for alloc in self.allocations.values():
            if uses_node(alloc):
                table.add_allocation(alloc)
        return table

    def input(self, job: Job | None, **fields: Any) -> SchedulerInput:
        if job is not None:
            self.jobs[job.version] = job
        job_type = job.type if job else "service"
        evaluation = Evaluation(
            id="e1", namespace="default", job_id="web", type=job_type, priority=50, status="pending"
        )
        tainted = {}
        for alloc in self.allocations.values():
            node = self.nodes.get(alloc.node_id)
            if node is None or node.status in ("down", "disconnected"):
                tainted[alloc.node_id] = node.status if node else "missing"
        made = SchedulerInput(
            evaluation=evaluation,
            job=job,
            versions={version: old for version, old in self.jobs.items() if job is None or version != job.version},
            allocations=tuple(view_of(alloc) for alloc in self.allocations.values()),
            deployment=self.deployment,
            tainted=tainted,
            configuration=self.configuration,
            node_pool=None,
            now_ns=self.now_ns,
            seed=self.index.to_bytes(4, "big"),
            index=self.index,
        )
        return msgspec.structs.replace(made, **fields)

    def schedule(self, job: Job | None, **fields: Any) -> SchedulerOutput:
        return schedule(self.input(job, **fields), self.table())

    def run(self, job: Job | None, **fields: Any) -> SchedulerOutput:
        """Schedule and carry out the plan; what is placed runs at once, what is stopped ends at once."""
        output = self.schedule(job, **fields)
        self.apply(output)
        return output

    def apply(self, output: SchedulerOutput) -> None:
        plan = output.plan
        self.index += 1
        if plan.deployment is not None:
            self.deployment = plan.deployment
        for change in plan.deployment_updates:
            if self.deployment is not None and self.deployment.id == change.deployment_id:
                self.deployment = msgspec.structs.replace(self.deployment, status=change.status)
        for stop in plan.stops:
            ended = stop.client_status or "complete"
            before = self.allocations[stop.alloc_id].client_status
            self.change(
                stop.alloc_id,
                desired_status=stop.desired_status,
                desired_description=stop.desired_description,
                client_status=before if before in ("failed", "lost") else ended,
                followup_eval_id=stop.followup_eval_id or self.allocations[stop.alloc_id].followup_eval_id,
            )
        for update in plan.updates:
            job = self.jobs[plan.job_version] if update.to_plan_job else self.allocations[update.alloc_id].job
            self.change(
                update.alloc_id,
                job=job,
                deployment_id=update.deployment_id or self.allocations[update.alloc_id].deployment_id,
                followup_eval_id=update.followup_eval_id or self.allocations[update.alloc_id].followup_eval_id,
            )
        for block in plan.placements:
            for alloc_id, node_id, index, resources, previous, tracker in rows_of(block):
                version = plan.job_version if block.job_version is None else block.job_version
                self.allocations[alloc_id] = Allocation(
                    id=alloc_id,
                    name=f"web.{block.task_group}[{index}]",
                    node_id=node_id,
                    job=self.jobs[version],
                    task_group=block.task_group,
                    allocated_resources=resources,
                    metrics=block.metrics,
                    desired_status="run",
                    client_status="running",
                    deployment_id=block.deployment_id,
                    deployment_status=AllocDeploymentStatus(canary=True) if block.canary else None,
                    reschedule_tracker=tracker,
                    previous_allocation=previous,
                    create_index=self.index,
                    create_time_ns=self.now_ns,
                    modify_time_ns=self.now_ns,
                )
                if previous:
                    self.change(previous, next_allocation=alloc_id)

    def change(self, alloc_id: str, **fields: Any) -> None:
        self.allocations[alloc_id] = msgspec.structs.replace(self.allocations[alloc_id], **fields)

    def fail(self, alloc_id: str) -> None:
        self.change(alloc_id, client_status="failed", modify_time_ns=self.now_ns)

    def finish(self, alloc_id: str) -> None:
        self.change(alloc_id, client_status="complete", task_states={"t": TaskState(state="dead")})

    def live(self) -> list[Allocation]:
        return [
            alloc
            for alloc in self.allocations.values()
            if alloc.desired_status == "run" and alloc.client_status in ("running", "pending", "unknown")
        ]

    def names(self) -> list[str]:
        return sorted(alloc.name for alloc in self.live())

    def heal(self, healthy: bool = True) -> None:
        """Every live allocation of the deployment is healthy (or not), and the deployment has counted it."""
        assert self.deployment is not None
        for alloc in self.live():
            if alloc.deployment_id == self.deployment.id:
                canary = bool(alloc.deployment_status and alloc.deployment_status.canary)
                self.change(alloc.id, deployment_status=AllocDeploymentStatus(healthy=healthy, canary=canary))
        states = {
            name: msgspec.structs.replace(
                state,
                healthy_allocs=sum(
                    1
                    for alloc in self.live()
                    if alloc.deployment_id == self.deployment.id and alloc.task_group == name and healthy
                ),
            )
            for name, state in (self.deployment.task_groups or {}).items()
        }
        self.deployment = msgspec.structs.replace(self.deployment, task_groups=states)


def a_cluster(nodes: int = 3, **fields: Any) -> Cluster:
    return Cluster({f"n{number}": a_node(f"n{number}", **fields) for number in range(nodes)})


def counts(output: SchedulerOutput, group: str = "g") -> dict[str, int]:
    """The annotation's counts that are not zero."""
    assert output.plan.annotations is not None
    updates = (output.plan.annotations.desired_tg_updates or {})[group]
    return {name: number for name, number in msgspec.structs.asdict(updates).items() if number}
