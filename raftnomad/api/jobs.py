"""Reading jobs: the list, one job, and what belongs to it."""

from __future__ import annotations

from itertools import pairwise

from raftnomad.api import answers, scaling, shown, stubs
from raftnomad.api.context import Context
from raftnomad.api.encoded import Found
from raftnomad.api.listing import BY_NAMESPACE_AND_ID, Listing
from raftnomad.api.query import flag, namespace_of, query
from raftnomad.errors import BadRequest, RaftnomadError
from raftnomad.fsm.changes import WatchKey
from raftnomad.fsm.state import State
from raftnomad.model.diff import job_diff
from raftnomad.model.difference import JobDiff
from raftnomad.model.job import Job, JobListStub, JobSummary
from raftnomad.web import Answer, Request

NOT_FOUND = "job not found"


async def list_jobs(context: Context, request: Request) -> Answer:
    listing = Listing(request, Job)
    meta = flag(request, "meta")

    def read(state: State) -> Found:
        rows = (job for job in state.jobs.values() if listing.in_namespace(job) and job.id.startswith(listing.prefix))
        page = listing.page(rows, BY_NAMESPACE_AND_ID)
        pairs = [(job, state.summaries.get((job.namespace, job.id))) for job in page.rows]
        index = state.table_index("jobs")
        return Found(index=index, rows=pairs, show=_stub_with_meta if meta else _stub, next_token=page.next_token)

    return await query(context, request, [("jobs",)], read, also=("summaries",))


def _stub(pair: tuple[Job, JobSummary | None]) -> JobListStub:
    return stubs.job_stub(*pair)


def _stub_with_meta(pair: tuple[Job, JobSummary | None]) -> JobListStub:
    return stubs.job_stub(*pair, meta=True)


async def read_job(context: Context, request: Request) -> Answer:
    key = _key(request)

    def read(state: State) -> Found:
        job = state.jobs.get(key)
        if job is None:
            return Found(index=state.table_index("jobs"), missing=NOT_FOUND)
        return Found(index=job.modify_index, value=shown.job(job))

    return await query(context, request, [_watch_one("jobs", key)], read)


async def job_summary(context: Context, request: Request) -> Answer:
    key = _key(request)

    def read(state: State) -> Found:
        summary = state.summaries.get(key)
        if summary is None:
            return Found(index=state.table_index("summaries"), missing=NOT_FOUND)
        return Found(index=summary.modify_index, value=summary)

    return await query(context, request, [_watch_one("summaries", key)], read)


async def job_versions(context: Context, request: Request) -> Answer:
    key = _key(request)
    diffs = flag(request, "diffs")
    against = _version(request, "diff_version")
    tag = request.get("diff_tag")

    def read(state: State) -> Found:
        versions = state.job_versions.get(key)
        if not versions:
            return Found(index=state.table_index("job_versions"), missing="job versions not found")
        value = {
            "Versions": [shown.job(job) for job in versions],
            "Diffs": _diffs(versions, against, tag) if diffs else None,
        }
        return Found(index=state.table_index("job_versions"), value=value)

    return await query(context, request, [_watch_one("job_versions", key)], read, inline_meta=True)


def _version(request: Request, name: str) -> int | None:
    text = request.get(name)
    if text == "":
        return None
    if not (text.isascii() and text.isdigit()):
        raise RaftnomadError(
            f'Failed to parse value of "{name}" ({text}) as a uint64: '
            f'strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)


def _diffs(versions: tuple[Job, ...], against: int | None, tag: str) -> list[JobDiff]:
    """Of each version against the one before it, or against one that is named."""
    if tag:
        base = next((job for job in versions if job.version_tag and job.version_tag.name == tag), None)
        if base is None:
            raise RaftnomadError(f'tag "{tag}" not found')
    elif against is None:
        return [job_diff(old, new, contextual=True) for new, old in pairwise(versions)]
    else:
        base = next((job for job in versions if job.version == against), None)
        if base is None:
            raise RaftnomadError(f"version {against} not found")
    return [job_diff(base, job, contextual=True) for job in versions]


async def job_submission(context: Context, request: Request) -> Answer:
    text = request.get("version")
    if not (text.isascii() and text.isdigit()):
        raise BadRequest("Unable to parse job submission version parameter")
    key = (*_key(request), int(text))

    def read(state: State) -> Found:
        submission = state.job_submissions.get(key)
        if submission is None:
            return Found(index=state.table_index("job_submissions"), missing="job source not found")
        return Found(index=submission.job_modify_index, value=submission)

    return await query(context, request, [("job_submissions",), _watch_one("jobs", key[:2])], read)


async def job_allocations(context: Context, request: Request) -> Answer:
    Listing(request, Job)
    namespace, job_id = _key(request)
    every = request.get("all") in ("1", "t", "T", "TRUE", "true", "True")

    def read(state: State) -> Found:
        job = state.jobs.get((namespace, job_id))
        rows = [
            alloc
            for alloc in state.allocations_of_job(namespace, job_id)
            if every or job is None or alloc.create_index > job.create_index
        ]
        return Found(index=state.table_index("allocations"), rows=rows, show=stubs.allocation_stub)

    return await query(context, request, [("allocations", "job", (namespace, job_id))], read, also=("jobs",))


async def job_evaluations(context: Context, request: Request) -> Answer:
    namespace, job_id = _key(request)

    def read(state: State) -> Found:
        rows = state.evaluations_of_job(namespace, job_id)
        return Found(index=state.table_index("evaluations"), rows=rows, show=shown.evaluation)

    return await query(context, request, [("evaluations", "job", (namespace, job_id))], read)


async def job_deployments(context: Context, request: Request) -> Answer:
    namespace, job_id = _key(request)
    every = request.get("all") in ("1", "t", "T", "TRUE", "true", "True")

    def read(state: State) -> Found:
        job = state.jobs.get((namespace, job_id))
        value = [
            deployment
            for deployment in state.deployments_of_job(namespace, job_id)
            if every or job is None or deployment.job_create_index == job.create_index
        ]
        return Found(index=state.table_index("deployments"), value=value)

    return await query(context, request, [("deployments", "job", (namespace, job_id))], read, also=("jobs",))


async def job_latest_deployment(context: Context, request: Request) -> Answer:
    namespace, job_id = _key(request)

    def read(state: State) -> Found:
        value = state.latest_deployment(namespace, job_id)
        return Found(index=state.table_index("deployments"), value=value)

    return await query(context, request, [("deployments", "job", (namespace, job_id))], read)


async def job_actions(context: Context, request: Request) -> Answer:
    await context.server.consistent_read()
    key = _key(request)
    job = context.server.state.jobs.get(key)
    if job is None:
        raise RaftnomadError(f'Unknown job "{key[1]}"')
    found = [
        {
            "Name": action.name,
            "Command": action.command,
            "Args": action.args,
            "TaskName": task.name,
            "TaskGroupName": group.name,
        }
        for group in job.task_groups or ()
        for task in group.tasks or ()
        for action in task.actions or ()
    ]
    return answers.json(found, answers.NO_QUERY_META_HEADERS)


async def job_scale_status(context: Context, request: Request) -> Answer:
    key = _key(request)

    def read(state: State) -> Found:
        job = state.jobs.get(key)
        if job is None:
            return Found(index=state.table_index("jobs"), missing=NOT_FOUND)
        value = {
            "JobID": job.id,
            "Namespace": job.namespace,
            "JobCreateIndex": job.create_index,
            "JobModifyIndex": job.job_modify_index,
            "JobStopped": job.stop,
            "TaskGroups": _scale_of_groups(state, job),
        }
        events = state.scaling_events.get(key)
        index = max(job.modify_index, state.table_index("allocations"), events.modify_index if events else 0)
        return Found(index=index, value=value)

    watch: list[WatchKey] = [_watch_one("jobs", key), ("allocations", "job", key), _watch_one("scaling_events", key)]
    return await query(context, request, watch, read)


def _scale_of_groups(state: State, job: Job) -> dict[str, dict[str, object]]:
    counts: dict[str, dict[str, object]] = {}
    allocs = [alloc for alloc in state.allocations_of_job(job.namespace, job.id) if alloc.desired_status == "run"]
    for group in job.task_groups or ():
        mine = [alloc for alloc in allocs if alloc.task_group == group.name]
        live = [alloc for alloc in mine if alloc.client_status in ("pending", "running", "unknown")]
        health = [alloc.deployment_status.healthy for alloc in live if alloc.deployment_status is not None]
        counts[group.name] = {
            "Desired": group.count,
            "Placed": len(live),
            "Running": sum(alloc.client_status == "running" for alloc in live),
            "Healthy": sum(healthy is True for healthy in health),
            "Unhealthy": sum(healthy is False for healthy in health),
            "Events": scaling.events_of_group(state, job, group.name),
        }
    return counts


def _key(request: Request) -> tuple[str, str]:
    return (namespace_of(request), request.parameters["id"])


def _watch_one(table: str, key: tuple[str, str]) -> WatchKey:
    return (table, "id", key)
