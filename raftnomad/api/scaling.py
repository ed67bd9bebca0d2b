"""Scaling: other counts for groups, what has been done so far, and within which bounds."""

from __future__ import annotations

from typing import Any

from raftnomad.api import answers
from raftnomad.api.context import Context
from raftnomad.api.encoded import Found
from raftnomad.api.job_writes import new_evaluation
from raftnomad.api.listing import Listing
from raftnomad.api.query import namespace_of, query
from raftnomad.api.requests import ScalingRequest
from raftnomad.api.scaling_policies import policies_of
from raftnomad.errors import BadRequest, NotFound
from raftnomad.fsm.commands import ScaleJob
from raftnomad.fsm.state import State
from raftnomad.model import wire
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import Job
from raftnomad.model.policies import ScalingPolicy
from raftnomad.model.scaling import ScalingEvent
from raftnomad.model.status import EvalTrigger
from raftnomad.web import Answer, Request


async def scale_job(context: Context, request: Request) -> Answer:
    """Another count for a group, or (without a count) only a note of why there is none."""
    asked = wire.decode(ScalingRequest, request.body)
    namespace, job_id = namespace_of(request), request.parameters["id"]
    group = _target(asked, namespace, job_id)
    await context.server.consistent_read()
    job = context.server.state.jobs.get((namespace, job_id))
    if job is None:
        raise NotFound(f'job "{job_id}" not found')
    evaluation = _evaluation(context, job) if asked.count is not None else None
    applied = await context.server.propose(
        ScaleJob(
            namespace=namespace,
            job_id=job_id,
            group=group,
            count=asked.count,
            job_modify_index=asked.job_modify_index or None,
            count_max=context.job_limits.count_max,
            event=ScalingEvent(message=asked.message, error=asked.error, meta=asked.meta),
            evaluation=evaluation,
        )
    )
    return answers.written(
        applied.index,
        {
            "EvalID": evaluation.id if evaluation is not None else "",
            "EvalCreateIndex": applied.index if evaluation is not None else 0,
            "JobModifyIndex": applied.value,
            "Warnings": "",
            **answers.NO_QUERY_META,
            "KnownLeader": True,
        },
    )


def _target(asked: ScalingRequest, namespace: str, job_id: str) -> str:
    """The group that is meant. Raises BadRequest."""
    target = asked.target or {}
    if target.get("Job", job_id) != job_id:
        raise BadRequest("job ID in payload did not match URL")
    if target.get("Namespace", namespace) != namespace:
        raise BadRequest("namespace in payload did not match header")
    group = target.get("Group", "")
    if not group:
        raise BadRequest("missing task group name for scaling action")
    if asked.error and asked.count is not None:
        raise BadRequest("scaling action should not contain count if error is true")
    if asked.count is not None and asked.count < 0:
        raise BadRequest("scaling action count can't be negative")
    return group


def _evaluation(context: Context, job: Job) -> Evaluation | None:
    if job.periodic is not None or job.parameterized_job is not None:
        return None
    return new_evaluation(context, job, EvalTrigger.SCALING)


async def list_policies(context: Context, request: Request) -> Answer:
    listing = Listing(request, ScalingPolicy)
    job_id, kind = request.get("job"), request.get("type")

    def read(state: State) -> Found:
        rows = [
            _stub(policy)
            for job in state.jobs.values()
            if listing.in_namespace(job) and job_id in ("", job.id)
            for policy in policies_of(job)
            if kind in ("", policy.type) and policy.id.startswith(listing.prefix)
        ]
        return Found(index=_index(state), rows=sorted(rows, key=lambda stub: str(stub["ID"])))

    return await query(context, request, [("jobs",)], read)


def _stub(policy: ScalingPolicy) -> dict[str, object]:
    return {
        "ID": policy.id,
        "Enabled": policy.enabled,
        "Type": policy.type,
        "Target": policy.target,
        "CreateIndex": policy.create_index,
        "ModifyIndex": policy.modify_index,
    }


async def read_policy(context: Context, request: Request) -> Answer:
    identifier = request.parameters["id"]

    def read(state: State) -> Found:
        policy = find_policy(state, identifier)
        if policy is None:
            return Found(index=_index(state), missing="policy not found")
        return Found(index=policy.modify_index, value=policy)

    return await query(context, request, [("jobs",)], read)


def find_policy(state: State, identifier: str) -> ScalingPolicy | None:
    policies = (policy for job in state.jobs.values() for policy in policies_of(job))
    return next((policy for policy in policies if policy.id == identifier), None)


def _index(state: State) -> int:
    found = [policy.modify_index for job in state.jobs.values() for policy in policies_of(job)]
    return max(found, default=1)


def events_of_group(state: State, job: Job, group: str) -> list[dict[str, Any]] | None:
    """As the status of scaling shows them, newest first."""
    known = state.scaling_events.get((job.namespace, job.id))
    events = known.scaling_events.get(group, ()) if known is not None else ()
    return [
        {
            "Time": event.time_ns,
            "Count": event.count,
            "PreviousCount": event.previous_count,
            "Error": event.error,
            "Message": event.message,
            "Meta": event.meta,
            "EvalID": event.eval_id,
            "CreateIndex": event.create_index,
        }
        for event in events
    ] or None
