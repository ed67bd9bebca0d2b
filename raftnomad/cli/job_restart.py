"""`job restart`: the running allocations of a job, a batch after the other, each in its place or replaced."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.lookup import Answer, ask, asked, job_by_prefix, one_argument, raise_usage
from raftnomad.cli.output import error, limit_id, local_time, out
from raftnomad.durations import parse_duration
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient

POLL_S = 0.5
REPLACEMENT_WAIT_S = 300.0
ASK = "ask"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to restart. batch: a number, or a share such as `50%`. tasks: empty for all that run."""

    batch: str
    wait_s: float | None
    """None is to ask before each batch but the first."""
    tasks: tuple[str, ...]
    all_tasks: bool
    reschedule: bool
    no_shutdown_delay: bool
    stop_at_errors: bool
    yes: bool
    verbose: bool


@command("[options] <job>")
@switch("all-tasks", "Also restart tasks that have ended, from their beginning")
@option("batch-size", "How many allocations at a time: a number, or a percentage of all", default="1")
@option("batch-wait", "How long to wait between batches, or `ask`", default="0s")
@option("group", "Only allocations of this group; may be repeated", multiple=True)
@switch("no-shutdown-delay", "With -reschedule: ignore shutdown_delay")
@option("on-error", "What to do when a batch fails: `ask` or `fail`", default=ASK)
@switch("reschedule", "Stop allocations and let others take their place")
@option("task", "Only this task; may be repeated", multiple=True)
@switch("yes", "Answer yes to every question")
@switch("verbose", "Display full information")
@connects
@click.argument("arguments", nargs=-1)
def restart(
    api: ApiClient,
    all_tasks: bool,
    batch_size: str,
    batch_wait: str,
    group: tuple[str, ...],
    no_shutdown_delay: bool,
    on_error: str,
    reschedule: bool,
    task: tuple[str, ...],
    yes: bool,
    verbose: bool,
    arguments: tuple[str, ...],
) -> int:
    """Restart or replace the running allocations of a job, in batches."""
    argument = one_argument(arguments, "This command takes one argument: <job>")
    if all_tasks and task:
        raise_usage("The -all-tasks option cannot be used with -task")
    if reschedule and (task or all_tasks):
        raise_usage("The -reschedule option cannot be used with -task or -all-tasks")
    if on_error not in (ASK, "fail"):
        raise_usage(f'Invalid -on-error value "{on_error}": valid options are "ask" and "fail"')
    options = Options(
        batch=_checked_batch(batch_size),
        wait_s=_wait_s(batch_wait),
        tasks=task,
        all_tasks=all_tasks,
        reschedule=reschedule,
        no_shutdown_delay=no_shutdown_delay,
        stop_at_errors=on_error == "fail",
        yes=yes,
        verbose=verbose,
    )
    namespace, job_id = job_by_prefix(api, argument, "Error querying job")
    query = {"namespace": namespace}
    failing = f'Error retrieving allocations for job "{job_id}"'
    stubs = asked(failing, lambda: api.get(f"/v1/job/{job_id}/allocations", query).json()) or []
    chosen, skipped = choose(stubs, group, task)
    if verbose:
        for stub in skipped:
            _say(
                f'Skipping allocation "{stub["ID"]}" because desired status is "{stub["DesiredStatus"]}" '
                f'and client status is "{stub["ClientStatus"]}"'
            )
    if not chosen:
        out("No allocations to restart")
        return 0
    return _restart_all(api, chosen, options)


def _checked_batch(text: str) -> str:
    if not text.removesuffix("%").isdigit():
        raise_usage(f'Invalid -batch-size value "{text}": batch size must be an integer or a percentage')
    if int(text.removesuffix("%")) == 0 or (text.endswith("%") and int(text[:-1]) > 100):
        raise_usage(f'Invalid -batch-size value "{text}": batch size must be at least 1, and at most 100%')
    return text


def _wait_s(text: str) -> float | None:
    if text == ASK:
        return None
    try:
        return parse_duration(text) / 1_000_000_000
    except ValueError as wrong:
        raise_usage(f'Invalid -batch-wait value "{text}": {wrong}')


def choose(
    stubs: list[dict[str, Any]], groups: tuple[str, ...], tasks: tuple[str, ...]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The running allocations that are meant, and those that are meant but do not run."""
    meant = [
        stub
        for stub in stubs
        if (not groups or stub["TaskGroup"] in groups) and (not tasks or set(tasks) & set(stub.get("TaskStates") or ()))
    ]
    runs = [stub["DesiredStatus"] == "run" and stub["ClientStatus"] == "running" for stub in meant]
    chosen = [stub for stub, running in zip(meant, runs, strict=True) if running]
    return chosen, [stub for stub, running in zip(meant, runs, strict=True) if not running]


def batches(stubs: list[dict[str, Any]], size: str) -> list[list[dict[str, Any]]]:
    """Parts of at most `size` allocations: a number, or a percentage of all, rounded up."""
    count = math.ceil(len(stubs) * int(size[:-1]) / 100) if size.endswith("%") else int(size)
    return [stubs[start : start + count] for start in range(0, len(stubs), count)]


def _restart_all(api: ApiClient, chosen: list[dict[str, Any]], options: Options) -> int:
    plural = "s" if len(chosen) > 1 else ""
    _headline(f"{'Rescheduling' if options.reschedule else 'Restarting'} {len(chosen)} allocation{plural}")
    parts = batches(chosen, options.batch)
    failed = False
    for number, part in enumerate(parts):
        if number:
            _pause(options, number, len(parts))
        problems = [problem for stub in part if (problem := _restart_one(api, stub, options))]
        for problem in problems:
            error(problem)
        failed = failed or bool(problems)
        if problems and number + 1 < len(parts) and not _goes_on(options):
            error("\nJob restart was cancelled")
            return 1
    _headline("Job restart finished")
    if failed:
        error("\nJob restarted with errors")
        return 1
    out("\nJob restarted successfully!")
    return 0


def _pause(options: Options, number: int, of: int) -> None:
    if options.wait_s is not None:
        time.sleep(options.wait_s)
    elif not options.yes and ask(f"Batch {number} of {of} is done. Proceed with the next?") is not Answer.YES:
        raise RaftnomadError("Job restart was cancelled")


def _goes_on(options: Options) -> bool:
    if options.stop_at_errors:
        return False
    return options.yes or ask("Ignore the error and proceed with the next batch?") is Answer.YES


def _restart_one(api: ApiClient, stub: dict[str, Any], options: Options) -> str:
    """What went wrong; empty if nothing did."""
    shown, group = limit_id(stub["ID"], options.verbose), stub["TaskGroup"]
    try:
        if options.reschedule:
            _say(f'Rescheduling allocation "{shown}" for group "{group}"')
            _replace(api, stub, options)
            return ""
        running = [name for name, state in (stub.get("TaskStates") or {}).items() if state["State"] == "running"]
        tasks = [name for name in options.tasks if name in running] or [""]
        what = ", ".join(f'task "{name}"' for name in tasks if name) or ("all" if options.all_tasks else "running")
        _say(f'Restarting {what}{"" if tasks[0] else " tasks"} in allocation "{shown}" for group "{group}"')
        for name in tasks:
            _restart_tasks(api, stub, name, options)
    except RaftnomadError as failed:
        return str(failed)
    return ""


def _restart_tasks(api: ApiClient, stub: dict[str, Any], task: str, options: Options) -> None:
    failing = f'Error restarting allocation "{limit_id(stub["ID"], options.verbose)}"'
    path, body = f"/v1/client/allocation/{stub['ID']}/restart", {"TaskName": task, "AllTasks": options.all_tasks}
    asked(failing, lambda: api.put(path, body, {"namespace": stub["Namespace"]}))


def _replace(api: ApiClient, stub: dict[str, Any], options: Options) -> None:
    """Stop an allocation, and wait until the one in its place runs."""
    query = {"namespace": stub["Namespace"]}
    stop_query = query | ({"no_shutdown_delay": "true"} if options.no_shutdown_delay else {})
    failing = f'Error rescheduling allocation "{limit_id(stub["ID"], options.verbose)}"'
    asked(failing, lambda: api.put(f"/v1/allocation/{stub['ID']}/stop", {}, stop_query))
    deadline = time.monotonic() + REPLACEMENT_WAIT_S
    following = stub["ID"]
    while time.monotonic() < deadline:
        time.sleep(POLL_S)
        allocation = asked(failing, partial(_read, api, following, query))
        if following != stub["ID"] and allocation["ClientStatus"] == "running":
            old, new = limit_id(stub["ID"], options.verbose), limit_id(following, options.verbose)
            _say(f'Allocation "{old}" replaced by "{new}"')
            return
        following = allocation.get("NextAllocation") or following
    raise RaftnomadError(f"{failing}: nothing runs in its place after {REPLACEMENT_WAIT_S:.0f} s")


def _read(api: ApiClient, alloc_id: str, query: dict[str, str]) -> Any:
    return api.get(f"/v1/allocation/{alloc_id}", query).json()


def _stamp() -> str:
    return local_time(time.time_ns())  # noqa: TID251 - what the user's own clock says


def _say(text: str) -> None:
    out(f"    {_stamp()}: {text}")


def _headline(text: str) -> None:
    out(f"==> {_stamp()}: {text}")
