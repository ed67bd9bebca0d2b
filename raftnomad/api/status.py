"""Who leads, who votes, which regions there are."""

from __future__ import annotations

from raftnomad.api import answers
from raftnomad.api.context import Context
from raftnomad.api.query import options
from raftnomad.errors import NoLeader
from raftnomad.web import Answer, Request

LEADER_WAIT_S = 5.0
"""How long a question may wait for an election to end. Nomad: RPC hold timeout."""


async def leader(context: Context, request: Request) -> Answer:
    """The leader's rpc address, as seen from here: never an address that did not lead a moment ago."""
    if not options(request).stale and context.server.log.leader is None:
        await context.server.consistent_read()
    member = context.server.log.leader
    if member is None:
        raise NoLeader
    return answers.json(member.rpc_address)


async def peers(context: Context, request: Request) -> Answer:
    options(request)
    return answers.json([member.rpc_address for member in context.server.log.members])


async def regions(context: Context, _request: Request) -> Answer:
    return answers.json([context.server.region])
