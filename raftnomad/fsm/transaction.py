"""What one command does to the state: its writes, the rows that they touched, and what follows from them.

Summaries, deployment counts and job statuses follow from allocations, evaluations and deployments. They are settled
once, in `finish`, and not for each of a plan's thousand allocations.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from raftnomad.clock import rfc3339
from raftnomad.fsm import deployment_counts, job_status, summaries
from raftnomad.fsm.changes import Change, Changes
from raftnomad.fsm.state import JobKey, State
from raftnomad.fsm.tables import Table
from raftnomad.model.allocation import Allocation
from raftnomad.model.deployment import Deployment
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import Job
from raftnomad.model.node import Node


class Transaction:
    """A command must be found acceptable before its first write: nothing is rolled back."""

    def __init__(self, state: State, time_ns: int) -> None:
        self.state = state
        self.index = state.index + 1
        self.time_ns = time_ns
        self.summary_steps = summaries.Steps()
        self.deployment_steps = deployment_counts.Steps()
        self.jobs_to_settle: dict[JobKey, None] = {}
        self._before: dict[tuple[str, Any], tuple[Table[Any, Any], Any]] = {}

    @property
    def time(self) -> str:
        return rfc3339(self.time_ns)

    def put(self, table: Table[Any, Any], key: Any, row: Any) -> None:
        self._touch(table, key, table.put(key, row))

    def remove(self, table: Table[Any, Any], key: Any) -> None:
        self._touch(table, key, table.remove(key))

    def put_job(self, job: Job) -> None:
        key = (job.namespace, job.id)
        old = self.state.jobs.get(key)
        self.put(self.state.jobs, key, job)
        self.jobs_to_settle[key] = None
        self.summary_steps.child(old, job)

    def remove_job(self, key: JobKey) -> None:
        old = self.state.jobs[key]
        self.remove(self.state.jobs, key)
        self.summary_steps.child(old, None)

    def put_evaluation(self, evaluation: Evaluation) -> None:
        old = self.state.evaluations.put(evaluation.id, evaluation)
        self._touch(self.state.evaluations, evaluation.id, old)
        for row in (old, evaluation):
            if row is not None:
                self.jobs_to_settle[row.namespace, row.job_id] = None

    def remove_evaluation(self, evaluation: Evaluation) -> None:
        self.remove(self.state.evaluations, evaluation.id)
        self.jobs_to_settle[evaluation.namespace, evaluation.job_id] = None

    def put_allocation(self, alloc: Allocation) -> None:
        old = self.state.store_allocation(alloc)
        self._touch(self.state.allocations, alloc.id, old)
        self.summary_steps.allocation(old, alloc)
        if alloc.deployment_id:
            self.deployment_steps.allocation(old, alloc)
        self.jobs_to_settle[alloc.namespace, alloc.job_id] = None

    def remove_allocation(self, alloc_id: str) -> None:
        old = self.state.drop_allocation(alloc_id)
        self._touch(self.state.allocations, alloc_id, old)
        self.summary_steps.allocation(old, None)
        self.jobs_to_settle[old.namespace, old.job_id] = None

    def put_deployment(self, deployment: Deployment) -> None:
        self.put(self.state.deployments, deployment.id, deployment)
        self.jobs_to_settle[deployment.namespace, deployment.job_id] = None

    def remove_deployment(self, deployment: Deployment) -> None:
        self.remove(self.state.deployments, deployment.id)
        self.jobs_to_settle[deployment.namespace, deployment.job_id] = None

    def put_node(self, node: Node) -> None:
        self._touch(self.state.nodes, node.id, self.state.store_node(node))

    def remove_node(self, node_id: str) -> None:
        self._touch(self.state.nodes, node_id, self.state.drop_node(node_id))

    def set_newest_version(self, job: Job) -> None:
        """The job's row and the newest of its versions are one: what servers write into it changes both."""
        key = (job.namespace, job.id)
        self.put_job(job)
        self.put(self.state.job_versions, key, (job, *self.state.job_versions[key][1:]))

    @property
    def is_untouched(self) -> bool:
        return not self._before

    def finish(self, command: str) -> Changes:
        """Settle what follows, and say which rows changed. The state is at this command's index afterwards."""
        deployment_counts.settle(self)
        job_status.settle(self)
        summaries.settle(self)
        rows = []
        for (name, key), (table, old) in self._before.items():
            new = table.get(key)
            if old is not new:
                self.state.table_indexes[name] = self.index
                rows.append(Change(name, key, old, new))
        self.state.index = self.index
        return Changes(self.index, command, tuple(rows))

    def _touch(self, table: Table[Any, Any], key: Any, old: Any) -> None:
        self._before.setdefault((table.name, key), (table, old))


def stamped(row: Any, old: Any, index: int) -> Any:
    """The row with the indexes that a write at `index` gives it."""
    return replace(row, create_index=old.create_index if old is not None else index, modify_index=index)
