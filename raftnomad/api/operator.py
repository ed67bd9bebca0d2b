"""For operators: the raft members, and the scheduler's settings."""

from __future__ import annotations

import re

import msgspec

from raftnomad.api import answers
from raftnomad.api.context import Context
from raftnomad.api.encoded import Found
from raftnomad.api.query import options, query
from raftnomad.errors import BadRequest, NotFound, RaftnomadError
from raftnomad.fsm.commands import SetSchedulerConfiguration
from raftnomad.fsm.state import State
from raftnomad.model import wire
from raftnomad.model.scheduler_configuration import SchedulerConfiguration
from raftnomad.model.server import RaftServer
from raftnomad.raft.log import Member
from raftnomad.web import Answer, Request, Response

ALGORITHMS = ("binpack", "spread")
RAFT_PROTOCOL = "3"


async def raft_configuration(context: Context, request: Request) -> Answer:
    if not options(request).stale:
        await context.server.consistent_read()
    log = context.server.log
    servers = [
        RaftServer(
            id=member.id,
            node=f"{member.name}.{context.server.region}",
            address=member.rpc_address,
            leader=log.leader is not None and member.id == log.leader.id,
            voter=member.voter,
            raft_protocol=RAFT_PROTOCOL,
        )
        for member in log.members
    ]
    return answers.json({"Servers": servers, "Index": 0})


async def unknown_raft_route(_context: Context, _request: Request) -> Answer:
    raise NotFound("Invalid method")


async def no_other_method(_context: Context, _request: Request) -> Answer:
    return Response(status=405, content_type="")


async def upgrade_check(context: Context, request: Request) -> Answer:
    """Vault is not spoken to, so there is nothing of it that could be outdated."""
    if request.parameters["name"] != "vault-workload-identity":
        raise NotFound(f"Path {request.path} not found")

    def read(state: State) -> Found:
        value: dict[str, object] = {"JobsWithoutVaultIdentity": [], "OutdatedNodes": [], "VaultTokens": None}
        return Found(index=state.index, value=value)

    return await query(context, request, [("jobs",)], read, inline_meta=True)


async def remove_peer(context: Context, request: Request) -> Answer:
    if request.has("address"):
        raise BadRequest("Removing a peer by address is not supported in the current raft protocol version")
    if not request.has("id"):
        raise BadRequest("Must specify the peer's ID to remove")
    identifier = request.get("id")
    if all(member.id != identifier for member in context.server.log.members):
        raise RaftnomadError(_not_a_member("id", identifier))
    await context.server.log.remove_server(identifier)
    return answers.written(context.server.state.index)


async def transfer_leadership(context: Context, request: Request) -> Answer:
    to = _named_member(context.server.log.members, request)
    before = context.server.log.leader
    noop = before is not None and before.id == to.id
    if not noop:
        await context.server.log.transfer_leadership(to.id)
    return answers.json({"From": _peer(before), "To": _peer(to), "Noop": noop, "Err": None})


def _peer(member: Member | None) -> dict[str, str]:
    if member is None:
        return {"Address": "", "ID": ""}
    return {"Address": member.rpc_address, "ID": member.id}


def _named_member(members: tuple[Member, ...], request: Request) -> Member:
    """The one member that `?id=` or `?address=` names; raises BadRequest in Nomad's words."""
    if not request.has("id") and not request.has("address"):
        raise BadRequest("must specify id or address")
    if request.has("id") and request.has("address"):
        raise BadRequest("must specify either id or address")
    kind = "id" if request.has("id") else "address"
    values = request.get_all(kind)
    if len(values) > 1:
        raise BadRequest(f"must specify only one {kind}")
    value = values[0]
    if value == "":
        raise BadRequest(f"{kind} must be non-empty")
    if kind == "id" and len(value) != 36:
        raise BadRequest("id must be a uuid: uuid string is wrong length")
    if kind == "address" and not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[0-9.]+):\d{1,5}", value):
        raise BadRequest("address must be in IP:port format: not an ip:port")
    for member in members:
        if value == (member.id if kind == "id" else member.rpc_address):
            return member
    raise BadRequest(_not_a_member(kind, value))


def _not_a_member(kind: str, value: str) -> str:
    return f'{kind} "{value}" was not found in the Raft configuration'


async def read_scheduler_configuration(context: Context, request: Request) -> Answer:
    def read(state: State) -> Found:
        configuration = state.scheduler_configuration
        return Found(index=configuration.modify_index, value={"SchedulerConfig": configuration})

    return await query(context, request, [("scheduler_configuration",)], read, inline_meta=True)


async def write_scheduler_configuration(context: Context, request: Request) -> Answer:
    """Replaces everything: what is left out becomes zero. A check-and-set that fails is no error."""
    try:
        asked = wire.decode(SchedulerConfiguration, request.body)
    except BadRequest as error:
        text = str(error).replace(
            "SchedulerAlgorithm of type string", "SchedulerAlgorithm of type api.SchedulerAlgorithm"
        )
        raise BadRequest(f"Error parsing scheduler config: {text}") from None
    if asked.node_limit_for_feasibility_checks < 0:
        raise BadRequest(
            f"Error parsing scheduler config: json: cannot unmarshal number {asked.node_limit_for_feasibility_checks} "
            "into Go struct field SchedulerConfiguration.NodeLimitForFeasibilityChecks of type uint"
        )
    if asked.scheduler_algorithm not in ("", *ALGORITHMS):
        raise BadRequest(f"invalid scheduler algorithm: {asked.scheduler_algorithm}")
    check_index = _check_index(request)
    configuration = msgspec.structs.replace(
        asked,
        scheduler_algorithm=asked.scheduler_algorithm or ALGORITHMS[0],
        create_index=0,
        modify_index=0,
    )
    applied = await context.server.propose(
        SetSchedulerConfiguration(configuration=configuration, check_index=check_index)
    )
    return answers.written(applied.index, {"Updated": check_index is None or applied.value == 1})


def _check_index(request: Request) -> int | None:
    if not request.has("cas"):
        return None
    text = request.get("cas")
    if not (text.isascii() and text.isdigit()):
        raise BadRequest(f'Error parsing cas value: strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text)
