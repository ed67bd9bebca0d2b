"""A job's status - pending, running or dead - as it follows from its allocations, evaluations and deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from raftnomad.fsm.state import State
from raftnomad.model.job import Job
from raftnomad.model.status import JobStatus, JobType

if TYPE_CHECKING:
    from raftnomad.fsm.transaction import Transaction


def derived(state: State, job: Job) -> str:
    """Running while anything runs or a deployment is under way; pending while an evaluation is open; else dead.

    System, periodic and parameterized jobs run until they are stopped. A job that nobody has evaluated yet is pending.
    """
    key = (job.namespace, job.id)
    if is_standing(job):
        return JobStatus.DEAD if job.stop else JobStatus.RUNNING
    if state.allocations.live[key] or state.active_deployments[key]:
        return JobStatus.RUNNING
    if state.open_evaluations[key]:
        return JobStatus.PENDING
    if job.status == JobStatus.DEAD or state.has_history(key):
        return JobStatus.DEAD
    return JobStatus.PENDING


def is_standing(job: Job) -> bool:
    """A job that does not end by itself: system, periodic, or a template of jobs."""
    is_template = job.parameterized_job is not None and not job.dispatched
    return job.type == JobType.SYSTEM or job.periodic is not None or is_template


def settle(txn: Transaction) -> None:
    """Write the jobs whose status the command changes."""
    for key in txn.jobs_to_settle:
        job = txn.state.jobs.get(key)
        if job is None:
            continue
        status = derived(txn.state, job)
        if status != job.status:
            settled = replace(job, status=str(status), modify_index=txn.index)
            txn.put(txn.state.jobs, key, settled)
            txn.put(txn.state.job_versions, key, (settled, *txn.state.job_versions[key][1:]))
            txn.summary_steps.child(job, settled)
