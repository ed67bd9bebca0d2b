"""Scaling policies: what a job's newest version says of its groups and tasks.

They have no rows of their own. A policy's id is made from what it is for, so that it stays the same as long as the
job has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from msgspec.structs import replace

from raftnomad.identifiers import new_id
from raftnomad.model.job import Job, TaskGroup
from raftnomad.model.policies import ScalingPolicy

HORIZONTAL = "horizontal"


def policies_of(job: Job) -> Iterator[ScalingPolicy]:
    """Of its groups and tasks, each with what it is for."""
    for group in job.task_groups or ():
        if group.scaling is not None:
            yield of_group(job, group)
        for task in group.tasks or ():
            for policy in task.scaling_policies or ():
                yield _complete(policy, {**_target(job, group), "Task": task.name}, job)


def of_group(job: Job, group: TaskGroup) -> ScalingPolicy:
    assert group.scaling is not None
    return _complete(group.scaling, _target(job, group), job)


def _target(job: Job, group: TaskGroup) -> dict[str, str]:
    return {"Namespace": job.namespace, "Job": job.id, "Group": group.name}


def _complete(policy: ScalingPolicy, target: dict[str, str], job: Job) -> ScalingPolicy:
    kind = policy.type or HORIZONTAL
    digest = blake2b("\0".join((kind, *target.values())).encode(), digest_size=16).digest()
    return replace(
        policy,
        id=new_id(lambda _size: digest),
        type=kind,
        target=target,
        enabled=policy.enabled and not job.stop,
        create_index=job.create_index,
        modify_index=job.job_modify_index if job.stop else job.create_index,
    )
