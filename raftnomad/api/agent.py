"""The agent itself: what it is, whom it knows, whether it is well."""

from __future__ import annotations

import asyncio
from typing import Any

from raftnomad.api import answers
from raftnomad.api.context import Context
from raftnomad.api.query import flag, options
from raftnomad.errors import BadRequest, NotBuilt, RaftnomadError
from raftnomad.model.server import ServerMembersResponse
from raftnomad.web import Answer, Request, Response

HEALTH_TIMEOUT_S = 5.0
ENABLED_SCHEDULERS = ("service", "batch", "system", "sysbatch", "_core")


async def agent_self(context: Context, _request: Request) -> Answer:
    server = context.server
    own = [member for member in server.members() if (member.tags or {}).get("id") == server.log.server_id]
    statistics = server.statistics()
    if context.client_statistics is not None:
        statistics["client"] = context.client_statistics()
    return answers.json(
        {
            "config": context.configuration,
            "member": own[0] if own else None,
            "stats": statistics,
        }
    )


async def members(context: Context, request: Request) -> Answer:
    options(request)
    return answers.json(members_response(context))


def members_response(context: Context) -> ServerMembersResponse:
    server = context.server
    return ServerMembersResponse(
        server_name=server.name,
        server_region=server.region,
        server_dc=server.datacenter,
        members=tuple(server.members()),
    )


async def health(context: Context, request: Request) -> Answer:
    """`?type=` asks for one part; an agent without that part is not well. JSON even when it is 500."""
    asked = request.get_all("type") or (["client", "server"] if context.client_enabled else ["server"])
    parts: dict[str, dict[str, Any]] = {}
    if "client" in asked:
        parts["client"] = _health("" if context.client_enabled else "client not enabled")
    if "server" in asked:
        parts["server"] = _health(await _server_problem(context))
    return health_answer(parts)


async def _server_problem(context: Context) -> str:
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            await context.server.consistent_read()
    except (RaftnomadError, TimeoutError) as error:
        return str(error) or "No cluster leader"
    return ""


def _health(problem: str) -> dict[str, Any]:
    return {"ok": not problem, "message": problem or "ok"}


def health_answer(parts: dict[str, dict[str, Any]]) -> Response:
    answer = answers.json(parts)
    if all(part["ok"] for part in parts.values()):
        return answer
    return answers.text(answer.body.decode(), 500)


async def join(context: Context, request: Request) -> Answer:
    """Ask other servers, by their serf addresses, to be one cluster with this one: 200 even when none can be."""
    addresses = request.get_all("address")
    if not addresses:
        raise BadRequest("missing address to join")
    if context.members is None:
        raise NotBuilt("this agent does not speak to other servers")
    joined = await context.members.join(addresses)
    return answers.json({"num_joined": joined.count, "error": joined.error, "warning": ""})


async def force_leave(context: Context, request: Request) -> Answer:
    """An unknown server is no error, as the end is the same."""
    name = request.get("node")
    if not name:
        raise BadRequest("missing node to force leave")
    try:
        prune = flag(request, "prune")
    except RaftnomadError:
        raise BadRequest("invalid prune value") from None
    if context.members is not None:
        await context.members.force_leave(name, prune=prune)
    return Response()


async def servers(context: Context, _request: Request) -> Answer:
    """Only client agents keep a list of servers; one that is both names what it would ask."""
    if not context.client_enabled:
        return answers.text("Invalid method", 501)
    return answers.json([member.rpc_address for member in context.server.log.members])


async def set_servers(context: Context, request: Request) -> Answer:
    if not context.client_enabled:
        return answers.text("Invalid method", 501)
    if not request.get_all("address"):
        raise BadRequest("missing server address")
    raise NotBuilt("the client of this agent asks the server of this agent, and no other")


async def schedulers(context: Context, _request: Request) -> Answer:
    server = context.server
    return answers.json({"server_id": f"{server.name}.{server.region}", "schedulers": []})


async def schedulers_configuration(context: Context, _request: Request) -> Answer:
    server = context.server
    return answers.json(
        {
            "server_id": f"{server.name}.{server.region}",
            "num_schedulers": 1,
            "enabled_schedulers": ENABLED_SCHEDULERS,
        }
    )


async def reload(context: Context, _request: Request) -> Answer:
    """As SIGHUP does."""
    if context.reload is None:
        raise NotBuilt("this agent has nothing that it could reload")
    context.reload()
    return Response()
