"""`deployment list` and `deployment status`, and the answers that a deployment waits for."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from typing import Any

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.hints import show_hint
from raftnomad.cli.lookup import UUID_LENGTH, asked, by_prefix, job_by_prefix, one_argument, raise_usage
from raftnomad.cli.monitor import Monitor, deployment_text, follow_deployment
from raftnomad.cli.output import columns, limit_id, out
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient

LIST_FAILED = "Error retrieving deployments"
FIND_FAILED = "Error retrieving deployment"
JOB_FAILED = "Error retrieving job"
USAGE = "This command takes one argument: <deployment id>"


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
    query = {"filter": filter_text} if filter_text else {}
    deployments = asked(LIST_FAILED, lambda: api.get("/v1/deployments", query).json()) or []
    deployments.sort(key=lambda deployment: deployment["CreateIndex"], reverse=True)
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
    if len(prefix) == UUID_LENGTH:
        found: dict[str, Any] = asked(FIND_FAILED, lambda: api.get(f"/v1/deployment/{prefix}").json())
        return found
    return by_prefix(
        api,
        prefix,
        path="/v1/deployments",
        noun="deployment",
        failing=FIND_FAILED,
        table=lambda stubs: deployment_table(stubs, False),
        missing=f'{FIND_FAILED}: Deployment ID "{{prefix}}" matched no deployments',
        too_short=f"{FIND_FAILED}: Identifier must contain at least two characters.",
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
    if monitor and (json or template):
        raise RaftnomadError("The monitor flag cannot be used with the '-json' or '-t' flags")
    if not arguments:
        return _list(api, verbose, "", json, template)
    deployment = find_deployment(api, arguments[0])
    if json or template:
        out(formatted(deployment, template, "Deployment"))
        return 0
    code = 0
    if monitor:
        code = follow_deployment(api, deployment["ID"], verbose, mark="")
    else:
        out(deployment_text(deployment, verbose))
    show_hint(api, "View all deployments for this job", f"jobs/{deployment['JobID']}/deployments")
    return code


def _answer(api: ApiClient, deployment: dict[str, Any], verb: str, gerund: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask for one of the things that can be done with a deployment."""
    path, body = f"/v1/deployment/{verb}/{deployment['ID']}", {"DeploymentID": deployment["ID"], **body}
    query = {"namespace": deployment["Namespace"]}
    answer: dict[str, Any] = asked(f"Error {gerund} deployment", lambda: api.put(path, body, query).json()) or {}
    return answer


def _follow(api: ApiClient, answer: dict[str, Any], detach: bool, verbose: bool) -> int:
    """What comes of an answer: told by the monitor, or by the evaluation's id alone."""
    eval_id = answer.get("EvalID", "")
    if not eval_id:
        return 0
    if detach:
        out(f"Evaluation ID: {eval_id}")
        return 0
    out("")
    return Monitor(api, verbose).follow(eval_id)


def _changes(function: Callable[..., int]) -> click.Command:
    """A command that is given one deployment and may be followed."""
    function = click.argument("arguments", nargs=-1)(function)
    function = connects(function)
    function = switch("verbose", "Display full information")(function)
    function = switch("detach", "Return immediately instead of monitoring the evaluation")(function)
    return command("[options] <deployment>")(function)


@_changes
def fail(api: ApiClient, detach: bool, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Mark a deployment as failed, and roll back if its groups say so."""
    deployment = find_deployment(api, one_argument(arguments, USAGE))
    answer = _answer(api, deployment, "fail", "failing", {})
    out(f'Deployment "{deployment["ID"]}" failed')
    if answer.get("RevertedJobVersion") is not None:
        out(f"\nRolling back to version {answer['RevertedJobVersion']}")
    return _follow(api, answer, detach, verbose)


@command("[options] <deployment>")
@switch("verbose", "Display full information")
@connects
@click.argument("arguments", nargs=-1)
def pause(api: ApiClient, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Pause a deployment: nothing more of it is placed until it is resumed."""
    deployment = find_deployment(api, one_argument(arguments, USAGE))
    _answer(api, deployment, "pause", "pausing", {"Pause": True})
    out(f'Deployment "{deployment["ID"]}" paused')
    return 0


@_changes
def resume(api: ApiClient, detach: bool, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Let a paused deployment go on."""
    deployment = find_deployment(api, one_argument(arguments, USAGE))
    answer = _answer(api, deployment, "pause", "resuming", {"Pause": False})
    out(f'Deployment "{deployment["ID"]}" resumed')
    return _follow(api, answer, detach, verbose)


@_changes
def unblock(api: ApiClient, detach: bool, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Unblock a deployment that waits for those of other regions."""
    deployment = find_deployment(api, one_argument(arguments, USAGE))
    answer = _answer(api, deployment, "unblock", "unblocking", {})
    out(f'Deployment "{deployment["ID"]}" unblocked')
    return _follow(api, answer, detach, verbose)


def _promote(api: ApiClient, deployment: dict[str, Any], groups: tuple[str, ...], detach: bool, verbose: bool) -> int:
    body = {"Groups": groups} if groups else {"All": True}
    answer = _answer(api, deployment, "promote", "promoting", body)
    return _follow(api, answer, detach, verbose)


@command("[options] <deployment>")
@option("group", "Promote only this group; may be repeated", multiple=True)
@switch("detach", "Return immediately instead of monitoring the evaluation")
@switch("verbose", "Display full information")
@connects
@click.argument("arguments", nargs=-1)
def promote(api: ApiClient, group: tuple[str, ...], detach: bool, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Let the canaries of a deployment replace what they are for."""
    return _promote(api, find_deployment(api, one_argument(arguments, USAGE)), group, detach, verbose)


@command("[options] <job>")
@option("group", "Promote only this group; may be repeated", multiple=True)
@switch("detach", "Return immediately instead of monitoring the evaluation")
@switch("verbose", "Display full information")
@connects
@click.argument("arguments", nargs=-1)
def promote_job(api: ApiClient, group: tuple[str, ...], detach: bool, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Let the canaries of a job's latest deployment replace what they are for."""
    namespace, job_id = job_by_prefix(
        api, one_argument(arguments, "This command takes one argument: <job>"), JOB_FAILED
    )
    path = f"/v1/job/{urllib.parse.quote(job_id, safe='')}/deployment"
    deployment = asked(JOB_FAILED, lambda: api.get(path, {"namespace": namespace}).json())
    if deployment is None:
        raise RaftnomadError(f'Job "{job_id}" has no deployment to promote')
    return _promote(api, deployment, group, detach, verbose)
