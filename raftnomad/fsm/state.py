"""Everything the cluster knows: the tables, and how to look things up in them.

It changes only through `StateMachine.apply` (and a restore). Everyone else reads: tables are dicts, so reading on the
event loop's thread between two applies needs no copy to be consistent.
"""

from __future__ import annotations

from typing import Any

from raftnomad.fsm.capacity import NodeTable
from raftnomad.fsm.outcomes import Outcomes
from raftnomad.fsm.tables import IdTable, Index, Table
from raftnomad.model.allocation import Allocation
from raftnomad.model.deployment import Deployment
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import Job, JobSubmission, JobSummary
from raftnomad.model.launch import PeriodicLaunch
from raftnomad.model.namespace import Namespace
from raftnomad.model.node import Node, NodePool
from raftnomad.model.scaling import JobScalingEvents
from raftnomad.model.scheduler_configuration import PreemptionConfig, SchedulerConfiguration
from raftnomad.model.status import (
    ACTIVE_DEPLOYMENT_STATUSES,
    TERMINAL_CLIENT_STATUSES,
    DesiredStatus,
    EvalStatus,
)

JobKey = tuple[str, str]
"""(namespace, id)"""

FIRST_INDEX = 1
"""The index of an empty cluster, at which what is built in (namespace, node pools) was created."""

OPEN_EVAL_STATUSES = frozenset((EvalStatus.PENDING, EvalStatus.BLOCKED))


def is_terminal(alloc: Allocation) -> bool:
    """It should not run, or it does not run any more."""
    return alloc.desired_status != DesiredStatus.RUN or alloc.client_status in TERMINAL_CLIENT_STATUSES


def uses_node(alloc: Allocation) -> bool:
    """One that was told to stop still holds its memory and ports, until its client says that it ended."""
    return alloc.client_status not in TERMINAL_CLIENT_STATUSES


class Counts:
    """How many rows of each job fulfil a condition: an index that keeps no keys. Rows of None are not counted."""

    def __init__(self, group_of: Any) -> None:
        self.group_of = group_of
        self.counts: dict[JobKey, int] = {}

    def update(self, _key: Any, old: Any, new: Any) -> None:
        before: JobKey | None = self.group_of(old) if old is not None else None
        after: JobKey | None = self.group_of(new) if new is not None else None
        if before == after:
            return
        if before:
            self.counts[before] -= 1
            if not self.counts[before]:
                del self.counts[before]
        if after:
            self.counts[after] = self.counts.get(after, 0) + 1

    def __getitem__(self, key: JobKey) -> int:
        return self.counts.get(key, 0)


def _job_of(row: Any) -> JobKey:
    return (row.namespace, row.job_id)


class AllocationTable(IdTable[Allocation]):
    """The table that is written most: what most writes leave alone in the indexes is not looked at."""

    __slots__ = ("by_deployment", "by_evaluation", "by_job", "by_node", "live")

    def __init__(self) -> None:
        self.by_job: Index[str, Allocation] = Index(_job_of)
        self.by_node: Index[str, Allocation] = Index(lambda alloc: alloc.node_id)
        self.by_evaluation: Index[str, Allocation] = Index(lambda alloc: alloc.eval_id)
        self.by_deployment: Index[str, Allocation] = Index(lambda alloc: alloc.deployment_id)
        self.live = Counts(lambda alloc: None if is_terminal(alloc) else (alloc.namespace, alloc.job_id))
        super().__init__("allocations", self.by_job, self.by_node, self.by_evaluation, self.by_deployment, self.live)  # type: ignore[arg-type]

    def put(self, key: str, row: Allocation) -> Allocation | None:
        old = self.get(key)
        if old is None:
            self._add(key, row)
            return None
        if self.views:
            self._note(key, old)
        self[key] = row
        if old.eval_id != row.eval_id:
            self.by_evaluation.update(key, old, row)
        if old.deployment_id != row.deployment_id:
            self.by_deployment.update(key, old, row)
        if is_terminal(old) != is_terminal(row):
            self.live.update(key, old, row)
        assert old.job_id == row.job_id
        assert old.node_id == row.node_id
        return old

    def _add(self, key: str, row: Allocation) -> None:
        self[key] = row
        self._sort_in(key)
        job = (row.namespace, row.job_id)
        self.by_job.add(job, key)
        self.by_node.add(row.node_id, key)
        self.by_evaluation.add(row.eval_id, key)
        self.by_deployment.add(row.deployment_id, key)
        if not is_terminal(row):
            self.live.counts[job] = self.live.counts.get(job, 0) + 1


class State:
    def __init__(self) -> None:
        self.index = FIRST_INDEX
        self.epoch = 0
        """The index at which the present leader claimed office."""
        self.leader_id = ""
        self.time_ns = 0
        """The latest wall clock that a command carried; for display, not for deciding."""
        self._jobs_by_parent: Index[JobKey, Job] = Index(
            lambda job: (job.namespace, job.parent_id) if job.parent_id else ""
        )
        self._periodic_jobs: Index[JobKey, Job] = Index(
            lambda job: "periodic" if job.periodic is not None and job.periodic.enabled and not job.stop else ""
        )
        self.jobs: Table[JobKey, Job] = Table("jobs", self._jobs_by_parent, self._periodic_jobs)
        self.job_versions: Table[JobKey, tuple[Job, ...]] = Table("job_versions")
        """Newest first; the first one is the row of `jobs` itself."""
        self.job_submissions: Table[tuple[str, str, int], JobSubmission] = Table("job_submissions")
        self.summaries: Table[JobKey, JobSummary] = Table("summaries")
        self.periodic_launches: Table[JobKey, PeriodicLaunch] = Table("periodic_launches")
        self.scaling_events: Table[JobKey, JobScalingEvents] = Table("scaling_events")
        self._evaluations_by_job: Index[str, Evaluation] = Index(_job_of)
        self.open_evaluations = Counts(
            lambda evaluation: _job_of(evaluation) if evaluation.status in OPEN_EVAL_STATUSES else None
        )
        self.evaluations: IdTable[Evaluation] = IdTable(
            "evaluations",
            self._evaluations_by_job,
            self.open_evaluations,  # type: ignore[arg-type]
        )
        self.allocations = AllocationTable()
        self._deployments_by_job: Index[str, Deployment] = Index(_job_of)
        self.active_deployments = Counts(
            lambda deployment: _job_of(deployment) if deployment.status in ACTIVE_DEPLOYMENT_STATUSES else None
        )
        self.deployments: IdTable[Deployment] = IdTable(
            "deployments",
            self._deployments_by_job,
            self.active_deployments,  # type: ignore[arg-type]
        )
        self.nodes: IdTable[Node] = IdTable("nodes")
        self.node_pools: Table[str, NodePool] = Table("node_pools")
        self.namespaces: Table[str, Namespace] = Table("namespaces")
        self.scheduler_configurations: Table[str, SchedulerConfiguration] = Table("scheduler_configuration")
        self.node_table = NodeTable()
        self.outcomes = Outcomes()
        self.table_indexes: dict[str, int] = {}
        self._build_in()

    def tables(self) -> tuple[Table[Any, Any], ...]:
        """All tables, in the order in which a dump holds them: what is referred to comes first."""
        return (
            self.namespaces,
            self.node_pools,
            self.scheduler_configurations,
            self.nodes,
            self.job_versions,
            self.jobs,
            self.job_submissions,
            self.summaries,
            self.scaling_events,
            self.periodic_launches,
            self.deployments,
            self.evaluations,
            self.allocations,
        )

    @property
    def scheduler_configuration(self) -> SchedulerConfiguration:
        return self.scheduler_configurations[""]

    def table_index(self, table: str) -> int:
        """The index of the last command that touched the table; 0 when none has."""
        return self.table_indexes.get(table, 0)

    def allocations_of_job(self, namespace: str, job_id: str) -> list[Allocation]:
        return self._in_order(self.allocations, self.allocations.by_job, (namespace, job_id))

    def allocations_of_node(self, node_id: str) -> list[Allocation]:
        return self._in_order(self.allocations, self.allocations.by_node, node_id)

    def allocations_of_evaluation(self, eval_id: str) -> list[Allocation]:
        return self._in_order(self.allocations, self.allocations.by_evaluation, eval_id)

    def allocations_of_deployment(self, deployment_id: str) -> list[Allocation]:
        return self._in_order(self.allocations, self.allocations.by_deployment, deployment_id)

    def evaluations_of_job(self, namespace: str, job_id: str) -> list[Evaluation]:
        return self._in_order(self.evaluations, self._evaluations_by_job, (namespace, job_id))

    def deployments_of_job(self, namespace: str, job_id: str) -> list[Deployment]:
        return self._in_order(self.deployments, self._deployments_by_job, (namespace, job_id))

    def latest_deployment(self, namespace: str, job_id: str) -> Deployment | None:
        deployments = self.deployments_of_job(namespace, job_id)
        return deployments[-1] if deployments else None

    def children_of_job(self, namespace: str, job_id: str) -> list[Job]:
        """Jobs that a periodic or parameterized job has launched."""
        keys = self._jobs_by_parent.groups.get((namespace, job_id), ())
        return sorted((self.jobs[key] for key in keys), key=lambda job: (job.create_index, job.id))

    def periodic_jobs(self) -> list[Job]:
        """Those that launch children by themselves."""
        return [self.jobs[key] for key in self._periodic_jobs.groups.get("periodic", ())]

    def has_history(self, key: JobKey) -> bool:
        """Some evaluation or allocation of the job is still known."""
        return key in self._evaluations_by_job.groups or key in self.allocations.by_job.groups

    def job_version(self, namespace: str, job_id: str, version: int) -> Job | None:
        """One of the versions that are kept, else one that an allocation still refers to."""
        for job in self.job_versions.get((namespace, job_id), ()):
            if job.version == version:
                return job
        present = self.jobs.get((namespace, job_id))
        for alloc in self.allocations_of_job(namespace, job_id) if present is not None else ():
            job_of_alloc = alloc.job
            assert job_of_alloc is not None and present is not None
            if job_of_alloc.version == version and job_of_alloc.create_index == present.create_index:
                return job_of_alloc
        return None

    @staticmethod
    def _in_order(table: IdTable[Any], index: Index[str, Any], group: Any) -> list[Any]:
        rows = [table[key] for key in index.groups.get(group, ())]
        rows.sort(key=lambda row: (row.create_index, row.id))
        return rows

    def store_node(self, node: Node) -> Node | None:
        self.node_table.upsert_node(node)
        return self.nodes.put(node.id, node)

    def drop_node(self, node_id: str) -> Node:
        """What its allocations use counts again should the node come back."""
        self.node_table.remove_node(node_id)
        return self.nodes.remove(node_id)

    def store_allocation(self, alloc: Allocation) -> Allocation | None:
        assert alloc.job is not None, f"allocation {alloc.id} has no job"
        old = self.allocations.put(alloc.id, alloc)
        if old is None:
            if uses_node(alloc):
                self.node_table.add_allocation(alloc)
        elif uses_node(old) != uses_node(alloc) or old.allocated_resources is not alloc.allocated_resources:
            if uses_node(old):
                self.node_table.remove_allocation(old)
            if uses_node(alloc):
                self.node_table.add_allocation(alloc)
        return old

    def drop_allocation(self, alloc_id: str) -> Allocation:
        old = self.allocations.remove(alloc_id)
        if uses_node(old):
            self.node_table.remove_allocation(old)
        return old

    def _build_in(self) -> None:
        for name, description in (("all", _ALL_NODES), ("default", _DEFAULT_POOL)):
            self.node_pools.put(name, NodePool(name=name, description=description, create_index=1, modify_index=1))
        self.namespaces.put(
            "default",
            Namespace(name="default", description="Default shared namespace", create_index=1, modify_index=1),
        )
        self.scheduler_configurations.put(
            "",
            SchedulerConfiguration(
                scheduler_algorithm="binpack",
                preemption_config=PreemptionConfig(system_scheduler_enabled=True),
                create_index=1,
                modify_index=1,
            ),
        )
        for table in ("node_pools", "namespaces", "scheduler_configuration"):
            self.table_indexes[table] = FIRST_INDEX


_ALL_NODES = "Node pool with all nodes in the cluster."
_DEFAULT_POOL = "Default node pool."
