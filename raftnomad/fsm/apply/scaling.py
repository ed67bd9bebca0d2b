"""Scaling: another count for one group of a job, and the events that tell of it."""

from __future__ import annotations

from msgspec.structs import replace

from raftnomad.fsm.apply import jobs
from raftnomad.fsm.commands import ScaleJob
from raftnomad.fsm.outcome import Applied, Outcome, Rejected
from raftnomad.fsm.state import JobKey
from raftnomad.fsm.transaction import Transaction
from raftnomad.model.job import Job, TaskGroup
from raftnomad.model.scaling import JobScalingEvents, ScalingEvent

EVENTS_KEPT = 20
"""Of each group."""


def scale(txn: Transaction, command: ScaleJob) -> Outcome:
    """The outcome's value is the JobModifyIndex afterwards."""
    key = (command.namespace, command.job_id)
    job = txn.state.jobs.get(key)
    if job is None:
        return Rejected(txn.index, f'job "{command.job_id}" not found', 404)
    group = next((group for group in job.task_groups or () if group.name == command.group), None)
    if group is None:
        reason = f'task group "{command.group}" specified for scaling does not exist in job'
        return Rejected(txn.index, reason, 400)
    event = replace(command.event, previous_count=group.count, time_ns=txn.time_ns, create_index=txn.index)
    if command.count is not None:
        refused = _refusal(txn, command, job, group)
        if refused is not None:
            return refused
        jobs.add_version(txn, _scaled(job, group, command.count, txn.time_ns), job, None)
        jobs.store_evaluation(txn, command.evaluation, txn.state.jobs[key])
        eval_id = command.evaluation.id if command.evaluation is not None else None
        event = replace(event, count=command.count, eval_id=eval_id)
    _remember(txn, key, group.name, event)
    return Applied(txn.index, value=txn.state.jobs[key].job_modify_index)


def _refusal(txn: Transaction, command: ScaleJob, job: Job, group: TaskGroup) -> Rejected | None:
    assert command.count is not None
    if command.job_modify_index not in (None, job.job_modify_index):
        reason = (
            f"Enforcing job modify index {command.job_modify_index}: "
            f"job exists with conflicting job modify index: {job.job_modify_index}"
        )
        return Rejected(txn.index, reason)
    policy = group.scaling
    if policy is not None and command.count < policy.min:
        reason = f"group count was less than scaling policy minimum: {command.count} < {policy.min}"
        return Rejected(txn.index, reason, 400)
    if policy is not None and command.count > policy.max:
        reason = f"group count was greater than scaling policy maximum: {command.count} > {policy.max}"
        return Rejected(txn.index, reason, 400)
    if txn.state.active_deployments[job.namespace, job.id]:
        return Rejected(txn.index, "job scaling blocked due to active deployment", 400)
    total = sum(one.count for one in job.task_groups or ()) - group.count + command.count
    if command.count_max and total > command.count_max:
        return Rejected(
            txn.index, f"total count was greater than configured job_max_count: {total} > {command.count_max}"
        )
    return None


def _scaled(job: Job, scaled: TaskGroup, count: int, time_ns: int) -> Job:
    groups = tuple(replace(group, count=count) if group is scaled else group for group in job.task_groups or ())
    return replace(job, task_groups=groups, submit_time_ns=time_ns, stable=False, version_tag=None)


def _remember(txn: Transaction, key: JobKey, group: str, event: ScalingEvent) -> None:
    known = txn.state.scaling_events.get(key) or JobScalingEvents(namespace=key[0], job_id=key[1])
    of_group = (event, *known.scaling_events.get(group, ()))[:EVENTS_KEPT]
    events = {**known.scaling_events, group: of_group}
    txn.put(txn.state.scaling_events, key, replace(known, scaling_events=events, modify_index=txn.index))
