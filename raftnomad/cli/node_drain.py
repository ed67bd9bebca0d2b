"""`node eligibility`, `node drain` and `node config`: what is done to a node."""

from __future__ import annotations

import time
from typing import Any

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.lookup import Answer, ask, asked, raise_usage
from raftnomad.cli.node import find_node_id, own_node_id
from raftnomad.cli.output import error, local_time, out
from raftnomad.durations import parse_duration
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient

MONITOR_POLL_S = 0.5
DEADLINE = "1h"
MONITOR_FAILED = "Error monitoring drain"


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
@option("deadline", "How long allocations have to move before they are stopped, default 1h", default="")
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
    if monitor and (enable or disable):
        raise_usage("The -monitor flag cannot be used with the '-enable' or '-disable' flags")
    if not monitor and enable == disable:
        raise_usage("Either the '-enable' or '-disable' flag must be set, unless using '-monitor'")
    deadline_ns = _deadline_ns(deadline, force, no_deadline)
    if disable and (deadline or force or no_deadline or ignore_system):
        raise_usage("-disable can't be combined with flags configuring drain strategy")
    if len(arguments) != (0 if own else 1):
        raise_usage("Node ID must be specified if -self isn't being used")
    failing = "Error toggling drain mode"
    node_id = own_node_id(api) if own else find_node_id(api, arguments[0], failing)
    if monitor:
        return _monitor_drain(api, node_id)
    spec: dict[str, Any] | None = None
    if enable:
        spec = {"Deadline": deadline_ns, "IgnoreSystemJobs": ignore_system}
    if not yes and own is False and arguments[0] != node_id:
        verb = "enable" if enable else "disable"
        answer = ask(f'Are you sure you want to {verb} drain mode for node "{node_id}"?')
        if answer is not Answer.YES:
            out("Canceling drain toggle" if answer is Answer.NO else "For confirmation, an exact ‘y’ is required.")
            return 0
    body = {
        "NodeID": node_id,
        "DrainSpec": spec,
        "MarkEligible": disable and not keep_ineligible,
        "Meta": _meta(message, meta),
    }
    before = _allocations(api, node_id)  # read first, so that what happens at once is told too
    asked(failing, lambda: api.put(f"/v1/node/{node_id}/drain", body))
    if disable:
        out(f'Node "{node_id}" drain strategy unset')
        return 0
    if detach:
        out(f'Node "{node_id}" drain strategy set')
        return 0
    out(f"{_stamp()}: Ctrl-C to stop monitoring: will not cancel the node drain")
    out(f'{_stamp()}: Node "{node_id}" drain strategy set')
    return _follow_drain(api, node_id, before)


def _deadline_ns(deadline: str, force: bool, no_deadline: bool) -> int:
    if force and no_deadline:
        raise_usage("-force and -no-deadline are mutually exclusive")
    if deadline and (force or no_deadline):
        raise_usage("-deadline can't be combined with -force or -no-deadline")
    if force:
        return -1
    if no_deadline:
        return 0
    try:
        nanoseconds = parse_duration(deadline or DEADLINE)
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
    return local_time(time.time_ns())  # noqa: TID251 - what the user's own clock says


def _monitor_drain(api: ApiClient, node_id: str) -> int:
    node = asked(MONITOR_FAILED, lambda: api.get(f"/v1/node/{node_id}").json())
    before = _allocations(api, node_id)
    if not node.get("DrainStrategy") and not any(a.get("ClientStatus") == "running" for a in before):
        error("No drain strategy set")
        return 0
    return _follow_drain(api, node_id, before)


def _follow_drain(api: ApiClient, node_id: str, before: list[dict[str, Any]]) -> int:
    """Tell each allocation's way off the node, until the drain is complete and all have stopped.

    before: the node's allocations as they were when the drain began.
    """
    known = {allocation["ID"]: allocation for allocation in before}
    complete = False
    while True:
        allocations = _allocations(api, node_id)
        for allocation in allocations:
            for change in changes(known.get(allocation["ID"], allocation), allocation):
                out(f'{_stamp()}: Alloc "{allocation["ID"]}" {change}')
            known[allocation["ID"]] = allocation
        if not complete and not api.get(f"/v1/node/{node_id}").json().get("DrainStrategy"):
            complete = True
            out(f"{_stamp()}: Drain complete for node {node_id}")
        if complete and all(a.get("ClientStatus") in ("complete", "failed", "lost") for a in allocations):
            out(f'{_stamp()}: All allocations on node "{node_id}" have stopped')
            return 0
        time.sleep(MONITOR_POLL_S)


def _allocations(api: ApiClient, node_id: str) -> list[dict[str, Any]]:
    return asked(MONITOR_FAILED, lambda: api.get(f"/v1/node/{node_id}/allocations").json()) or []


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is to be told of an allocation that is leaving its node."""

    def migrates(allocation: dict[str, Any]) -> bool:
        return bool((allocation.get("DesiredTransition") or {}).get("Migrate"))

    told = []
    if migrates(now) and not migrates(before):
        told.append("marked for migration")
    if now.get("DesiredStatus") == "stop" != before.get("DesiredStatus"):
        told.append("draining")
    if now.get("ClientStatus") != before.get("ClientStatus"):
        told.append(f"status {before.get('ClientStatus', '')} -> {now.get('ClientStatus', '')}")
    return told


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
