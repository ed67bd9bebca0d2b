"""Jobs with how they fare, one row each: what a page that shows many jobs needs, in one question."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from raftnomad.api.context import Context
from raftnomad.api.encoded import Found
from raftnomad.api.listing import Listing, Order
from raftnomad.api.query import flag, query
from raftnomad.api.requests import JobStatusesRequest
from raftnomad.fsm.state import JobKey, State
from raftnomad.model import wire
from raftnomad.model.allocation import Allocation
from raftnomad.model.deployment import Deployment
from raftnomad.model.job import Job
from raftnomad.model.status import ACTIVE_DEPLOYMENT_STATUSES
from raftnomad.web import Answer, Request


def _index_of_token(token: str) -> int:
    return int(token) if token.isascii() and token.isdigit() else 0


NEWEST_FIRST = Order(lambda job: -job.modify_index, lambda job: str(job.modify_index), lambda t: -_index_of_token(t))


async def job_statuses(context: Context, request: Request) -> Answer:
    """The jobs that the body names, or else all but those that others have launched."""
    listing = Listing(request, Job)
    asked = wire.decode(JobStatusesRequest, request.body) if request.body.strip() else JobStatusesRequest()
    children = flag(request, "include_children") or asked.include_children
    keys = tuple((one.namespace or "default", one.id) for one in asked.jobs or ())

    def read(state: State) -> Found:
        rows = (
            job
            for job in _jobs(state, keys)
            if listing.in_namespace(job)
            and job.id.startswith(listing.prefix)
            and (children or keys or not job.parent_id)
        )
        page = listing.page(rows, NEWEST_FIRST)
        return Found(
            index=max(state.table_index(table) for table in ("jobs", "allocations", "deployments")),
            value=[_status(state, job) for job in page.rows],
            next_token=page.next_token,
        )

    return await query(context, request, [("jobs",), ("allocations",), ("deployments",)], read, question=str(keys))


def _jobs(state: State, keys: tuple[JobKey, ...]) -> Iterable[Job]:
    if not keys:
        return state.jobs.values()
    return (state.jobs[key] for key in dict.fromkeys(keys) if key in state.jobs)


def _status(state: State, job: Job) -> dict[str, Any]:
    launches = job.periodic is not None or job.parameterized_job is not None
    children = state.children_of_job(job.namespace, job.id) if launches else ()
    deployment = state.latest_deployment(job.namespace, job.id)
    return {
        "ID": job.id,
        "Namespace": job.namespace,
        "Name": job.name,
        "Type": job.type,
        "NodePool": job.node_pool,
        "Datacenters": job.datacenters,
        "Priority": job.priority,
        "Version": job.version,
        "SubmitTime": job.submit_time_ns,
        "ModifyIndex": job.modify_index,
        "Status": job.status,
        "Stop": job.stop,
        "IsPack": "pack.name" in (job.meta or {}),
        "ParentID": job.parent_id,
        "GroupCountSum": sum(group.count for group in job.task_groups or ()),
        "ChildStatuses": [child.status for child in children] if launches else None,
        "Allocs": [_allocation(alloc) for alloc in state.allocations_of_job(job.namespace, job.id)],
        "LatestDeployment": _deployment(deployment) if deployment is not None else None,
    }


def _allocation(alloc: Allocation) -> dict[str, Any]:
    assert alloc.job is not None, f"allocation {alloc.id} has no job"
    health = alloc.deployment_status
    return {
        "ID": alloc.id,
        "Group": alloc.task_group,
        "ClientStatus": alloc.client_status,
        "NodeID": alloc.node_id,
        "JobVersion": alloc.job.version,
        "FollowupEvalID": alloc.followup_eval_id,
        "HasPausedTask": False,
        "DeploymentStatus": {
            "Canary": health is not None and health.canary,
            "Healthy": health.healthy if health is not None else None,
        },
    }


def _deployment(deployment: Deployment) -> dict[str, Any]:
    groups = (deployment.task_groups or {}).values()
    return {
        "ID": deployment.id,
        "IsActive": deployment.status in ACTIVE_DEPLOYMENT_STATUSES,
        "JobVersion": deployment.job_version,
        "Status": deployment.status,
        "StatusDescription": deployment.status_description,
        "AllAutoPromote": all(group.auto_promote for group in groups),
        "RequiresPromotion": any(group.desired_canaries and not group.promoted for group in groups),
    }
