"""`alloc logs` and `alloc fs`: what an allocation's tasks wrote, read through any agent."""

from __future__ import annotations

import base64
import json as json_module
import sys
from collections.abc import Iterator
from typing import Any

import click

from raftnomad.cli.alloc import find_allocation, only_task, require_task
from raftnomad.cli.alloc_sections import byte_text
from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.lookup import asked, job_by_prefix, raise_usage
from raftnomad.cli.output import columns, local_rfc3339, out
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, ConnectionFailed, UnexpectedResponse

BYTES_PER_LINE = 120
DEFAULT_TAIL_LINES = 10


@command("[options] <allocation> <task>")
@switch("stdout", "Display stdout logs; the default")
@switch("stderr", "Display stderr logs")
@switch("verbose", "Show full information")
@switch("job", "Take the argument for a job, and use one of its running allocations")
@option("group", "With -job: only allocations of this group", default="")
@option("task", "The task whose logs to show", default="")
@switch("f", "Go on with what the task writes until it ends", variable="follow")
@switch("tail", "Show the end of the logs only")
@option("n", "With -tail: how many lines, default 10", type=int, default=-1, variable="lines")
@option("c", "With -tail: how many bytes", type=int, default=-1, variable="count_bytes")
@connects
@click.argument("arguments", nargs=-1)
def logs(
    api: ApiClient,
    stdout: bool,
    stderr: bool,
    verbose: bool,
    job: bool,
    group: str,
    task: str,
    follow: bool,
    tail: bool,
    lines: int,
    count_bytes: int,
    arguments: tuple[str, ...],
) -> int:
    """Show what an allocation's task has written to its standard output or error."""
    if not arguments:
        raise_usage("A job ID is required" if job else "An allocation ID is required")
    if len(arguments) > 2:
        raise_usage("This command takes one or two arguments")
    if stdout and stderr:
        raise RaftnomadError("Unable to support both stdout and stderr")
    kind = "stderr" if stderr else "stdout"
    allocation = _allocation(api, arguments[0], job=job, group=group, task=task)
    name = task or (arguments[1] if len(arguments) > 1 else "")
    if not name:
        name = _only_task(allocation)
    elif task:
        _check_task(allocation, task)
    query = {"task": name, "type": kind, "follow": str(follow).lower(), "plain": "false"}
    query |= _where(tail, lines, count_bytes)
    path = f"/v1/client/fs/logs/{allocation['ID']}"
    try:
        data = _frames(api.stream(path, {**query, "namespace": allocation["Namespace"]}))
        _print(data, tail=tail, lines=_lines(lines, count_bytes), follow=follow)
    except (ConnectionFailed, UnexpectedResponse) as failed:
        raise RaftnomadError(f"Failed to read {kind} file: error reading file: {failed}") from failed
    return 0


def _allocation(api: ApiClient, argument: str, *, job: bool, group: str, task: str) -> dict[str, Any]:
    if not job:
        return find_allocation(api, argument)
    namespace, job_id = job_by_prefix(api, argument, "Error querying jobs")
    query = {"namespace": namespace}
    stubs = asked("Error fetching allocations", lambda: api.get(f"/v1/job/{job_id}/allocations", query).json()) or []
    if group:
        stubs = [stub for stub in stubs if stub["TaskGroup"] == group]
        if not stubs:
            raise RaftnomadError(
                f'Error fetching allocations: task group "{group}" doesn\'t exist or it has no allocations'
            )
    if task:
        stubs = [stub for stub in stubs if task in (stub.get("TaskStates") or {})]
    if not stubs:
        raise RaftnomadError(f'Error fetching allocations: job "{job_id}" doesn\'t exist or it has no allocations')
    stubs.sort(key=lambda stub: (stub["ClientStatus"] == "running", stub["CreateTime"]), reverse=True)
    return find_allocation(api, stubs[0]["ID"])


def _only_task(allocation: dict[str, Any]) -> str:
    try:
        return only_task(allocation)
    except RaftnomadError as several:
        raise RaftnomadError(f"Failed to validate task: {several}") from several


def _check_task(allocation: dict[str, Any], task: str) -> None:
    try:
        require_task(allocation, task)
    except RaftnomadError as unknown:
        raise RaftnomadError(f"Failed to validate task: {unknown}") from unknown


def _lines(lines: int, count_bytes: int) -> int:
    if lines >= 0:
        return lines
    return DEFAULT_TAIL_LINES if count_bytes < 0 else -1


def _where(tail: bool, lines: int, count_bytes: int) -> dict[str, str]:
    """Where reading starts: enough before the end to hold the wanted lines."""
    if not tail:
        return {"origin": "start", "offset": "0"}
    wanted = count_bytes if count_bytes >= 0 else max(_lines(lines, count_bytes), 1) * BYTES_PER_LINE
    return {"origin": "end", "offset": str(wanted)}


def _frames(body: Iterator[bytes]) -> Iterator[bytes]:
    """The data of a stream of JSON frames that follow each other without separators."""
    decoder = json_module.JSONDecoder()
    text = ""
    for chunk in body:
        text += chunk.decode()
        while text := text.lstrip():
            try:
                frame, end = decoder.raw_decode(text)
            except ValueError:
                break
            text = text[end:]
            if frame.get("Data"):
                yield base64.b64decode(frame["Data"])


def _print(data: Iterator[bytes], *, tail: bool, lines: int, follow: bool) -> None:
    output = sys.stdout.buffer
    if tail and lines >= 0 and not follow:
        kept = b"".join(data).splitlines(keepends=True)
        output.write(b"".join(kept[-lines:] if lines else []))
        output.flush()
        return
    first = True
    for chunk in data:
        if first and tail and lines >= 0:
            chunk = b"".join(chunk.splitlines(keepends=True)[-lines:] if lines else [])
        first = False
        output.write(chunk)
        output.flush()


@command("[options] <allocation> <path>")
@switch("H", "Machine friendly output: sizes in bytes, exact times", variable="machine")
@switch("verbose", "Show full information")
@switch("job", "Take the argument for a job, and use one of its running allocations")
@option("group", "With -job: only allocations of this group", default="")
@option("task", "With -job: only allocations with this task", default="")
@switch("stat", "Show what a file is instead of its content")
@switch("f", "Go on with what is written to the file", variable="follow")
@switch("tail", "Show the end of the file only")
@option("n", "With -tail: how many lines, default 10", type=int, default=-1, variable="lines")
@option("c", "With -tail: how many bytes", type=int, default=-1, variable="count_bytes")
@connects
@click.argument("arguments", nargs=-1)
def fs(
    api: ApiClient,
    machine: bool,
    verbose: bool,
    job: bool,
    group: str,
    task: str,
    stat: bool,
    follow: bool,
    tail: bool,
    lines: int,
    count_bytes: int,
    arguments: tuple[str, ...],
) -> int:
    """List a directory of an allocation, or show a file of it."""
    if not arguments:
        raise_usage("A job ID is required" if job else "An allocation ID is required")
    if len(arguments) > 2:
        raise_usage("This command takes one or two arguments: <alloc-id> [<path>]")
    allocation = _allocation(api, arguments[0], job=job, group=group, task=task)
    path = arguments[1] if len(arguments) > 1 else "/"
    base, query = f"/v1/client/fs/{{}}/{allocation['ID']}", {"path": path, "namespace": allocation["Namespace"]}
    info = api.get(base.format("stat"), query).json()
    if stat:
        out(columns([["Mode", "Size", "Modified Time", "Content Type", "Name"], _row(info, machine, kind=True)]))
    elif info["IsDir"]:
        files = api.get(base.format("ls"), query).json() or []
        rows = [_row(file, machine) for file in sorted(files, key=lambda file: file["Name"])]
        out(columns([["Mode", "Size", "Modified Time", "Name"], *rows]))
    elif tail or follow:
        where = _where(tail, lines, count_bytes)
        frames = _frames(api.stream(base.format("stream"), {**query, **where, "follow": str(follow).lower()}))
        _print(frames, tail=tail, lines=_lines(lines, count_bytes), follow=follow)
    else:
        for chunk in api.stream(base.format("cat"), query):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    return 0


def _row(info: dict[str, Any], machine: bool, kind: bool = False) -> list[str]:
    size = str(info["Size"]) if machine else byte_text(info["Size"])
    name = info["Name"] + ("/" if info["IsDir"] else "")
    row = [info["FileMode"], size, local_rfc3339(info["ModTime"])]
    return [*row, info.get("ContentType", ""), name] if kind else [*row, name]
