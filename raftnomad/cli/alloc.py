"""`alloc status`, `stop`, `restart`, `signal`: one allocation and its tasks."""

from __future__ import annotations

import time
from typing import Any

import click

from raftnomad.cli import alloc_sections as sections
from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.hints import show_hint
from raftnomad.cli.lookup import asked, by_prefix, one_argument, raise_usage
from raftnomad.cli.monitor import Monitor, allocation_table
from raftnomad.cli.output import limit_id, out
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, UnexpectedResponse

QUERY_FAILED = "Error querying allocation"
STATUS_USAGE = (
    "This command takes one of the following argument conditions:\n"
    " * A single <allocation>\n * No arguments, with output format specified"
)


def find_allocation(api: ApiClient, prefix: str, noun: str = "Alloc ID") -> dict[str, Any]:
    """The whole allocation whose id is, or starts with, `prefix`. `noun` is what a short one is called."""
    stub = by_prefix(
        api,
        prefix,
        path="/v1/allocations",
        noun="allocation",
        failing=QUERY_FAILED,
        table=lambda stubs: allocation_table(stubs, verbose=False, now_ns=_now_ns()),
        too_short=f"{noun} must contain at least two characters.",
    )
    query = {"namespace": stub["Namespace"]}
    found: dict[str, Any] = asked(QUERY_FAILED, lambda: api.get(f"/v1/allocation/{stub['ID']}", query).json())
    return found


def _now_ns() -> int:
    return time.time_ns()  # noqa: TID251 - for ages, as the user's clock sees them


@command("[options] <allocation>")
@switch("short", "Display short output: only the tasks and their last events")
@switch("stats", "Display detailed resource usage statistics")
@switch("verbose", "Show full information")
@switch("json", "Output the allocation in its JSON format")
@option("t", "Format and display the allocation using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def status(
    api: ApiClient,
    short: bool,
    stats: bool,
    verbose: bool,
    json: bool,
    template: str | None,
    arguments: tuple[str, ...],
) -> int:
    """Display the status of an allocation: where it is, and what its tasks do and did."""
    one_format(json, template)
    if not arguments and (json or template):
        stubs = asked("Error querying allocations", lambda: api.get("/v1/allocations").json()) or []
        out(formatted(stubs, template, "AllocationListStub"))
        return 0
    allocation = find_allocation(api, one_argument(arguments, STATUS_USAGE), "Identifier")
    if json or template:
        out(formatted(allocation, template, "Allocation"))
        return 0
    usage = _usage(api, allocation)
    out(sections.basic(allocation, short=short, verbose=verbose, now_ns=_now_ns()))
    if short:
        out("\nTasks\n" + sections.short_tasks(allocation))
    else:
        if addresses := sections.addresses(allocation):
            out("\n" + addresses)
        for name in sections.task_names(allocation):
            out("\n" + sections.task(allocation, name, usage, stats))
        if verbose:
            out("\n" + sections.placement_metrics(allocation))
    show_hint(api, "View allocation details", f"allocations/{allocation['ID']}")
    return 0


def _usage(api: ApiClient, allocation: dict[str, Any]) -> dict[str, Any]:
    """What its tasks use at the moment; empty when the client does not say."""
    try:
        answer = api.get(f"/v1/client/allocation/{allocation['ID']}/stats").json() or {}
    except UnexpectedResponse:
        return {}
    return answer.get("Tasks") or {}


@command("[options] <allocation>")
@switch("detach", "Return immediately instead of monitoring the evaluation")
@switch("no-shutdown-delay", "Ignore the group's and tasks' shutdown_delay")
@switch("verbose", "Display full information")
@connects
@click.argument("arguments", nargs=-1)
def stop(api: ApiClient, detach: bool, no_shutdown_delay: bool, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Stop and reschedule an allocation: it ends, and another takes its place if the job wants one."""
    allocation = find_allocation(api, one_argument(arguments, "This command takes one argument: <alloc-id>"))
    query = {"namespace": allocation["Namespace"]}
    if no_shutdown_delay:
        query["no_shutdown_delay"] = "true"
    path = f"/v1/allocation/{allocation['ID']}/stop"
    answer = asked("Error stopping allocation", lambda: api.put(path, {}, query).json())
    if detach:
        out(answer["EvalID"])
        return 0
    return Monitor(api, verbose).follow(answer["EvalID"])


@command("[options] <allocation> <task>")
@option("task", "The task to restart", default="")
@switch("all-tasks", "Restart all tasks, also those that have ended")
@switch("verbose", "Show full information")
@connects
@click.argument("arguments", nargs=-1)
def restart(api: ApiClient, task: str, all_tasks: bool, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Restart a running allocation where it is: all its running tasks, or the one that is named."""
    if len(arguments) not in (1, 2):
        raise_usage("This command takes one or two arguments: <alloc-id> <task-name>")
    task = task or (arguments[1] if len(arguments) == 2 else "")
    if all_tasks and task:
        raise RaftnomadError("The -all-tasks option is not allowed when restarting a specific task.")
    allocation = find_allocation(api, arguments[0])
    require_task(allocation, task)
    body = {"TaskName": task, "AllTasks": all_tasks}
    path = f"/v1/client/allocation/{allocation['ID']}/restart"
    asked("Failed to restart allocation", lambda: api.put(path, body, {"namespace": allocation["Namespace"]}))
    return 0


@command("[options] <allocation> <task>")
@option("s", "The signal to send, default SIGKILL", default="SIGKILL", variable="signal_name")
@option("task", "The task to signal", default="")
@switch("verbose", "Show full information")
@connects
@click.argument("arguments", nargs=-1)
def signal(api: ApiClient, signal_name: str, task: str, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Send a signal to all running tasks of an allocation, or to the one that is named."""
    if len(arguments) not in (1, 2):
        raise_usage("This command takes up to two arguments: <alloc-id> <task>")
    task = task or (arguments[1] if len(arguments) == 2 else "")
    allocation = find_allocation(api, arguments[0])
    require_task(allocation, task)
    body = {"Task": task, "Signal": signal_name}
    path = f"/v1/client/allocation/{allocation['ID']}/signal"
    asked("Error signalling allocation", lambda: api.put(path, body, {"namespace": allocation["Namespace"]}))
    return 0


def require_task(allocation: dict[str, Any], task: str) -> None:
    """A task that was named must be one of the allocation's."""
    names = [known["Name"] for known in sections.group_of(allocation).get("Tasks", ())]
    if task and task not in names:
        found = "\n".join(names)
        raise RaftnomadError(f"Could not find task named: {task}, found:\n{found}")


def only_task(allocation: dict[str, Any]) -> str:
    """The task that is meant when none is named: the only one, or an error that lists them."""
    names = sections.task_names(allocation)
    if len(names) == 1:
        return names[0]
    listed = "\n".join(f"  * {name}" for name in names)
    raise RaftnomadError(
        f'Allocation "{limit_id(allocation["ID"], False)}" is running the following tasks:\n{listed}\n\n'
        "Please specify the task."
    )
