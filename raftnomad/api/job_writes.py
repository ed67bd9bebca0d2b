"""Changing jobs: register, stop, evaluate, revert, mark stable."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from raftnomad.api import answers, job_intake
from raftnomad.api.context import Context
from raftnomad.api.query import flag, namespace_of
from raftnomad.api.requests import (
    JobEvaluateRequest,
    JobRegisterRequest,
    JobRevertRequest,
    JobStabilityRequest,
)
from raftnomad.errors import BadRequest, RaftnomadError
from raftnomad.fsm.commands import (
    Command,
    DeregisterJob,
    MarkJobStable,
    RegisterJob,
    RevertJob,
    TransitionAllocations,
    UpsertEvaluations,
)
from raftnomad.identifiers import new_id
from raftnomad.model import wire
from raftnomad.model.allocation import DesiredTransition
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import Job, JobSubmission
from raftnomad.model.status import EvalStatus, EvalTrigger, JobType
from raftnomad.model.submitted import Job as SubmittedJob
from raftnomad.web import Answer, Request, Response

PRIORITY_MAX = 100


async def register_job(context: Context, request: Request) -> Answer:
    """Also answers `PUT /v1/job/{id}`, where the ids must agree."""
    asked = wire.decode(JobRegisterRequest, request.body)
    _check_identity(job_intake.submitted_job(asked), request)
    _check_priority(asked.eval_priority)
    _check_scaling(job_intake.submitted_job(asked))
    job = job_intake.take(asked, request, context.server.region, context.job_limits)
    limits = context.job_limits
    job_intake.check(job, context.server.state, limits)
    submission, odd = _submission(asked.submission, job, limits.source_bytes_max)
    job = msgspec.structs.replace(job, submit_time_ns=context.server.clock.now_ns())
    evaluation = None
    if job.periodic is None and job.parameterized_job is None:
        evaluation = new_evaluation(context, job, EvalTrigger.JOB_REGISTER, asked.eval_priority)
    applied = await context.server.propose(
        RegisterJob(
            job=job,
            submission=submission,
            evaluation=evaluation,
            enforce_index=asked.enforce_index,
            job_modify_index=asked.job_modify_index,
            preserve_counts=asked.preserve_counts,
            preserve_resources=asked.preserve_resources,
        )
    )
    return job_written(applied.index, applied.value, evaluation, job_intake.warnings_text(job, *odd))


def _check_identity(job: SubmittedJob, request: Request) -> None:
    if job.id is None:
        raise BadRequest("Job ID hasn't been provided")
    if "id" in request.parameters and request.parameters["id"] != job.id:
        raise BadRequest("Job ID does not match name")


def _check_scaling(job: SubmittedJob) -> None:
    if job.type == JobType.SYSTEM and any(group.scaling is not None for group in job.task_groups or ()):
        raise BadRequest("Task groups with job type system do not support scaling blocks")


def _check_priority(priority: int) -> None:
    if not 0 <= priority <= PRIORITY_MAX:
        raise BadRequest(f"Eval priority must be between 1 and {PRIORITY_MAX} inclusively")


def _submission(submission: JobSubmission | None, job: Job, most: int) -> tuple[JobSubmission | None, list[str]]:
    """The source to keep beside the job, or a warning that it is too long to keep."""
    if submission is None or not submission.source:
        return None, []
    size = len(submission.source.encode()) + len(submission.variables.encode())
    if size > most:
        text = f"job source size of {_size(size)} exceeds maximum of {_size(most)} and will be discarded"
        return None, [text]
    return msgspec.structs.replace(submission, namespace=job.namespace, job_id=job.id), []


def _size(size: int) -> str:
    if size >= 1_000_000:
        return f"{size / 1_000_000:.1f} MB"
    return f"{size / 1000:.1f} kB"


def new_evaluation(
    context: Context, job: Job, trigger: EvalTrigger, priority: int = 0, job_modify_index: int | None = None
) -> Evaluation:
    now = context.server.clock.now_ns()
    return Evaluation(
        id=new_id(context.server.random_bytes),
        namespace=job.namespace,
        priority=priority or job.priority,
        type=job.type,
        triggered_by=trigger,
        job_id=job.id,
        job_modify_index=job.modify_index if job_modify_index is None else job_modify_index,
        status=EvalStatus.PENDING,
        create_time_ns=now,
        modify_time_ns=now,
    )


def job_written(index: int, job_modify_index: int, evaluation: Evaluation | None, warnings: str = "") -> Response:
    return answers.written(
        index,
        {
            "EvalID": evaluation.id if evaluation is not None else "",
            "EvalCreateIndex": index if evaluation is not None else 0,
            "JobModifyIndex": job_modify_index,
            "Warnings": warnings,
            **answers.NO_QUERY_META,
        },
    )


async def deregister_job(context: Context, request: Request) -> Answer:
    namespace, job_id = namespace_of(request), request.parameters["id"]
    purge = flag(request, "purge")
    flag(request, "global")
    priority = _integer(request, "eval_priority")
    no_shutdown_delay = _no_shutdown_delay(request)
    if job_id == "":
        raise RaftnomadError("missing job ID for deregistering")
    await context.server.consistent_read()
    job = context.server.state.jobs.get((namespace, job_id))
    if job is None:
        return _deregistered(0, 0, None)
    evaluation = None
    if job.periodic is None and job.parameterized_job is None:
        # Of type service whatever the job is, as Nomad's: what is to be stopped needs no other scheduler.
        evaluation = msgspec.structs.replace(
            new_evaluation(context, job, EvalTrigger.JOB_DEREGISTER, priority), type=str(JobType.SERVICE)
        )
    applied = await context.server.propose(
        DeregisterJob(
            namespace=namespace,
            job_id=job_id,
            purge=purge,
            evaluation=evaluation,
            no_shutdown_delay=no_shutdown_delay,
        )
    )
    return _deregistered(applied.index, applied.index, evaluation)


def _deregistered(index: int, job_modify_index: int, evaluation: Evaluation | None) -> Answer:
    return answers.written(
        index,
        {
            "EvalID": evaluation.id if evaluation is not None else "",
            "EvalCreateIndex": index,
            "JobModifyIndex": job_modify_index,
            "VolumeEvalID": "",
            "VolumeEvalIndex": 0,
            **answers.NO_QUERY_META,
        },
    )


def _integer(request: Request, name: str) -> int:
    value = request.get(name)
    if value == "":
        return 0
    try:
        number = int(value)
    except ValueError:
        raise RaftnomadError(
            f'Failed to parse value of "{name}" ({value}) as a int: strconv.Atoi: parsing "{value}": invalid syntax'
        ) from None
    if number > PRIORITY_MAX:
        _check_priority(number)
    return max(number, 0)


def _no_shutdown_delay(request: Request) -> bool:
    try:
        return flag(request, "no_shutdown_delay")
    except RaftnomadError as error:
        # Nomad prints a stray letter here, and clients have seen it for years.
        raise RaftnomadError(str(error).replace('"no_shutdown_delay"', '"no_shutdown_delay"q')) from None


async def evaluate_job(context: Context, request: Request) -> Answer:
    """Ask for the job to be reconciled; with ForceReschedule, failed allocations are replaced at once."""
    asked = JobEvaluateRequest()
    if request.body:
        asked = wire.decode(JobEvaluateRequest, request.body)
        if asked.job_id and asked.job_id != request.parameters["id"]:
            raise BadRequest("JobID not same as job name")
    job = await _existing(context, request)
    if job.periodic is not None:
        raise RaftnomadError("can't evaluate periodic job")
    if job.parameterized_job is not None:
        raise RaftnomadError("can't evaluate parameterized job")
    evaluation = new_evaluation(context, job, EvalTrigger.JOB_REGISTER)
    command: Command = UpsertEvaluations(evaluations=(evaluation,))
    if asked.eval_options.force_reschedule:
        command = TransitionAllocations(transitions=_forced(context, job), evaluations=(evaluation,))
    applied = await context.server.propose(command)
    return job_written(applied.index, job.modify_index, evaluation)


def _forced(context: Context, job: Job) -> dict[str, DesiredTransition]:
    return {
        alloc.id: DesiredTransition(force_reschedule=True)
        for alloc in context.server.state.allocations_of_job(job.namespace, job.id)
        if alloc.client_status == "failed" and not alloc.next_allocation and alloc.desired_status == "run"
    }


async def revert_job(context: Context, request: Request) -> Answer:
    asked = wire.decode(JobRevertRequest, request.body)
    _check_body_id(asked.job_id, request)
    namespace, job_id = namespace_of(request), request.parameters["id"]
    await context.server.consistent_read()
    job = context.server.state.jobs.get((namespace, job_id))
    if job is None:
        raise RaftnomadError(f'job "{job_id}" not found')
    if asked.job_version == job.version:
        raise RaftnomadError("can't revert to current version")
    if context.server.state.job_version(namespace, job_id, asked.job_version) is None:
        raise RaftnomadError(_no_version(namespace, job_id, asked.job_version))
    evaluation = new_evaluation(context, job, EvalTrigger.JOB_REGISTER)
    applied = await context.server.propose(
        RevertJob(
            namespace=namespace,
            job_id=job_id,
            version=asked.job_version,
            enforce_prior_version=asked.enforce_prior_version,
            evaluation=evaluation,
        )
    )
    answer = job_written(applied.index, applied.value, evaluation)
    return replace(answer, headers={**answers.NO_QUERY_META_HEADERS, **answer.headers})


async def mark_job_stable(context: Context, request: Request) -> Answer:
    asked = wire.decode(JobStabilityRequest, request.body)
    _check_body_id(asked.job_id, request)
    namespace, job_id = namespace_of(request), request.parameters["id"]
    await context.server.consistent_read()
    if context.server.state.job_version(namespace, job_id, asked.job_version) is None:
        raise RaftnomadError(_no_version(namespace, job_id, asked.job_version))
    applied = await context.server.propose(
        MarkJobStable(namespace=namespace, job_id=job_id, version=asked.job_version, stable=asked.stable)
    )
    return answers.written(applied.index, {})


def _check_body_id(job_id: str, request: Request) -> None:
    if job_id == "":
        raise BadRequest("JobID must be specified")
    if job_id != request.parameters["id"]:
        raise BadRequest("Job ID does not match")


def _no_version(namespace: str, job_id: str, version: int) -> str:
    return f'job "{job_id}" in namespace "{namespace}" at version {version} not found'


async def _existing(context: Context, request: Request) -> Job:
    await context.server.consistent_read()
    job = context.server.state.jobs.get((namespace_of(request), request.parameters["id"]))
    if job is None:
        raise RaftnomadError("job not found")
    return job
