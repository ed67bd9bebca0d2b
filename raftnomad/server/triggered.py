"""Evaluations that something other than a user's wish causes: a node, an allocation, a deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from raftnomad.fsm.state import JobKey, State, uses_node
from raftnomad.model.allocation import Allocation
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import Job
from raftnomad.model.node import Node
from raftnomad.model.status import EvalStatus, EvalTrigger, JobType, NodeStatus

NewId = Callable[[], str]


def evaluation_of(job: Job, trigger: EvalTrigger, new_id: NewId, now_ns: int, **fields: Any) -> Evaluation:
    return Evaluation(
        id=new_id(),
        namespace=job.namespace,
        priority=job.priority,
        type=job.type,
        triggered_by=str(trigger),
        job_id=job.id,
        status=str(EvalStatus.PENDING),
        create_time_ns=now_ns,
        modify_time_ns=now_ns,
        **fields,
    )


def for_node(state: State, node: Node, new_id: NewId, now_ns: int) -> tuple[Evaluation, ...]:
    """One for each job with allocations that hold on to the node, and for each system job that may want to be there."""
    jobs = jobs_of(state, (alloc for alloc in state.allocations_of_node(node.id) if uses_node(alloc)))
    if node.status != NodeStatus.DOWN:
        for key, job in state.jobs.items():
            if job.type in (JobType.SYSTEM, JobType.SYSBATCH) and not job.stop:
                jobs[key] = job
    return tuple(
        evaluation_of(
            job,
            EvalTrigger.NODE_UPDATE,
            new_id,
            now_ns,
            node_id=node.id,
            node_modify_index=node.modify_index,
        )
        for job in jobs.values()
        if job.periodic is None and (job.parameterized_job is None or job.dispatched)
    )


def jobs_of(state: State, allocations: Iterable[Allocation]) -> dict[JobKey, Job]:
    """The jobs as they are now, or, of those that were purged, as their allocations know them."""
    jobs: dict[JobKey, Job] = {}
    for alloc in allocations:
        key = (alloc.namespace, alloc.job_id)
        job = state.jobs.get(key) or alloc.job
        assert job is not None
        jobs[key] = job
    return jobs


def has_attempts_left(alloc: Allocation, now_ns: int) -> bool:
    """Whether the group's reschedule policy allows one more placement of an allocation that has failed."""
    assert alloc.job is not None
    group = next((one for one in alloc.job.task_groups or () if one.name == alloc.task_group), None)
    policy = group.reschedule_policy if group is not None else None
    if policy is None:
        return False
    events = (alloc.reschedule_tracker.events or ()) if alloc.reschedule_tracker is not None else ()
    recent = [event for event in events if event.reschedule_time_ns > now_ns - policy.interval_ns]
    return policy.unlimited or len(recent) < policy.attempts
