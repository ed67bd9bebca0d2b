"""The plan and the finished evaluation, put together from what was decided."""

from __future__ import annotations

import msgspec

from raftnomad.model.allocation import AllocMetric
from raftnomad.model.deployment import Deployment
from raftnomad.model.evaluation import DesiredUpdates, Evaluation, PlanAnnotations
from raftnomad.model.plan import AllocStop, AllocUpdate, PlacementBlock, Plan
from raftnomad.model.status import EvalStatus
from raftnomad.scheduler.changes import Changes
from raftnomad.scheduler.input import SchedulerInput
from raftnomad.scheduler.place import GroupOutcome


def plan_of(
    input: SchedulerInput,
    changes: Changes,
    blocks: list[PlacementBlock],
    stops: dict[str, AllocStop],
    updates: list[AllocUpdate],
) -> Plan:
    job = input.job
    return Plan(
        eval_id=input.evaluation.id,
        namespace=input.evaluation.namespace,
        job_id=input.evaluation.job_id,
        job_version=job.version if job else 0,
        job_create_index=job.create_index if job else 0,
        priority=input.evaluation.priority,
        all_at_once=bool(job and job.all_at_once),
        placements=tuple(blocks),
        stops=tuple(stops.values()),
        updates=tuple(updates),
        deployment=changes.deployment,
        deployment_updates=tuple(changes.deployment_updates),
        annotations=PlanAnnotations(
            desired_tg_updates={name: DesiredUpdates(**group.counts) for name, group in changes.groups.items()}
        ),
        snapshot_index=input.index,
    )


def finished(
    input: SchedulerInput,
    changes: Changes,
    outcomes: list[GroupOutcome],
    failed: dict[str, AllocMetric],
    plan: Plan,
) -> Evaluation:
    queued = dict.fromkeys(changes.groups, 0)
    for outcome in outcomes:
        queued[outcome.ask.group.name] += len(outcome.failed)
    deployment: Deployment | None = changes.deployment or input.deployment
    return msgspec.structs.replace(
        input.evaluation,
        status=EvalStatus.COMPLETE,
        status_description="",
        queued_allocations=queued,
        failed_tg_allocs=failed or None,
        plan_annotations=plan.annotations,
        deployment_id=deployment.id if deployment else input.evaluation.deployment_id,
        snapshot_index=input.index,
        modify_time_ns=input.now_ns,
    )
