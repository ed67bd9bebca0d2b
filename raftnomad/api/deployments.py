"""Deployments: look at them, and say how they go on."""

from __future__ import annotations

from collections.abc import Sequence

from raftnomad.api import answers, stubs
from raftnomad.api.context import Context
from raftnomad.api.encoded import Found
from raftnomad.api.listing import BY_CREATION, BY_ID, Listing, check_id, check_id_prefix
from raftnomad.api.query import query
from raftnomad.api.requests import (
    DeploymentAllocHealthRequest,
    DeploymentPauseRequest,
    DeploymentPromoteRequest,
    DeploymentUnblockRequest,
)
from raftnomad.clock import rfc3339
from raftnomad.errors import BadRequest, RaftnomadError
from raftnomad.fsm.commands import PromoteDeployment, SetAllocationHealth, UpdateDeployment
from raftnomad.fsm.rollback import BY_USER, UNHEALTHY, failure
from raftnomad.fsm.state import State
from raftnomad.identifiers import new_id
from raftnomad.model import wire
from raftnomad.model.deployment import Deployment
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.status import ACTIVE_DEPLOYMENT_STATUSES, DeploymentStatus, EvalStatus, EvalTrigger
from raftnomad.web import Answer, Request

LOOKUP = "deployment lookup failed: "

PAUSED = "Deployment is paused"
RUNNING = "Deployment is running"


async def list_deployments(context: Context, request: Request) -> Answer:
    listing = Listing(request, Deployment)
    check_id_prefix(listing.prefix, "")

    def read(state: State) -> Found:
        table = state.deployments
        rows = table.with_prefix(listing.prefix) if listing.prefix else table.values()
        page = listing.page(filter(listing.in_namespace, rows), BY_ID if listing.prefix else BY_CREATION)
        return Found(index=state.table_index("deployments"), rows=page.rows, next_token=page.next_token)

    return await query(context, request, [("deployments",)], read)


async def read_deployment(context: Context, request: Request) -> Answer:
    identifier = _identifier(request)

    def read(state: State) -> Found:
        deployment = state.deployments.get(identifier)
        if deployment is None:
            return Found(index=state.table_index("deployments"), missing="deployment not found")
        return Found(index=deployment.modify_index, value=deployment)

    return await query(context, request, [("deployments", "id", identifier)], read)


async def deployment_allocations(context: Context, request: Request) -> Answer:
    identifier = request.parameters["id"]
    check_id(identifier, "")

    def read(state: State) -> Found:
        rows = state.allocations_of_deployment(identifier)
        return Found(index=state.table_index("allocations"), rows=rows, show=stubs.allocation_stub)

    return await query(context, request, [("allocations", "deployment", identifier)], read)


async def fail_deployment(context: Context, request: Request) -> Answer:
    deployment = await _active(context, _identifier(request), "fail")
    evaluation = _evaluation(context, deployment)
    description, reverted = failure(context.server.state, deployment, BY_USER)
    applied = await context.server.propose(
        UpdateDeployment(
            deployment_id=deployment.id,
            status=DeploymentStatus.FAILED,
            status_description=description,
            evaluations=(evaluation,),
            rollback_to=reverted,
        )
    )
    return _updated(applied.index, evaluation, reverted)


async def pause_deployment(context: Context, request: Request) -> Answer:
    asked = wire.decode(DeploymentPauseRequest, request.body)
    _check_body(asked.deployment_id, request)
    deployment = await _active(context, asked.deployment_id, "pause" if asked.pause else "resume")
    if asked.pause:
        applied = await context.server.propose(
            UpdateDeployment(deployment_id=deployment.id, status=DeploymentStatus.PAUSED, status_description=PAUSED)
        )
        return _updated(applied.index, None)
    evaluation = _evaluation(context, deployment)
    applied = await context.server.propose(
        UpdateDeployment(
            deployment_id=deployment.id,
            status=DeploymentStatus.RUNNING,
            status_description=RUNNING,
            evaluations=(evaluation,),
        )
    )
    return _updated(applied.index, evaluation)


async def promote_deployment(context: Context, request: Request) -> Answer:
    asked = wire.decode(DeploymentPromoteRequest, request.body)
    _check_body(asked.deployment_id, request)
    deployment = await _active(context, asked.deployment_id, "promote")
    evaluation = _evaluation(context, deployment)
    applied = await context.server.propose(
        PromoteDeployment(
            deployment_id=deployment.id,
            groups=None if asked.all else asked.groups or (),
            evaluations=(evaluation,),
        )
    )
    return _updated(applied.index, evaluation)


async def set_allocation_health(context: Context, request: Request) -> Answer:
    asked = wire.decode(DeploymentAllocHealthRequest, request.body)
    _check_body(asked.deployment_id, request)
    healthy, unhealthy = asked.healthy_allocation_ids or (), asked.unhealthy_allocation_ids or ()
    if not healthy and not unhealthy:
        raise RaftnomadError("must specify at least one healthy/unhealthy allocation ID")
    deployment = await _active(context, asked.deployment_id, "set health of allocations for a")
    for identifier in (*healthy, *unhealthy):
        check_id(identifier, f'alloc "{identifier}" lookup failed: ')
        if identifier not in context.server.state.allocations:
            raise RaftnomadError(f'unknown alloc "{identifier}"')
    evaluation = _evaluation(context, deployment)
    reverted = _version_to_revert_to(context.server.state, deployment, unhealthy)
    applied = await context.server.propose(
        SetAllocationHealth(
            deployment_id=deployment.id,
            healthy=tuple(identifier for identifier in healthy if identifier not in unhealthy),
            unhealthy=unhealthy,
            timestamp=rfc3339(context.server.clock.now_ns()),
            evaluations=(evaluation,),
        )
    )
    return _updated(applied.index, evaluation, reverted)


async def unblock_deployment(context: Context, request: Request) -> Answer:
    """Only deployments over many regions block, and those are not built: there is never anything to unblock."""
    asked = wire.decode(DeploymentUnblockRequest, request.body)
    _check_body(asked.deployment_id, request)
    await _active(context, asked.deployment_id, "unblock")
    return answers.written(
        0, {"EvalID": "", "EvalCreateIndex": 0, "DeploymentModifyIndex": 0, "RevertedJobVersion": None}
    )


def _identifier(request: Request) -> str:
    identifier = request.parameters["id"]
    if identifier == "":
        raise RaftnomadError("missing deployment ID")
    check_id(identifier, LOOKUP)
    return identifier


def _check_body(deployment_id: str, request: Request) -> None:
    if deployment_id == "":
        raise BadRequest("DeploymentID must be specified")
    if deployment_id != request.parameters["id"]:
        raise BadRequest("Deployment ID does not match")


async def _active(context: Context, identifier: str, verb: str) -> Deployment:
    check_id(identifier, LOOKUP)
    await context.server.consistent_read()
    deployment = context.server.state.deployments.get(identifier)
    if deployment is None:
        raise RaftnomadError("deployment not found")
    if deployment.status not in ACTIVE_DEPLOYMENT_STATUSES:
        raise RaftnomadError(f"can't {verb} terminal deployment")
    return deployment


def _evaluation(context: Context, deployment: Deployment) -> Evaluation:
    job = context.server.state.jobs.get((deployment.namespace, deployment.job_id))
    now = context.server.clock.now_ns()
    return Evaluation(
        id=new_id(context.server.random_bytes),
        namespace=deployment.namespace,
        priority=deployment.eval_priority or (job.priority if job is not None else 50),
        type=job.type if job is not None else "service",
        triggered_by=EvalTrigger.DEPLOYMENT_WATCHER,
        job_id=deployment.job_id,
        deployment_id=deployment.id,
        status=EvalStatus.PENDING,
        create_time_ns=now,
        modify_time_ns=now,
    )


def _version_to_revert_to(state: State, deployment: Deployment, unhealthy: Sequence[str]) -> int | None:
    """Which version the verdict brings back; None when none."""
    if not unhealthy:
        return None
    groups = {state.allocations[identifier].task_group: None for identifier in unhealthy}
    return failure(state, deployment, UNHEALTHY, groups)[1]


def _updated(index: int, evaluation: Evaluation | None, reverted_version: int | None = None) -> Answer:
    return answers.written(
        index,
        {
            "EvalID": evaluation.id if evaluation is not None else "",
            "EvalCreateIndex": index if evaluation is not None else 0,
            "DeploymentModifyIndex": index,
            "RevertedJobVersion": reverted_version,
        },
    )
