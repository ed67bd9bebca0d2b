"""`job plan`: the scheduler is asked what it would do with a job that nobody has registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from raftnomad.identifiers import new_id
from raftnomad.model.allocation import AllocMetric
from raftnomad.model.annotations import annotated
from raftnomad.model.cron import next_launch
from raftnomad.model.diff import job_diff
from raftnomad.model.difference import JobDiff
from raftnomad.model.evaluation import Evaluation, PlanAnnotations
from raftnomad.model.job import Job
from raftnomad.model.row import ZERO_TIME
from raftnomad.model.status import EvalTrigger
from raftnomad.model.versions import specification_changed
from raftnomad.scheduler.input import read_input
from raftnomad.server.scheduling import scheduled
from raftnomad.server.triggered import evaluation_of

if TYPE_CHECKING:
    from raftnomad.server.server import Server


class JobPlan(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    annotations: PlanAnnotations | None = None
    failed_tg_allocs: dict[str, AllocMetric] | None = None
    job_modify_index: int = 0
    """Of the job as it stands; 0 when there is none. `job run -check-index` takes it."""
    created_evals: tuple[Evaluation, ...] | None = None
    diff: JobDiff | None = None
    next_periodic_launch: str = ZERO_TIME


async def plan_job(server: Server, job: Job, diff: bool) -> JobPlan:
    """Also of a periodic or parameterized job, as if it ran now: that is what its users want to see."""
    state, now_ns = server.state, server.clock.now_ns()
    old = state.jobs.get((job.namespace, job.id))
    index = state.index
    planned = as_registered(job, old, index + 1)
    evaluation = replace(
        evaluation_of(planned, EvalTrigger.JOB_REGISTER, lambda: new_id(server.random_bytes), now_ns),
        job_modify_index=index + 1,
        annotate_plan=True,
    )
    asked = read_input(state, evaluation, now_ns, server.random_bytes(16), planned)
    output = await scheduled(server.scheduling, state, asked)
    annotations = output.plan.annotations or output.evaluation.plan_annotations
    difference = None
    if diff:
        desired = (annotations.desired_tg_updates if annotations is not None else None) or {}
        difference = annotated(job_diff(old, planned), desired)
    return JobPlan(
        index=index,
        annotations=annotations,
        failed_tg_allocs=output.evaluation.failed_tg_allocs,
        job_modify_index=old.job_modify_index if old is not None else 0,
        created_evals=output.created or None,
        diff=difference,
        next_periodic_launch=_next_launch(planned, now_ns),
    )


def _next_launch(job: Job, now_ns: int) -> str:
    launch = next_launch(job.periodic, now_ns) if job.periodic is not None else None
    return launch.isoformat().replace("+00:00", "Z") if launch is not None else ZERO_TIME


def as_registered(job: Job, old: Job | None, index: int) -> Job:
    """The job as the state would hold it."""
    if old is None:
        return replace(job, version=0, create_index=index, modify_index=index, job_modify_index=index)
    if not specification_changed(old, job):
        return old
    return replace(
        job,
        version=old.version + 1,
        create_index=old.create_index,
        modify_index=index,
        job_modify_index=index,
        status=old.status,
    )
