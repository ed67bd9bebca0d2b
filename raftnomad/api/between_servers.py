"""What servers ask of each other over HTTP, on the rpc port alone: a heartbeat that is passed on."""

from __future__ import annotations

import msgspec

from raftnomad.api.context import Context
from raftnomad.errors import BadRequest, Conflict
from raftnomad.web import Answer, Request, Response

PREFIX = "/v1/internal/server/1"
HEARTBEATS = f"{PREFIX}/heartbeats"
CONTENT_TYPE = "application/msgpack"

NODES_MAX = 100_000


def encode_heartbeats(node_ids: tuple[str, ...]) -> bytes:
    return msgspec.msgpack.encode(node_ids)


async def heartbeats(context: Context, request: Request) -> Answer:
    """409 from a server that does not lead: the one that asks finds the leader and tries again."""
    try:
        node_ids = msgspec.msgpack.decode(request.body, type=tuple[str, ...])
    except msgspec.DecodeError as error:
        raise BadRequest(f"not a list of node ids: {error}") from None
    if len(node_ids) > NODES_MAX:
        raise BadRequest(f"at most {NODES_MAX} nodes at a time")
    if not context.server.receive_heartbeats(node_ids):
        raise Conflict("this server does not lead")
    return Response()
