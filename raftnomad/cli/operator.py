"""`server`, `operator raft`, `system`: the cluster itself."""

from __future__ import annotations

from typing import Any

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.hints import show_hint
from raftnomad.cli.lookup import asked, one_argument, raise_usage
from raftnomad.cli.output import columns, error, out
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, ConnectionFailed, UnexpectedResponse


@command("[options]")
@switch("verbose", "Show each member's protocol and tags")
@switch("detailed", "The same as -verbose")
@switch("json", "Output the members in their JSON format")
@option("t", "Format and display members using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def members(
    api: ApiClient, verbose: bool, detailed: bool, json: bool, template: str | None, arguments: tuple[str, ...]
) -> int:
    """List the servers that this one knows, whether they answer, and which of them leads."""
    if arguments:
        raise_usage("This command takes no arguments")
    one_format(json, template)
    found = asked("Error querying servers", lambda: api.get("/v1/agent/members").json())
    servers = sorted(found.get("Members") or (), key=lambda member: member["Name"])
    leaders = _leaders(api)
    if json or template:
        for member in servers:
            if _rpc_address(member) in leaders:
                member["Tags"]["Leader"] = "true"
        out(formatted(servers, template))
        return 0
    if not servers:
        out("No known members")
        return 0
    detailed = detailed or verbose
    header = ["Name", "Address", "Port", "Status", "Leader", *(["Protocol"] if detailed else [])]
    header += ["Raft Version", "Build", "Datacenter", "Region", *(["Tags"] if detailed else [])]
    rows = [header]
    for member in servers:
        tags = member["Tags"]
        row = [member["Name"], member["Addr"], str(member["Port"]), member["Status"]]
        row += [str(_rpc_address(member) in leaders).lower(), *([str(member["ProtocolCur"])] if detailed else [])]
        row += [tags.get("raft_vsn", ""), tags.get("build", ""), tags.get("dc", ""), tags.get("region", "")]
        rows.append([*row, ",".join(f"{k}={v}" for k, v in tags.items())] if detailed else row)
    out(columns(rows))
    if not leaders:
        error("\nError determining leaders: no server leads at the moment")
        return 1
    show_hint(api, "View and manage Nomad servers", "servers")
    return 0


def _rpc_address(member: dict[str, Any]) -> str:
    return f"{member['Tags'].get('rpc_addr') or member['Addr']}:{member['Tags'].get('port', '')}"


def _leaders(api: ApiClient) -> set[str]:
    """The address of the leader, if there is one."""
    try:
        leader = api.get("/v1/status/leader").json()
    except (ConnectionFailed, UnexpectedResponse):
        return set()
    return {leader} if leader else set()


@command("[options]")
@switch("stale", "Ask this server even when it knows no leader")
@connects
@click.argument("arguments", nargs=-1)
def list_peers(api: ApiClient, stale: bool, arguments: tuple[str, ...]) -> int:
    """List the servers that replicate the log, and which of them leads."""
    query = {"stale": "true"} if stale else {}
    failing = "Failed to retrieve raft configuration"
    answer = asked(failing, lambda: api.get("/v1/operator/raft/configuration", query).json())
    rows = [["Node", "ID", "Address", "State", "Voter", "RaftProtocol"]]
    rows += [
        [
            server["Node"],
            server["ID"],
            server["Address"],
            "leader" if server["Leader"] else "follower",
            str(server["Voter"]).lower(),
            server["RaftProtocol"],
        ]
        for server in answer["Servers"] or ()
    ]
    out(columns(rows))
    return 0


@command("[options]")
@option("peer-id", "The id of the server that shall lead", default="")
@option("peer-address", "The rpc address of the server that shall lead", default="")
@connects
def transfer_leadership(api: ApiClient, peer_id: str, peer_address: str) -> int:
    """Hand leadership over to another server."""
    failing = "Error transferring leadership to peer"
    if peer_id and peer_address:
        raise RaftnomadError(f"{failing}: cannot give both an address and id")
    if not peer_id and not peer_address:
        raise RaftnomadError(f"{failing}: an address or id is required for the destination peer")
    query = {"id": peer_id} if peer_id else {"address": peer_address}
    asked(failing, lambda: api.put("/v1/operator/raft/transfer-leadership", None, query))
    out(f"Transferred leadership to peer with {'id' if peer_id else 'address'} {peer_id or peer_address!r}")
    return 0


@command("[options]")
@option("peer-id", "The id of the server to remove", default="")
@option("peer-address", "Not supported any more; use -peer-id", default="")
@connects
def remove_peer(api: ApiClient, peer_id: str, peer_address: str) -> int:
    """Remove a server from those that replicate the log."""
    if not peer_id:
        raise RaftnomadError("Missing peer id required")
    asked("Error removing peer", lambda: api.delete("/v1/operator/raft/peer", {"id": peer_id}))
    out(f'Removed peer with id "{peer_id}"')
    return 0


@command("[options]")
@connects
@click.argument("arguments", nargs=-1)
def collect_garbage(api: ApiClient, arguments: tuple[str, ...]) -> int:
    """Forget jobs, evaluations, allocations and nodes that are over, at once."""
    if arguments:
        raise_usage("This command takes no arguments")
    asked("Error running system garbage-collection", lambda: api.put("/v1/system/gc"))
    return 0


@command("[options]")
@connects
@click.argument("arguments", nargs=-1)
def reconcile_summaries(api: ApiClient, arguments: tuple[str, ...]) -> int:
    """Count the allocations of all jobs anew, should their summaries be wrong."""
    if arguments:
        raise_usage("This command takes no arguments")
    asked("Error running system summary reconciliation", lambda: api.put("/v1/system/reconcile/summaries"))
    return 0


@command("[options] <address>...")
@connects
@click.argument("arguments", nargs=-1)
def join(api: ApiClient, arguments: tuple[str, ...]) -> int:
    """Make the server that is asked, and those at the serf addresses, one cluster."""
    if not arguments:
        raise_usage("One or more node addresses must be given as arguments")
    answer = asked("Error joining", lambda: api.put("/v1/agent/join", None, {"address": arguments}).json())
    if answer.get("error"):
        raise RaftnomadError(f"Error joining: {answer['error']}")
    if warning := answer.get("warning"):
        error(f"Warning: {warning}")
    out(f"Joined {answer['num_joined']} servers successfully")
    return 0


@command("[options] <node>")
@switch("prune", "Forget the server entirely")
@connects
@click.argument("arguments", nargs=-1)
def force_leave(api: ApiClient, prune: bool, arguments: tuple[str, ...]) -> int:
    """Take a server that has failed off the list of members. One that is not known is no error."""
    name = one_argument(arguments, "This command takes one argument: <node>")
    query = {"node": name} | ({"prune": "true"} if prune else {})
    asked(f"Error force-leaving server {name}", lambda: api.put("/v1/agent/force-leave", None, query))
    return 0
