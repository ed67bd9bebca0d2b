"""Job summaries: how many allocations of each group are in which state, kept up to date by steps and not by counting.

A summary counts the allocations of one life of a job: those of a job of the same name that was purged before do not
count. `Queued` is what the last evaluation could not place, less what has been placed since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import asdict, replace

from raftnomad.fsm.state import JobKey, State
from raftnomad.model.allocation import Allocation
from raftnomad.model.job import Job, JobChildrenSummary, JobSummary, TaskGroupSummary
from raftnomad.model.status import ClientStatus

if TYPE_CHECKING:
    from raftnomad.fsm.transaction import Transaction

FIELD_OF: dict[str, str] = {
    ClientStatus.PENDING: "starting",
    ClientStatus.RUNNING: "running",
    ClientStatus.COMPLETE: "complete",
    ClientStatus.FAILED: "failed",
    ClientStatus.LOST: "lost",
    ClientStatus.UNKNOWN: "unknown",
}


class Steps:
    """What one command adds to and takes from the numbers of each job and group."""

    def __init__(self) -> None:
        self.groups: dict[tuple[JobKey, int, str], dict[str, int]] = {}
        """(job, its create index, group) -> field -> step; `placed` counts new allocations."""
        self.children: dict[JobKey, dict[str, int]] = {}
        self.queued: dict[JobKey, dict[str, int]] = {}
        """What an evaluation says of the allocations that wait for a place, by group."""

    def allocation(self, old: Allocation | None, new: Allocation | None) -> None:
        if old is not None and new is not None and _counts_as(old) == _counts_as(new):
            return
        for alloc, step in ((old, -1), (new, 1)):
            if alloc is None or (field := FIELD_OF.get(alloc.client_status)) is None:
                continue
            assert alloc.job is not None
            key = ((alloc.namespace, alloc.job_id), alloc.job.create_index, alloc.task_group)
            fields = self.groups.get(key)
            if fields is None:
                fields = self.groups[key] = {}
            fields[field] = fields.get(field, 0) + step
            if old is None:
                fields["placed"] = fields.get("placed", 0) + 1

    def child(self, old: Job | None, new: Job | None) -> None:
        for job, step in ((old, -1), (new, 1)):
            if job is None or not job.parent_id or not job.status:
                continue
            fields = self.children.setdefault((job.namespace, job.parent_id), {})
            fields[job.status] = fields.get(job.status, 0) + step


def _counts_as(alloc: Allocation) -> tuple[str, int]:
    assert alloc.job is not None
    return alloc.client_status, alloc.job.create_index


def settle(txn: Transaction) -> None:
    """Write the summaries that the command's steps change."""
    changed: dict[JobKey, JobSummary] = {}
    for (key, create_index, group), fields in txn.summary_steps.groups.items():
        summary = changed.get(key) or txn.state.summaries.get(key)
        if summary is None or summary.create_index != create_index:
            continue
        groups = dict(summary.summary or {})
        groups[group] = _stepped(groups.get(group, TaskGroupSummary()), fields)
        changed[key] = replace(summary, summary=groups)
    for key, fields in txn.summary_steps.children.items():
        summary = changed.get(key) or txn.state.summaries.get(key)
        if summary is None:
            continue
        children = asdict(summary.children or JobChildrenSummary())
        for field, step in fields.items():
            children[field] += step
        changed[key] = replace(summary, children=JobChildrenSummary(**children))
    for key, queued in txn.summary_steps.queued.items():
        summary = changed.get(key) or txn.state.summaries.get(key)
        if summary is None:
            continue
        groups = dict(summary.summary or {})
        for name in groups:
            if name in queued:
                groups[name] = replace(groups[name], queued=queued[name])
        changed[key] = replace(summary, summary=groups)
    for key, summary in changed.items():
        if summary != txn.state.summaries.get(key):
            txn.put(txn.state.summaries, key, replace(summary, modify_index=txn.index))


def _stepped(group: TaskGroupSummary, fields: dict[str, int]) -> TaskGroupSummary:
    values = asdict(group)
    for field, step in fields.items():
        if field == "placed":
            values["queued"] = max(0, values["queued"] - step)
        else:
            values[field] += step
    return TaskGroupSummary(**values)


def for_job(txn: Transaction, job: Job) -> None:
    """The job's summary has all groups of the job's newest version; those of older versions stay."""
    key = (job.namespace, job.id)
    old = txn.state.summaries.get(key)
    summary = old or JobSummary(
        job_id=job.id,
        namespace=job.namespace,
        summary={},
        children=_counted_children(txn.state, key),
        create_index=job.create_index,
    )
    groups = dict(summary.summary or {})
    for group in job.task_groups or ():
        groups.setdefault(group.name, TaskGroupSummary())
    if old is None or groups != old.summary:
        txn.put(txn.state.summaries, key, replace(summary, summary=groups, modify_index=txn.index))


def counted(state: State, key: JobKey) -> JobSummary:
    """The summary as counting the rows gives it; `queued` is kept."""
    summary = state.summaries[key]
    groups = {name: TaskGroupSummary(queued=group.queued) for name, group in (summary.summary or {}).items()}
    for alloc in state.allocations_of_job(*key):
        assert alloc.job is not None
        field = FIELD_OF.get(alloc.client_status)
        if alloc.job.create_index == summary.create_index and field is not None:
            group = groups.get(alloc.task_group, TaskGroupSummary())
            groups[alloc.task_group] = replace(group, **{field: getattr(group, field) + 1})
    return replace(summary, summary=groups, children=_counted_children(state, key))


def _counted_children(state: State, key: JobKey) -> JobChildrenSummary:
    counts = {"pending": 0, "running": 0, "dead": 0}
    for child in state.children_of_job(*key):
        if child.status:
            counts[child.status] += 1
    return JobChildrenSummary(**counts)
