"""Jobs that launch others: a periodic one now, a parameterized one with what it is to work on."""

from __future__ import annotations

import base64
import binascii

from raftnomad.api import answers
from raftnomad.api.context import Context
from raftnomad.api.query import namespace_of
from raftnomad.api.requests import JobDispatchRequest
from raftnomad.errors import BadRequest
from raftnomad.model import wire
from raftnomad.server import children
from raftnomad.server.children import Child
from raftnomad.web import Answer, Request


async def force_periodic(context: Context, request: Request) -> Answer:
    child = await children.force_launch(context.server, namespace_of(request), request.parameters["id"])
    return answers.written(child.index, {"EvalID": child.eval_id, "EvalCreateIndex": child.index})


async def dispatch_job(context: Context, request: Request) -> Answer:
    asked = wire.decode(JobDispatchRequest, request.body)
    if asked.job_id not in ("", request.parameters["id"]):
        raise BadRequest("Job ID does not match")
    return await _dispatch(context, request, asked, _payload(asked.payload))


async def dispatch_payload(context: Context, request: Request) -> Answer:
    """The body is the payload itself."""
    return await _dispatch(context, request, JobDispatchRequest(), request.body)


def _payload(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        place = next((place for place, letter in enumerate(text) if letter not in alphabet), len(text))
        raise BadRequest(f"illegal base64 data at input byte {place}") from None


async def _dispatch(context: Context, request: Request, asked: JobDispatchRequest, payload: bytes) -> Answer:
    child = await children.dispatch(
        context.server,
        namespace_of(request),
        request.parameters["id"],
        payload=payload,
        meta=asked.meta,
        priority=asked.priority,
        id_prefix=asked.id_prefix_template,
        idempotency_token=request.get("idempotency_token"),
    )
    return _launched(child)


def _launched(child: Child) -> Answer:
    return answers.written(
        child.index,
        {
            "DispatchedJobID": child.job_id,
            "EvalID": child.eval_id,
            "EvalCreateIndex": child.index if child.eval_id else 0,
            "JobCreateIndex": child.job_create_index,
        },
    )
