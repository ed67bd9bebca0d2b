"""`deployment list` and `deployment status`, and the answers that a deployment waits for."""

from __future__ import annotations

from typing import Any

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.hints import show_hint
from raftnomad.cli.lookup import asked, by_prefix, one_argument, raise_usage
from raftnomad.cli.monitor import Monitor, deployment_text, follow_deployment
from raftnomad.cli.output import columns, limit_id, out
from raftnomad.sdk.http import ApiClient

LIST_FAILED = "Error retrieving deployments"


@command("[options]")
@switch("verbose", "Display full information")
@option("filter", "Filter results", default="", variable="filter_text")
@switch("json", "Output the deployments in their JSON format")
@option("t", "Format and display deployments using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def list_deployments(
    api: ApiClient, verbose: bool, filter_text: str, json: bool, template: str | None, arguments: tuple[str, ...]
) -> int:
    """List deployments, newest first."""
    if arguments:
        raise_usage("This command takes no arguments")
    one_format(json, template)
    return _list(api, verbose, filter_text, json, template)


def _list(api: ApiClient, verbose: bool, filter_text: str, json: bool, template: str | None) -> int:
    query = {"reverse": "true"} | ({"filter": filter_text} if filter_text else {})
    deployments = asked(LIST_FAILED, lambda: api.get("/v1/deployments", query).json()) or []
    if json or template:
        out(formatted(deployments, template, "Deployment"))
    elif not deployments:
        out("No deployments found")
    else:
        out(deployment_table(deployments, verbose))
    return 0


def deployment_table(deployments: list[dict[str, Any]], verbose: bool) -> str:
    """Deployments as lists of them are printed."""
    rows = [["ID", "Job ID", "Job Version", "Status", "Description"]]
    rows += [
        [
            limit_id(deployment["ID"], verbose),
            deployment["JobID"],
            str(deployment["JobVersion"]),
            deployment["Status"],
            deployment["StatusDescription"],
        ]
        for deployment in deployments
    ]
    return columns(rows, empty="<none>")


def find_deployment(api: ApiClient, prefix: str) -> dict[str, Any]:
    return by_prefix(
        api,
        prefix,
        path="/v1/deployments",
        noun="deployment",
        failing="Error retrieving deployment",
        table=lambda stubs: deployment_table(stubs, False),
    )


@command("[options] <deployment>")
@switch("monitor", "Follow the deployment until it has settled")
@switch("verbose", "Display full information")
@switch("json", "Output the deployment in its JSON format")
@option("t", "Format and display the deployment using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def status(
    api: ApiClient, monitor: bool, verbose: bool, json: bool, template: str | None, arguments: tuple[str, ...]
) -> int:
    """Display a deployment: how many of each group are placed, healthy and unhealthy."""
    if len(arguments) > 1:
        raise_usage("This command takes one argument: <deployment id>")
    one_format(json, template)
    if not arguments:
        return _list(api, verbose, "", json, template)
    deployment = find_deployment(api, arguments[0])
    if monitor:
        return follow_deployment(api, deployment["ID"], verbose)
    if json or template:
        out(formatted(deployment, template, "Deployment"))
        return 0
    out(deployment_text(deployment, verbose))
    show_hint(api, "View all deployments for this job", f"jobs/{deployment['JobID']}/deployments")
    return 0


@command("[options] <deployment>")
@switch("detach", "Return immediately instead of monitoring the deployment")
@switch("verbose", "Display full information")
@connects
@click.argument("arguments", nargs=-1)
def fail(api: ApiClient, detach: bool, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Mark a deployment as failed, and roll back if its groups say so."""
    deployment = find_deployment(api, one_argument(arguments, "This command takes one argument: <deployment id>"))
    path = f"/v1/deployment/fail/{deployment['ID']}"
    answer = asked("Error failing deployment", lambda: api.put(path, {"DeploymentID": deployment["ID"]}).json())
    out(f'Deployment "{deployment["ID"]}" failed')
    eval_id = answer.get("EvalID", "")
    if detach or not eval_id:
        if eval_id:
            out(f"Evaluation ID: {eval_id}")
        return 0
    out("")
    return Monitor(api, verbose).follow(eval_id)


def _pause(api: ApiClient, arguments: tuple[str, ...], *, pause: bool) -> int:
    deployment = find_deployment(api, one_argument(arguments, "This command takes one argument: <deployment id>"))
    verb = "pausing" if pause else "resuming"
    body = {"DeploymentID": deployment["ID"], "Pause": pause}
    asked(f"Error {verb} deployment", lambda: api.put(f"/v1/deployment/pause/{deployment['ID']}", body))
    out(f'Deployment "{deployment["ID"]}" {"paused" if pause else "resumed"}')
    return 0


@command("[options] <deployment>")
@switch("verbose", "Display full information")
@connects
@click.argument("arguments", nargs=-1)
def pause(api: ApiClient, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Pause a deployment: nothing more of it is placed until it is resumed."""
    return _pause(api, arguments, pause=True)


@command("[options] <deployment>")
@switch("verbose", "Display full information")
@connects
@click.argument("arguments", nargs=-1)
def resume(api: ApiClient, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Let a paused deployment go on."""
    return _pause(api, arguments, pause=False)
