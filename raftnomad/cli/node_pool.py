"""`node pool apply`, `list`, `info`, `nodes`, `jobs` and `delete`."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Callable
from typing import Any

import click

from raftnomad.cli.flags import F, command, connects, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.job_status import job_table
from raftnomad.cli.lookup import Ambiguous, asked, one_argument, raise_usage
from raftnomad.cli.node import pool_table
from raftnomad.cli.output import columns, key_values, out
from raftnomad.cli.specification import parse_json, read_text
from raftnomad.durations import format_duration
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, ApiResponse

LIST_FAILED = "Error querying node pools"
USAGE = "This command takes one argument: <node-pool>"


@command("[options] <input>")
@switch("json", "The file is JSON, not HCL")
@connects
@click.argument("arguments", nargs=-1)
def apply(api: ApiClient, json: bool, arguments: tuple[str, ...]) -> int:
    """Make or change a node pool from a file; `-` reads it from standard input."""
    path = one_argument(arguments, "This command takes one argument: <input>")
    text = read_text(path)
    if json:
        pool = parse_json(text)
    else:
        from raftnomad.cli.node_pool_file import parse_node_pool

        pool = parse_node_pool(text, "stdin" if path == "-" else os.path.basename(path))
    asked("Error applying node pool", lambda: api.put("/v1/node/pools", pool))
    out(f'Successfully applied node pool "{pool.get("Name", "")}"!')
    return 0


def _pages(name: str) -> Callable[[F], F]:
    """The flags of a list that comes in pages."""

    def decorate(function: F) -> F:
        function = option("page-token", "Where to start pagination", default="")(function)
        function = option("per-page", "How many results to show per page", type=int, default=None)(function)
        return option("filter", f"Show only {name} for which the expression holds", default="")(function)

    return decorate


def _query(filter: str, per_page: int | None, page_token: str) -> dict[str, str]:
    query = {"filter": filter, "next_token": page_token, "per_page": "" if per_page is None else str(per_page)}
    return {name: value for name, value in query.items() if value}


def _next_page(answer: ApiResponse, words: str, per_page: int | None) -> None:
    if token := answer.headers.get("x-nomad-nexttoken"):
        out(
            "\nResults have been paginated. To get the next page run:\n\n"
            f"nomad {words} -per-page {per_page} -page-token {token}"
        )


@command("[options]")
@_pages("pools")
@switch("json", "Output the pools in their JSON format")
@option("t", "Format and display pools using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def list_pools(
    api: ApiClient,
    filter: str,
    per_page: int | None,
    page_token: str,
    json: bool,
    template: str | None,
    arguments: tuple[str, ...],
) -> int:
    """List the node pools."""
    if arguments:
        raise_usage("This command takes no arguments")
    one_format(json, template)
    answer = asked(LIST_FAILED, lambda: api.get("/v1/node/pools", _query(filter, per_page, page_token)))
    pools = [_with_text(pool) for pool in answer.json() or ()]
    if json or template:
        out(formatted(pools, template, "NodePool"))
        return 0
    out(_table(pools) if pools else "No node pools")
    _next_page(answer, "node pool list", per_page)
    return 0


def _table(pools: list[dict[str, Any]]) -> str:
    rows = [[pool["Name"], pool["Description"]] for pool in pools]
    return columns([["Name", "Description"], *rows], empty="<none>")


def _with_text(pool: dict[str, Any]) -> dict[str, Any]:
    """The duration as text, as commands show it in every form of output."""
    return {**pool, "NodeIdentityTTL": format_duration(pool.get("NodeIdentityTTL", 0))}


def _find(api: ApiClient, argument: str) -> dict[str, Any]:
    failing = "Error retrieving node pool"
    answer = asked(failing, lambda: api.get("/v1/node/pools", {"prefix": argument}).json())
    found = [_with_text(pool) for pool in answer or ()]
    found = [pool for pool in found if pool["Name"] == argument] or found
    if not found:
        raise RaftnomadError(f'{failing}: No node pool with prefix "{argument}" found')
    if len(found) > 1:
        raise Ambiguous(f"Prefix matched multiple node pools\n\n{_table(found)}")
    return found[0]


@command("[options] <node-pool>")
@switch("json", "Output the pool in its JSON format")
@option("t", "Format and display the pool using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def info(api: ApiClient, json: bool, template: str | None, arguments: tuple[str, ...]) -> int:
    """Display a node pool."""
    one_format(json, template)
    pool = _find(api, one_argument(arguments, USAGE))
    if json or template:
        out(formatted(pool, template, "NodePool"))
        return 0
    pairs = [("Name", pool["Name"]), ("Description", pool["Description"])]
    out(key_values([*pairs, ("Node Identity TTL", pool["NodeIdentityTTL"])]))
    meta = pool.get("Meta")
    out("\nMetadata\n" + (key_values(sorted(meta.items())) if meta else "No metadata"))
    scheduler = pool.get("SchedulerConfiguration")
    out("\nScheduler Configuration")
    if not scheduler:
        out("No scheduler configuration")
        return 0
    oversubscription = scheduler.get("MemoryOversubscriptionEnabled")
    shown = "" if oversubscription is None else str(oversubscription).lower()
    out(key_values([("Scheduler Algorithm", scheduler["SchedulerAlgorithm"]), ("Memory Oversubscription", shown)]))
    return 0


def _path(name: str) -> str:
    return f"/v1/node/pool/{urllib.parse.quote(name, safe='')}"


@command("[options] <node-pool>")
@_pages("nodes")
@switch("verbose", "Show full information")
@switch("json", "Output the nodes in their JSON format")
@option("t", "Format and display nodes using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def nodes(
    api: ApiClient,
    filter: str,
    per_page: int | None,
    page_token: str,
    verbose: bool,
    json: bool,
    template: str | None,
    arguments: tuple[str, ...],
) -> int:
    """List the nodes of a pool."""
    one_format(json, template)
    pool = _find(api, one_argument(arguments, USAGE))
    query = _query(filter, per_page, page_token)
    answer = asked("Error querying node pool nodes", lambda: api.get(f"{_path(pool['Name'])}/nodes", query))
    found = answer.json() or []
    if json or template:
        out(formatted(found, template, "NodeListStub"))
        return 0
    out(pool_table(found, verbose) if found else "No nodes")
    _next_page(answer, "node pool nodes", per_page)
    return 0


@command("[options] <node-pool>")
@_pages("jobs")
@switch("json", "Output the jobs in their JSON format")
@option("t", "Format and display jobs using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def jobs(
    api: ApiClient,
    filter: str,
    per_page: int | None,
    page_token: str,
    json: bool,
    template: str | None,
    arguments: tuple[str, ...],
) -> int:
    """List the jobs of a pool."""
    one_format(json, template)
    pool = _find(api, one_argument(arguments, USAGE))
    query = _query(filter, per_page, page_token)
    answer = asked("Error querying node pool jobs", lambda: api.get(f"{_path(pool['Name'])}/jobs", query))
    found = answer.json() or []
    if json or template:
        out(formatted(found, template, "JobListStub"))
        return 0
    out(job_table(found, api.settings.namespace == "*") if found else "No jobs")
    _next_page(answer, "node pool jobs", per_page)
    return 0


@command("[options] <node-pool>")
@connects
@click.argument("arguments", nargs=-1)
def delete(api: ApiClient, arguments: tuple[str, ...]) -> int:
    """Delete a node pool in which there are no nodes and no jobs."""
    name = one_argument(arguments, USAGE)
    asked("Error deleting node pool", lambda: api.delete(_path(name)))
    out(f'Successfully deleted node pool "{name}"!')
    return 0
