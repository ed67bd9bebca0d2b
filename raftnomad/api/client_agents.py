"""What client agents ask of servers: the private routes of `sdk/agent_protocol.py`, answered by any server."""

from __future__ import annotations

import hmac
from typing import TypeVar

import msgspec

from raftnomad.api import blocking
from raftnomad.api.context import Context
from raftnomad.api.query import options
from raftnomad.errors import BadRequest, Forbidden, NotFound
from raftnomad.fsm.changes import WatchKey
from raftnomad.model.node import Node
from raftnomad.model.row import Row
from raftnomad.sdk.agent_protocol import (
    CONTENT_TYPE,
    NODE_HEADER,
    SECRET_HEADER,
    AllocationsResponse,
    FetchRequest,
    FetchResponse,
    HeartbeatRequest,
    RegisterRequest,
    ReportRequest,
    ReportResponse,
)
from raftnomad.web import Answer, Request, Response

R = TypeVar("R", bound=Row)

UNKNOWN_NODE = "node not found"


async def register(context: Context, request: Request) -> Answer:
    """The node as its agent describes it. The state refuses another secret than that of the first registration."""
    node = _decode(RegisterRequest, request).node
    if not node.id or not node.secret_id:
        raise BadRequest("a node registers with an ID and a SecretID")
    if request.headers.get(NODE_HEADER.lower()) != node.id or not _equal(
        request.headers.get(SECRET_HEADER.lower(), ""), node.secret_id
    ):
        raise Forbidden("the node's headers and body disagree")
    if node.datacenter == "":
        node = msgspec.structs.replace(node, datacenter=context.server.datacenter)
    return _answer(await context.server.register_node(node))


async def heartbeat(context: Context, request: Request) -> Answer:
    asked = _decode(HeartbeatRequest, request)
    node = await _authenticated(context, request)
    if asked.node_id != node.id:
        raise Forbidden("the node's headers and body disagree")
    return _answer(await context.server.heartbeat(asked))


async def allocations(context: Context, request: Request) -> Answer:
    """All allocations of the node, id -> AllocModifyIndex; waits for a change since `?index`.

    Never older than the index that is asked with, whichever server answers: one that lags catches up first.
    """
    asked = options(request)
    node = await _authenticated(context, request)
    if context.server.state.index < asked.index or not asked.index:
        await context.server.consistent_read()
    key: WatchKey = ("allocations", "node", node.id)
    deadline = context.server.clock.monotonic_s() + blocking.with_jitter(asked.wait_ns, context.server.random_bytes)
    while asked.index and context.watchers.last_change(key) <= asked.index:
        if not await context.watchers.wait([key], deadline - context.server.clock.monotonic_s()):
            break
    state = context.server.state
    found = {alloc.id: alloc.alloc_modify_index for alloc in state.allocations_of_node(node.id)}
    return _answer(AllocationsResponse(index=state.index, allocations=found))


async def fetch(context: Context, request: Request) -> Answer:
    """Allocations of this node with their jobs; ids that are gone, or another node's, are left out."""
    asked = _decode(FetchRequest, request)
    node = await _authenticated(context, request)
    state = context.server.state
    rows = (state.allocations.get(identifier) for identifier in asked.ids)
    mine = tuple(row for row in rows if row is not None and row.node_id == node.id)
    return _answer(FetchResponse(index=state.index, allocations=mine))


async def report(context: Context, request: Request) -> Answer:
    asked = _decode(ReportRequest, request)
    node = await _authenticated(context, request)
    for item in asked.reports:
        alloc = context.server.state.allocations.get(item.id)
        if alloc is not None and alloc.node_id != node.id:
            raise Forbidden(f"allocation {item.id} is not on node {node.id}")
    if not asked.reports:
        return _answer(ReportResponse(index=context.server.state.index))
    index = await context.server.update_allocations(node.id, asked.reports)
    return _answer(ReportResponse(index=index))


async def _authenticated(context: Context, request: Request) -> Node:
    """The node that asks. A node that this server does not know yet may be known to the others, so it looks twice."""
    identifier = request.headers.get(NODE_HEADER.lower(), "")
    node = context.server.state.nodes.get(identifier)
    if node is None:
        await context.server.consistent_read()
        node = context.server.state.nodes.get(identifier)
    if node is None:
        raise NotFound(UNKNOWN_NODE)
    if not _equal(request.headers.get(SECRET_HEADER.lower(), ""), node.secret_id):
        raise Forbidden("node secret ID does not match")
    return node


def _equal(given: str, secret: str) -> bool:
    """Compared in constant time, so that a secret can't be guessed byte by byte."""
    return bool(secret) and hmac.compare_digest(given.encode(), secret.encode())


def _decode(row_type: type[R], request: Request) -> R:
    try:
        return msgspec.msgpack.decode(request.body, type=row_type)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"not a {row_type.__name__}: {error}") from None


def _answer(row: Row) -> Response:
    return Response(body=msgspec.msgpack.encode(row), content_type=CONTENT_TYPE)
