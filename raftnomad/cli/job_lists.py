"""`job allocs` and `job deployments`."""

from __future__ import annotations

import time

import click

from raftnomad.cli.deployment import deployment_table
from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.job import job_path
from raftnomad.cli.lookup import asked, job_by_prefix, one_argument
from raftnomad.cli.monitor import allocation_table
from raftnomad.cli.output import out
from raftnomad.sdk.http import ApiClient


@command("[options] <job>")
@switch("verbose", "Display full information")
@switch("all", "Also allocations of an older job of this name", variable="everything")
@switch("json", "Output the allocations in their JSON format")
@option("t", "Format and display allocations using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def allocs(
    api: ApiClient, verbose: bool, everything: bool, json: bool, template: str | None, arguments: tuple[str, ...]
) -> int:
    """List the allocations of a job."""
    one_format(json, template)
    argument = one_argument(arguments, "This command takes one argument: <job>")
    namespace, job_id = job_by_prefix(api, argument, "Error listing jobs")
    query = {"namespace": namespace} | ({"all": "true"} if everything else {})
    failing = "Error retrieving allocations"
    rows = asked(failing, lambda: api.get(f"{job_path(job_id)}/allocations", query).json()) or []
    if json or template:
        out(formatted(rows, template, "AllocationListStub"))
        return 0
    rows.sort(key=lambda row: row["CreateTime"], reverse=True)
    now_ns = time.time_ns()  # noqa: TID251 - for ages, as the user's clock sees them
    out(allocation_table(rows, verbose=verbose, now_ns=now_ns))
    return 0


@command("[options] <job>")
@switch("latest", "Only the newest deployment")
@switch("all", "Also deployments of an older job of this name", variable="everything")
@switch("verbose", "Display full information")
@switch("json", "Output the deployments in their JSON format")
@option("t", "Format and display deployments using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def deployments(
    api: ApiClient,
    latest: bool,
    everything: bool,
    verbose: bool,
    json: bool,
    template: str | None,
    arguments: tuple[str, ...],
) -> int:
    """List the deployments of a job, newest first."""
    one_format(json, template)
    argument = one_argument(arguments, "This command takes one argument: <job>")
    namespace, job_id = job_by_prefix(api, argument, "Error listing jobs")
    query = {"namespace": namespace} | ({"all": "true"} if everything else {})
    failing = "Error retrieving deployments"
    rows = asked(failing, lambda: api.get(f"{job_path(job_id)}/deployments", query).json()) or []
    rows.sort(key=lambda row: row["CreateIndex"], reverse=True)
    rows = rows[:1] if latest else rows
    if json or template:
        out(formatted(rows, template, "Deployment"))
        return 0
    out(deployment_table(rows, verbose) if rows else "No deployments found")
    return 0
