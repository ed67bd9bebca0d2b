"""`node status`: the machines that run tasks."""

from __future__ import annotations

import time
from typing import Any

import click

from raftnomad.cli import node_sections as sections
from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.hints import show_hint
from raftnomad.cli.lookup import asked, by_prefix, raise_usage
from raftnomad.cli.monitor import allocation_table
from raftnomad.cli.output import columns, key_values, limit_id, out, section
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, UnexpectedResponse

QUERY_FAILED = "Error querying node status"
INFO_FAILED = "Error querying node info"


def _now_ns() -> int:
    return time.time_ns()  # noqa: TID251 - for ages, as the user's clock sees them


def find_node_id(api: ApiClient, prefix: str, failing: str, by: str = "prefix or id") -> str:
    """The whole id; `by` is what the message calls what was given."""
    stub = by_prefix(
        api,
        prefix,
        path="/v1/nodes",
        noun="node",
        failing=failing,
        table=lambda stubs: node_table(stubs, False),
        missing=f'No node(s) with {by} "{{prefix}}" found',
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
    node_id = own_node_id(api) if own else find_node_id(api, arguments[0], INFO_FAILED, "prefix")
    node = asked(INFO_FAILED, lambda: api.get(f"/v1/node/{node_id}").json())
    if json or template:
        out(formatted(node, template, "Node"))
        return 0
    _show(api, node, short=short, stats=stats, verbose=verbose)
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


def _show(api: ApiClient, node: dict[str, Any], *, short: bool, stats: bool, verbose: bool) -> None:
    failing = "Error querying node allocations"
    allocations = asked(failing, lambda: api.get(f"/v1/node/{node['ID']}/allocations").json()) or []
    host = {} if short else _host_stats(api, node["ID"])
    shown = [sections.basic(node, host, short=short, verbose=verbose)]
    if verbose and not short:
        shown += [sections.host_volumes(node)] if node.get("HostVolumes") else []
        shown += [sections.host_networks(node)] if node.get("HostNetworks") else []
        shown.append(sections.drivers(node))
    if not short:
        shown += [sections.events(node, verbose), sections.allocated(node, allocations)]
        if host:
            running = [a["ID"] for a in allocations if a.get("ClientStatus") == "running"]
            shown.append(sections.allocation_use(node, _usages(api, running)))
            shown.append(sections.host_use(node, host))
        if host and stats:
            shown += sections.host_statistics(host)
    stubs = [_as_stub(allocation) for allocation in allocations]
    shown.append(section("Allocations", allocation_table(stubs, verbose=verbose, now_ns=_now_ns(), node_name=False)))
    if verbose:
        shown.append(section("Attributes", key_values(sorted((node["Attributes"] or {}).items()))))
        shown.append(section("Meta", key_values(sorted((node["Meta"] or {}).items()))))
    out("\n\n".join(shown))


def _usages(api: ApiClient, running: list[str]) -> list[dict[str, Any]]:
    """What each allocation uses; one that can't be asked counts nothing."""
    usages = []
    for alloc_id in running:
        try:
            answer = api.get(f"/v1/client/allocation/{alloc_id}/stats").json() or {}
        except UnexpectedResponse:
            continue
        usages.append(answer.get("ResourceUsage") or {})
    return usages


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
