"""Looking at a job before it is registered: plan, validate, parse."""

from __future__ import annotations

import asyncio

import msgspec

from raftnomad.api import answers, job_intake, shown
from raftnomad.api.context import Context
from raftnomad.api.requests import JobPlanRequest, JobsParseRequest, JobValidateRequest
from raftnomad.errors import BadRequest, RaftnomadError
from raftnomad.jobspec import parse_job
from raftnomad.model import wire
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.validation import multierror
from raftnomad.web import Answer, Request


async def plan_job(context: Context, request: Request) -> Answer:
    """What registering the job would do, worked out by the scheduler itself."""
    asked = wire.decode(JobPlanRequest, request.body)
    submitted = job_intake.submitted_job(asked)
    if not submitted.id:
        raise BadRequest("Job must have a valid ID")
    if submitted.id != request.parameters["id"]:
        raise BadRequest("Job ID does not match")
    job = job_intake.take(asked, request, context.server.region, context.job_limits)
    await context.server.consistent_read()
    job_intake.check(job, context.server.state, context.job_limits)
    planned = await context.server.plan_job(job, asked.diff)
    # Nothing was written: the index is that of the job as it stands.
    return answers.written(
        planned.job_modify_index,
        {
            "Annotations": planned.annotations,
            "FailedTGAllocs": planned.failed_tg_allocs,
            "JobModifyIndex": planned.job_modify_index,
            "CreatedEvals": [_as_planned(row) for row in planned.created_evals or ()] or None,
            "Diff": planned.diff,
            "NextPeriodicLaunch": planned.next_periodic_launch,
            "Warnings": job_intake.warnings_text(job),
        },
    )


def _as_planned(evaluation: Evaluation) -> Evaluation:
    """Without what refers to a state that does not exist."""
    return msgspec.structs.replace(shown.evaluation(evaluation), job_modify_index=0, snapshot_index=0)


async def validate_job(context: Context, request: Request) -> Answer:
    asked = wire.decode(JobValidateRequest, request.body)
    job = job_intake.take(asked, request, context.server.region, context.job_limits)
    errors = job_intake.all_errors(job, context.server.state, context.job_limits)
    return answers.json(
        {
            "DriverConfigValidated": True,
            "ValidationErrors": errors or None,
            "Error": multierror(errors) if errors else "",
            "Warnings": job_intake.warnings_text(job),
        }
    )


async def parse_jobs(_context: Context, request: Request) -> Answer:
    """A job file as JSON. Without `Canonicalize`, what the file does not say is null, as in Nomad's API package."""
    asked = wire.decode(JobsParseRequest, request.body)
    if asked.job_hcl == "":
        raise BadRequest("Job spec is empty")
    try:
        # In a thread, since a large file takes its time and nobody else should wait for it.
        job = await asyncio.to_thread(parse_job, asked.job_hcl, variables=asked.variables, canonical=asked.canonicalize)
    except RaftnomadError as error:
        raise BadRequest(f"Failed to parse job: {error}") from None
    return answers.json(job)
