"""`node status`, `node eligibility`, `node drain`: the machines that run tasks."""

from __future__ import annotations

import time
from typing import Any

import click

from raftnomad.cli.alloc import byte_text
from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.hints import show_hint
from raftnomad.cli.lookup import asked, by_prefix, confirm, raise_usage
from raftnomad.cli.monitor import allocation_table
from raftnomad.cli.output import columns, error, key_values, limit_id, local_rfc3339, local_time, out
from raftnomad.durations import format_duration, parse_duration
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, UnexpectedResponse

QUERY_FAILED = "Error querying node status"
MIB = 1024 * 1024
MONITOR_POLL_S = 0.5


def _now_ns() -> int:
    return time.time_ns()  # noqa: TID251 - for ages, as the user's clock sees them


def find_node_id(api: ApiClient, prefix: str, failing: str) -> str:
    stub = by_prefix(
        api, prefix, path="/v1/nodes", noun="node", failing=failing, table=lambda stubs: node_table(stubs, False)
    )
    return str(stub["ID"])


def own_node_id(api: ApiClient) -> str:
    """The node of the agent that is asked."""
    stats = asked("Error querying agent info", lambda: api.get("/v1/agent/self").json()).get("stats") or {}
    node_id = (stats.get("client") or {}).get("node_id")
    if not node_id:
        raise RaftnomadError("Agent not running in client mode")
    return str(node_id)


@command("[options] <node>")
@switch("self", "Query the status of the local node", variable="own")
@switch("stats", "Display detailed resource usage statistics")
@switch("allocs", "Display the count of running allocations for each node")
@switch("short", "Display short output")
@switch("os", "Display the operating system's name")
@switch("quiet", "Display only node ids")
@switch("verbose", "Display full information")
@option("per-page", "How many results to show per page", type=int, default=None)
@option("page-token", "Where to start pagination", default="")
@option("filter", "Filter results", default="", variable="filter_text")
@switch("json", "Output the node in its JSON format")
@option("t", "Format and display node using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def status(
    api: ApiClient,
    own: bool,
    stats: bool,
    allocs: bool,
    short: bool,
    os: bool,
    quiet: bool,
    verbose: bool,
    per_page: int | None,
    page_token: str,
    filter_text: str,
    json: bool,
    template: str | None,
    arguments: tuple[str, ...],
) -> int:
    """Display the status of nodes: of all without an argument, else of one with its allocations."""
    if len(arguments) > 1:
        raise_usage("This command takes either one or no arguments")
    one_format(json, template)
    if not arguments and not own:
        query = {"filter": filter_text, "next_token": page_token}
        query |= {"os": "true"} if os else {}
        query |= {"per_page": str(per_page)} if per_page is not None else {}
        query = {name: value for name, value in query.items() if value}
        return _list(api, query, allocs=allocs, os=os, quiet=quiet, verbose=verbose, json=json, template=template)
    node_id = own_node_id(api) if own else find_node_id(api, arguments[0], QUERY_FAILED)
    node = asked("Error querying node info", lambda: api.get(f"/v1/node/{node_id}").json())
    if json or template:
        out(formatted(node, template, "Node"))
        return 0
    _show(api, node, short=short, verbose=verbose)
    show_hint(api, "View client details and metrics", f"clients/{node_id}")
    return 0


def _list(
    api: ApiClient,
    query: dict[str, str],
    *,
    allocs: bool,
    os: bool,
    quiet: bool,
    verbose: bool,
    json: bool,
    template: str | None,
) -> int:
    answer = asked(QUERY_FAILED, lambda: api.get("/v1/nodes", query))
    stubs = answer.json() or []
    if json or template:
        out(formatted(stubs, template, "NodeListStub"))
        return 0
    if not stubs:
        out("No nodes registered")
        return 0
    if quiet:
        out("\n".join(limit_id(stub["ID"], True) for stub in stubs))
        return 0
    running = {stub["ID"]: _running(api, stub["ID"]) for stub in stubs} if allocs else {}
    out(node_table(stubs, verbose, os, running))
    if token := answer.headers.get("x-nomad-nexttoken"):
        out(f"\nResults have been paginated. To get the next page run:\n\nnomad node status -page-token {token}")
    show_hint(api, "View and manage Nomad clients", "clients")
    return 0


def _running(api: ApiClient, node_id: str) -> int:
    allocations = asked("Error querying node allocations", lambda: api.get(f"/v1/node/{node_id}/allocations").json())
    return sum(allocation.get("ClientStatus") == "running" for allocation in allocations or ())


def node_table(
    stubs: list[dict[str, Any]], verbose: bool, os: bool = False, running: dict[str, int] | None = None
) -> str:
    """Nodes as lists of them are printed."""
    header = ["ID", "Node Pool", "DC", "Name", "Class", *(["OS"] if os else [])]
    header += [*(["Address", "Version"] if verbose else []), "Drain", "Eligibility", "Status"]
    header += ["Running Allocs"] if running else []
    rows = [header]
    for stub in stubs:
        row = [limit_id(stub["ID"], verbose), stub["NodePool"], stub["Datacenter"], stub["Name"], stub["NodeClass"]]
        row += [(stub.get("Attributes") or {}).get("os.name", "")] if os else []
        row += [stub["Address"], stub["Version"]] if verbose else []
        row += [str(stub["Drain"]).lower(), stub["SchedulingEligibility"], stub["Status"]]
        row += [str(running[stub["ID"]])] if running else []
        rows.append(row)
    return columns(rows, empty="<none>")


def pool_table(stubs: list[dict[str, Any]], verbose: bool) -> str:
    """Nodes of one pool as a list: without the pool."""
    rows = [["ID", "DC", "Name", "Class", "Drain", "Eligibility", "Status"]]
    for stub in stubs:
        row = [limit_id(stub["ID"], verbose), stub["Datacenter"], stub["Name"], stub["NodeClass"]]
        rows.append([*row, str(stub["Drain"]).lower(), stub["SchedulingEligibility"], stub["Status"]])
    return columns(rows, empty="<none>")


def _show(api: ApiClient, node: dict[str, Any], *, short: bool, verbose: bool) -> None:
    allocations = asked("Error querying node allocations", lambda: api.get(f"/v1/node/{node['ID']}/allocations").json())
    host = {} if short else _host_stats(api, node["ID"])
    out(_basic(node, host, short=short))
    if not short:
        out("\nNode Events\n" + _events(node, verbose))
        out("\n" + _allocated(node, allocations or []))
        if host:
            out("\n" + _host_use(node, host))
    stubs = [_as_stub(allocation) for allocation in allocations or ()]
    out("\nAllocations\n" + allocation_table(stubs, verbose=verbose, now_ns=_now_ns()))
    if verbose:
        out("\nAttributes\n" + key_values(sorted((node["Attributes"] or {}).items())))
        out("\nMeta\n" + key_values(sorted((node["Meta"] or {}).items())))


def _host_stats(api: ApiClient, node_id: str) -> dict[str, Any]:
    """What the node's agent says of its machine; empty when it can't be asked."""
    try:
        return api.get("/v1/client/stats", {"node_id": node_id}).json() or {}
    except UnexpectedResponse:
        return {}


def _as_stub(allocation: dict[str, Any]) -> dict[str, Any]:
    return {
        "DesiredStatus": "",
        "ClientStatus": "",
        "NodeName": "",
        "EvalID": "",
        "JobVersion": (allocation.get("Job") or {}).get("Version", 0),
        **allocation,
    }


def _basic(node: dict[str, Any], host: dict[str, Any], *, short: bool) -> str:
    drivers = [
        name if info["Healthy"] else f"{name} ({'unhealthy' if info['Detected'] else 'undetected'})"
        for name, info in sorted((node["Drivers"] or {}).items())
        if info["Detected"]
    ]
    pairs = [
        ("ID", node["ID"]),
        ("Name", node["Name"]),
        ("Node Pool", node["NodePool"]),
        ("Class", node["NodeClass"]),
        ("DC", node["Datacenter"]),
        ("Drain", _drain(node)),
        ("Eligibility", node["SchedulingEligibility"]),
        ("Status", node["Status"]),
        ("CSI Controllers", ",".join(sorted(node.get("CSIControllerPlugins") or {}))),
        ("CSI Drivers", ",".join(sorted(node.get("CSINodePlugins") or {}))),
    ]
    if host:
        pairs.append(("Uptime", format_duration(int(host.get("Uptime", 0)) * 1_000_000_000)))
    pairs += [
        ("Host Volumes", ",".join(sorted(node.get("HostVolumes") or {}))),
        ("Host Networks", ",".join(sorted(node.get("HostNetworks") or {}))),
        ("CSI Volumes", ""),
        ("Drivers" if short else "Driver Status", ",".join(drivers)),
    ]
    return key_values(pairs)


def _drain(node: dict[str, Any]) -> str:
    strategy = node.get("DrainStrategy")
    if not strategy:
        return "false"
    if strategy["Deadline"] > 0:
        return f"true; deadline {local_rfc3339(strategy['ForceDeadline'])}"
    return "true; force drain" if strategy["Deadline"] < 0 else "true; no deadline"


def _events(node: dict[str, Any], verbose: bool) -> str:
    rows = [["Time", "Subsystem", "Message", *(["Details"] if verbose else [])]]
    for event in reversed(node.get("Events") or []):
        details = ",".join(f"{name}:{value}" for name, value in sorted((event.get("Details") or {}).items()))
        row = [local_rfc3339(event["Timestamp"]), event["Subsystem"], event["Message"]]
        rows.append([*row, details] if verbose else row)
    return columns(rows, empty="<none>")


def _allocated(node: dict[str, Any], allocations: list[dict[str, Any]]) -> str:
    """What live allocations were promised, of what the node has."""
    live = [a for a in allocations if a.get("ClientStatus") not in ("complete", "failed", "lost")]
    cpu = memory = disk = 0
    for allocation in live:
        resources = allocation.get("AllocatedResources") or {}
        disk += (resources.get("Shared") or {}).get("DiskMB", 0)
        for task in (resources.get("Tasks") or {}).values():
            cpu += task["Cpu"]["CpuShares"]
            memory += task["Memory"]["MemoryMB"]
    total = node["NodeResources"]
    reserved = node.get("ReservedResources") or {}
    cpu_total = total["Cpu"]["CpuShares"] - ((reserved.get("Cpu") or {}).get("CpuShares") or 0)
    memory_total = total["Memory"]["MemoryMB"] - ((reserved.get("Memory") or {}).get("MemoryMB") or 0)
    disk_total = total["Disk"]["DiskMB"] - ((reserved.get("Disk") or {}).get("DiskMB") or 0)
    rows = [
        ["CPU", "Memory", "Disk", "Alloc Count"],
        [
            f"{cpu}/{cpu_total} MHz",
            f"{byte_text(memory * MIB)}/{byte_text(memory_total * MIB)}",
            f"{byte_text(disk * MIB)}/{byte_text(disk_total * MIB)}",
            str(len(live)),
        ],
    ]
    return "Allocated Resources\n" + columns(rows)


def _host_use(node: dict[str, Any], host: dict[str, Any]) -> str:
    memory = host.get("Memory") or {}
    disk = (host.get("DiskStats") or [{}])[0]
    total_mhz = node["NodeResources"]["Cpu"]["CpuShares"]
    rows = [
        ["CPU", "Memory", "Disk"],
        [
            f"{host.get('CPUTicksConsumed', 0):.0f}/{total_mhz} MHz",
            f"{byte_text(memory.get('Used', 0))}/{byte_text(memory.get('Total', 0))}",
            f"{byte_text(disk.get('Used', 0))}/{byte_text(disk.get('Size', 0))}",
        ],
    ]
    return "Host Resource Utilization\n" + columns(rows)


@command("[options] <node>")
@switch("enable", "Mark the node as eligible for scheduling")
@switch("disable", "Mark the node as ineligible for scheduling")
@switch("self", "Set the eligibility of the local node", variable="own")
@connects
@click.argument("arguments", nargs=-1)
def eligibility(api: ApiClient, enable: bool, disable: bool, own: bool, arguments: tuple[str, ...]) -> int:
    """Say whether new allocations may be placed on a node. Those that run there go on."""
    if enable == disable:
        raise_usage("Either the '-enable' or '-disable' flag must be set")
    if len(arguments) != (0 if own else 1):
        raise_usage("Node ID must be specified if -self isn't being used")
    failing = "Error updating scheduling eligibility"
    node_id = own_node_id(api) if own else find_node_id(api, arguments[0], failing)
    word = "eligible" if enable else "ineligible"
    asked(failing, lambda: api.put(f"/v1/node/{node_id}/eligibility", {"NodeID": node_id, "Eligibility": word}))
    out(f'Node "{node_id}" scheduling eligibility set: {word} for scheduling')
    return 0


@command("[options] <node>")
@switch("enable", "Drain the node: move its allocations away and place none there")
@switch("disable", "Stop draining the node")
@option("deadline", "How long allocations have to move before they are stopped, default 1h", default="1h")
@switch("detach", "Return immediately instead of monitoring")
@switch("force", "Stop all allocations at once")
@switch("no-deadline", "Wait for allocations as long as it takes")
@switch("ignore-system", "Leave system jobs running")
@switch("keep-ineligible", "With -disable: keep the node ineligible for scheduling")
@option("m", "A message about the drain", default="", variable="message")
@option("meta", "key=value to keep with the drain; may be repeated", multiple=True)
@switch("monitor", "Monitor a drain that was enabled before")
@switch("self", "Drain the local node", variable="own")
@switch("yes", "Answer yes to every question")
@connects
@click.argument("arguments", nargs=-1)
def drain(
    api: ApiClient,
    enable: bool,
    disable: bool,
    deadline: str,
    detach: bool,
    force: bool,
    no_deadline: bool,
    ignore_system: bool,
    keep_ineligible: bool,
    message: str,
    meta: tuple[str, ...],
    monitor: bool,
    own: bool,
    yes: bool,
    arguments: tuple[str, ...],
) -> int:
    """Move the allocations of a node elsewhere, as fast as their jobs' migrate policies allow."""
    if sum((enable, disable, monitor)) != 1:
        raise_usage("Ether the '-enable' or '-disable' flag must be set, unless using '-monitor'")
    if len(arguments) != (0 if own else 1):
        raise_usage("Node ID must be specified if -self isn't being used")
    failing = "Error toggling drain mode"
    node_id = own_node_id(api) if own else find_node_id(api, arguments[0], failing)
    if monitor:
        return _monitor_drain(api, node_id)
    spec: dict[str, Any] | None = None
    if enable:
        spec = {"Deadline": _deadline_ns(deadline, force, no_deadline), "IgnoreSystemJobs": ignore_system}
    if not yes and own is False and arguments[0] != node_id:
        verb = "enable" if enable else "disable"
        if not confirm(f'Are you sure you want to {verb} drain mode for node "{node_id}"?'):
            out("Canceling drain toggle")
            return 0
    body = {
        "NodeID": node_id,
        "DrainSpec": spec,
        "MarkEligible": disable and not keep_ineligible,
        "Meta": _meta(message, meta),
    }
    asked(failing, lambda: api.put(f"/v1/node/{node_id}/drain", body))
    if disable:
        out(f'Node "{node_id}" drain strategy unset')
        return 0
    if detach:
        out(f'Node "{node_id}" drain strategy set')
        return 0
    out(f"{_stamp()}: Ctrl-C to stop monitoring: will not cancel the node drain")
    out(f'{_stamp()}: Node "{node_id}" drain strategy set')
    return _monitor_drain(api, node_id)


def _deadline_ns(deadline: str, force: bool, no_deadline: bool) -> int:
    if force and no_deadline:
        raise_usage("-force and -no-deadline are mutually exclusive")
    if force:
        return -1
    if no_deadline:
        return 0
    try:
        nanoseconds = parse_duration(deadline)
    except ValueError as wrong:
        raise RaftnomadError(f'Failed to parse deadline "{deadline}": {wrong}') from wrong
    if nanoseconds <= 0:
        raise RaftnomadError("A positive drain duration must be given")
    return nanoseconds


def _meta(message: str, pairs: tuple[str, ...]) -> dict[str, str]:
    meta = {"message": message} if message else {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        meta[name] = value
    return meta


def _stamp() -> str:
    return local_time(_now_ns())


def _monitor_drain(api: ApiClient, node_id: str) -> int:
    """Tell each allocation's way off the node, until the drain is complete and all have stopped."""
    node = asked("Error monitoring drain", lambda: api.get(f"/v1/node/{node_id}").json())
    running = any(allocation.get("ClientStatus") == "running" for allocation in _allocations(api, node_id))
    if not node.get("DrainStrategy") and not running:
        error("No drain strategy set")
        return 0
    told: dict[str, tuple[bool, str, str]] = {}
    complete = False
    while True:
        allocations = _allocations(api, node_id)
        for allocation in allocations:
            _tell_drained(allocation, told)
        if not complete and not api.get(f"/v1/node/{node_id}").json().get("DrainStrategy"):
            complete = True
            out(f"{_stamp()}: Drain complete for node {node_id}")
        if complete and all(a.get("ClientStatus") in ("complete", "failed", "lost") for a in allocations):
            out(f'{_stamp()}: All allocations on node "{node_id}" have stopped')
            return 0
        time.sleep(MONITOR_POLL_S)


def _allocations(api: ApiClient, node_id: str) -> list[dict[str, Any]]:
    return asked("Error monitoring drain", lambda: api.get(f"/v1/node/{node_id}/allocations").json()) or []


def _tell_drained(allocation: dict[str, Any], told: dict[str, tuple[bool, str, str]]) -> None:
    alloc_id = allocation["ID"]
    migrating = bool((allocation.get("DesiredTransition") or {}).get("Migrate"))
    now = (migrating, allocation.get("DesiredStatus", ""), allocation.get("ClientStatus", ""))
    before = told.get(alloc_id)
    told[alloc_id] = now
    if before is None or before == now:
        return
    if migrating and not before[0]:
        out(f'{_stamp()}: Alloc "{alloc_id}" marked for migration')
    if now[1] != before[1] and now[1] == "stop":
        out(f'{_stamp()}: Alloc "{alloc_id}" draining')
    if now[2] != before[2]:
        out(f'{_stamp()}: Alloc "{alloc_id}" status {before[2]} -> {now[2]}')


@command("[options]")
@switch("servers", "List the servers that the client agent asks", variable="show")
@switch("update-servers", "Replace the list by the arguments", variable="update")
@connects
@click.argument("arguments", nargs=-1)
def config(api: ApiClient, show: bool, update: bool, arguments: tuple[str, ...]) -> int:
    """Show or change which servers a client agent asks."""
    if show == update:
        raise_usage("One of the flags -servers and -update-servers must be given")
    if update:
        asked("Error updating server list", lambda: api.put("/v1/agent/servers", None, {"address": arguments}))
        return 0
    out("\n".join(asked("Error querying server list", lambda: api.get("/v1/agent/servers").json()) or ()))
    return 0
