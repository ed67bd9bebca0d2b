"""`server members`, `operator raft`, `operator scheduler`, `system gc`: the cluster itself."""

from __future__ import annotations

from typing import Any

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.hints import show_hint
from raftnomad.cli.lookup import asked, raise_usage
from raftnomad.cli.output import columns, error, key_values, out
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
@switch("json", "Output the configuration in its JSON format")
@option("t", "Format and display the configuration using a Go template", default=None, variable="template")
@connects
def get_scheduler_configuration(api: ApiClient, json: bool, template: str | None) -> int:
    """Show the scheduler's settings."""
    one_format(json, template)
    failing = "Error querying scheduler configuration"
    answer = asked(failing, lambda: api.get("/v1/operator/scheduler/configuration").json())
    configuration = answer["SchedulerConfig"]
    if json or template:
        out(formatted(answer, template))
        return 0
    preemption = configuration["PreemptionConfig"]
    out(
        key_values(
            [
                ("Scheduler Algorithm", configuration["SchedulerAlgorithm"]),
                ("Memory Oversubscription", _word(configuration["MemoryOversubscriptionEnabled"])),
                ("Reject Job Registration", _word(configuration["RejectJobRegistration"])),
                ("Pause Eval Broker", _word(configuration["PauseEvalBroker"])),
                ("Preemption System Scheduler", _word(preemption["SystemSchedulerEnabled"])),
                ("Preemption Service Scheduler", _word(preemption["ServiceSchedulerEnabled"])),
                ("Preemption Batch Scheduler", _word(preemption["BatchSchedulerEnabled"])),
                ("Preemption SysBatch Scheduler", _word(preemption["SysBatchSchedulerEnabled"])),
                ("Modify Index", str(configuration["ModifyIndex"])),
            ]
        )
    )
    return 0


def _word(value: bool) -> str:
    return str(bool(value)).lower()


@command("[options]")
@connects
@click.argument("arguments", nargs=-1)
def collect_garbage(api: ApiClient, arguments: tuple[str, ...]) -> int:
    """Forget jobs, evaluations, allocations and nodes that are over, at once."""
    if arguments:
        error("This command takes no arguments\nFor additional help try 'nomad system gc -help'")
        return 0
    asked("Error running system garbage-collection", lambda: api.put("/v1/system/gc"))
    return 0
