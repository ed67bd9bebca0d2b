"""Names for versions of a job, which keep them from being forgotten."""

from __future__ import annotations

from raftnomad.api import answers
from raftnomad.api.context import Context
from raftnomad.api.query import namespace_of
from raftnomad.api.requests import JobTagRequest
from raftnomad.errors import RaftnomadError
from raftnomad.fsm.commands import TagJobVersion
from raftnomad.model import wire
from raftnomad.model.job import JobVersionTag
from raftnomad.web import Answer, Request


async def tag_version(context: Context, request: Request) -> Answer:
    asked = wire.decode(JobTagRequest, request.body)
    namespace, job_id, name = namespace_of(request), request.parameters["id"], request.parameters["name"]
    version = asked.version
    if asked.latest:
        if version:
            raise RaftnomadError(f"version must be zero when tagging latest, got: {version}")
        await context.server.consistent_read()
        job = context.server.state.jobs.get((namespace, job_id))
        version = job.version if job is not None else 0
    tag = JobVersionTag(name=name, description=asked.description, tagged_time_ns=context.server.clock.now_ns())
    return await _propose(
        context, TagJobVersion(namespace=namespace, job_id=job_id, name=name, version=version, tag=tag)
    )


async def untag_version(context: Context, request: Request) -> Answer:
    namespace, job_id, name = namespace_of(request), request.parameters["id"], request.parameters["name"]
    return await _propose(context, TagJobVersion(namespace=namespace, job_id=job_id, name=name))


async def _propose(context: Context, command: TagJobVersion) -> Answer:
    applied = await context.server.propose(command)
    tag = command.tag or JobVersionTag(name=command.name)
    return answers.json(
        {
            "Name": tag.name,
            "Description": tag.description,
            "TaggedTime": tag.tagged_time_ns,
            "Index": applied.index,
            **answers.NO_QUERY_META,
        }
    )
