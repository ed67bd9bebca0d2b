"""`alloc status`, `stop`, `restart`, `signal`: one allocation and its tasks."""

from __future__ import annotations

import time
from typing import Any

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.hints import show_hint
from raftnomad.cli.lookup import asked, by_prefix, one_argument, raise_usage
from raftnomad.cli.monitor import Monitor, allocation_table
from raftnomad.cli.output import ago, columns, key_values, limit_id, local_rfc3339, local_time, out
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, UnexpectedResponse

QUERY_FAILED = "Error querying allocation"
STATUS_USAGE = (
    "This command takes one of the following argument conditions:\n"
    " * A single <allocation>\n * No arguments, with output format specified"
)


def find_allocation(api: ApiClient, prefix: str) -> dict[str, Any]:
    """The whole allocation whose id is, or starts with, `prefix`."""
    stub = by_prefix(
        api,
        prefix,
        path="/v1/allocations",
        noun="allocation",
        failing=QUERY_FAILED,
        table=lambda stubs: allocation_table(stubs, verbose=False, now_ns=_now_ns()),
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
    allocation = find_allocation(api, one_argument(arguments, STATUS_USAGE))
    if json or template:
        out(formatted(allocation, template, "Allocation"))
        return 0
    usage = _usage(api, allocation)
    out(_basic(allocation, short=short, verbose=verbose))
    if short:
        out("\nTasks\n" + _short_tasks(allocation))
    else:
        if addresses := _addresses(allocation):
            out("\n" + addresses)
        for name in _task_names(allocation):
            out("\n" + _task(allocation, name, usage))
        if verbose:
            out("\n" + _placement_metrics(allocation))
    show_hint(api, "View allocation details", f"allocations/{allocation['ID']}")
    return 0


def _usage(api: ApiClient, allocation: dict[str, Any]) -> dict[str, Any]:
    """What its tasks use at the moment; empty when the client does not say."""
    if allocation.get("ClientStatus") != "running":
        return {}
    try:
        answer = api.get(f"/v1/client/allocation/{allocation['ID']}/stats").json() or {}
    except UnexpectedResponse:
        return {}
    return answer.get("Tasks") or {}


def _basic(allocation: dict[str, Any], *, short: bool, verbose: bool) -> str:
    job_version = (allocation.get("Job") or {}).get("Version", 0)
    if verbose:
        created, modified = local_time(allocation["CreateTime"]), local_time(allocation["ModifyTime"])
    else:
        created, modified = ago(allocation["CreateTime"], _now_ns()), ago(allocation["ModifyTime"], _now_ns())
    if short:
        pairs = [("ID", allocation["ID"]), ("Name", allocation["Name"]), ("Created", created), ("Modified", modified)]
        return key_values(pairs)
    pairs = [
        ("ID", allocation["ID"]),
        ("Eval ID", limit_id(allocation.get("EvalID", ""), verbose)),
        ("Name", allocation["Name"]),
        ("Node ID", limit_id(allocation["NodeID"], verbose)),
        ("Node Name", allocation.get("NodeName", "")),
        ("Job ID", allocation["JobID"]),
        ("Job Version", str(job_version)),
        ("Client Status", allocation.get("ClientStatus", "")),
        ("Client Description", allocation.get("ClientDescription", "")),
        ("Desired Status", allocation.get("DesiredStatus", "")),
        ("Desired Description", allocation.get("DesiredDescription", "")),
        ("Created", created),
        ("Modified", modified),
    ]
    pairs += _deployment_pairs(allocation, verbose)
    if replacement := allocation.get("NextAllocation"):
        pairs.append(("Replacement Alloc ID", limit_id(replacement, verbose)))
    if verbose:
        metrics = allocation.get("Metrics") or {}
        pairs += [
            ("Evaluated Nodes", str(metrics.get("NodesEvaluated", 0))),
            ("Filtered Nodes", str(metrics.get("NodesFiltered", 0))),
            ("Exhausted Nodes", str(metrics.get("NodesExhausted", 0))),
            ("Allocation Time", _duration(metrics.get("AllocationTime", 0))),
            ("Failures", str(metrics.get("CoalescedFailures", 0))),
        ]
    return key_values(pairs)


def _duration(nanoseconds: int) -> str:
    from raftnomad.durations import format_duration

    return format_duration(nanoseconds)


def _deployment_pairs(allocation: dict[str, Any], verbose: bool) -> list[tuple[str, str]]:
    if not allocation.get("DeploymentID"):
        return []
    state = allocation.get("DeploymentStatus") or {}
    health = {None: "unset", True: "healthy", False: "unhealthy"}[state.get("Healthy")]
    pairs = [("Deployment ID", limit_id(allocation["DeploymentID"], verbose)), ("Deployment Health", health)]
    if state.get("Canary"):
        pairs.append(("Canary", "true"))
    return pairs


def _group(allocation: dict[str, Any]) -> dict[str, Any]:
    groups = (allocation.get("Job") or {}).get("TaskGroups") or []
    found: dict[str, Any] = next((group for group in groups if group["Name"] == allocation["TaskGroup"]), {})
    return found


def _task_names(allocation: dict[str, Any]) -> list[str]:
    """Prestart tasks, main ones, poststart, poststop; by name among equals."""
    order = {"prestart": 0, "": 1, "poststart": 2, "poststop": 3}
    tasks = {
        task["Name"]: (task.get("Lifecycle") or {}).get("Hook", "") for task in _group(allocation).get("Tasks", ())
    }
    names = set(tasks) | set(allocation.get("TaskStates") or {})
    return sorted(names, key=lambda name: (order.get(tasks.get(name, ""), 1), name))


def _lifecycle(allocation: dict[str, Any], name: str) -> str:
    for task in _group(allocation).get("Tasks", ()):
        if task["Name"] == name and task.get("Lifecycle"):
            sidecar = " sidecar" if task["Lifecycle"].get("Sidecar") else ""
            return f"{task['Lifecycle']['Hook']}{sidecar}"
    return "main"


def _short_tasks(allocation: dict[str, Any]) -> str:
    rows = [["Name", "State", "Last Event", "Time", "Lifecycle"]]
    for name in _task_names(allocation):
        state = (allocation.get("TaskStates") or {}).get(name) or {}
        events = state.get("Events") or []
        last = events[-1] if events else None
        rows.append(
            [
                name,
                state.get("State", "pending"),
                last["Type"] if last else "",
                local_time(last["Time"]) if last else "",
                _lifecycle(allocation, name),
            ]
        )
    return columns(rows)


def _addresses(allocation: dict[str, Any]) -> str:
    shared = (allocation.get("AllocatedResources") or {}).get("Shared") or {}
    ports = shared.get("Ports") or []
    if not ports:
        return ""
    networks = shared.get("Networks") or [{}]
    mode = networks[0].get("Mode", "")
    rows = [["Label", "Dynamic", "Address"]]
    for port in ports:
        target = f" -> {port['To']}" if port.get("To", 0) > 0 else ""
        rows.append([f"*{port['Label']}", "yes", f"{port.get('HostIP', '')}:{port['Value']}{target}"])
    title = f'Allocation Addresses (mode = "{mode}"):' if mode and mode != "host" else "Allocation Addresses:"
    return f"{title}\n{columns(rows)}"


def _task(allocation: dict[str, Any], name: str, usage: dict[str, Any]) -> str:
    state = (allocation.get("TaskStates") or {}).get(name) or {}
    lifecycle = _lifecycle(allocation, name)
    suffix = "" if lifecycle == "main" else f" ({lifecycle})"
    lines = [f'Task "{name}"{suffix} is "{state.get("State", "pending")}"', "Task Resources:"]
    lines.append(_task_resources(allocation, name, usage.get(name)))
    times = [
        ("Started At", local_rfc3339(state.get("StartedAt") or "")),
        ("Finished At", local_rfc3339(state.get("FinishedAt") or "")),
        ("Total Restarts", str(state.get("Restarts", 0))),
        ("Last Restart", local_rfc3339(state.get("LastRestart") or "")),
    ]
    lines += ["", "Task Events:", key_values(times), "", "Recent Events:"]
    rows = [["Time", "Type", "Description"]]
    rows += [
        [local_time(event["Time"]), event["Type"], event.get("DisplayMessage", "")]
        for event in reversed(state.get("Events") or [])
    ]
    lines.append(columns(rows, empty="<none>"))
    return "\n".join(lines)


def _task_resources(allocation: dict[str, Any], name: str, usage: dict[str, Any] | None) -> str:
    resources = allocation.get("AllocatedResources") or {}
    task = (resources.get("Tasks") or {}).get(name) or {}
    cpu_mhz = (task.get("Cpu") or {}).get("CpuShares", 0)
    memory_mb = (task.get("Memory") or {}).get("MemoryMB", 0)
    cpu, memory = f"{cpu_mhz} MHz", f"{memory_mb} MiB"
    if usage is not None:
        measured = usage.get("ResourceUsage") or {}
        ticks = (measured.get("CpuStats") or {}).get("TotalTicks", 0)
        rss = (measured.get("MemoryStats") or {}).get("RSS", 0)
        cpu, memory = f"{ticks:.0f}/{cpu}", f"{byte_text(rss)}/{memory}"
    disk = f"{(resources.get('Shared') or {}).get('DiskMB', 0)} MiB"
    addresses = [
        f"{port['Label']}: {network.get('IP', '')}:{port['Value']}"
        for network in task.get("Networks") or ()
        for port in [*(network.get("ReservedPorts") or ()), *(network.get("DynamicPorts") or ())]
    ]
    rows = [["CPU", "Memory", "Disk", "Addresses"], [cpu, memory, disk, addresses[0] if addresses else ""]]
    rows += [["", "", "", address] for address in addresses[1:]]
    return columns(rows)


def byte_text(count: int) -> str:
    """Bytes as people read them: `1.7 MiB`, `32 MiB`."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    text = f"{value:.1f}" if value < 10 and units[0] != "B" else f"{value:.0f}"
    return f"{text} {units[0]}"


def _placement_metrics(allocation: dict[str, Any]) -> str:
    scores = (allocation.get("Metrics") or {}).get("ScoreMetaData") or []
    if not scores:
        return "Placement Metrics"
    names = sorted({name for node in scores for name in node.get("Scores") or {}})
    rows = [["Node", *names, "final score"]]
    for node in scores:
        values = [f"{(node.get('Scores') or {}).get(name, 0):.3g}" for name in names]
        rows.append([node["NodeID"], *values, f"{node['NormScore']:.3g}"])
    return "Placement Metrics\n" + columns(rows)


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
    if task and task not in {known["Name"] for known in _group(allocation).get("Tasks", ())}:
        raise RaftnomadError(f'Could not find task named "{task}" in allocation')


def only_task(allocation: dict[str, Any]) -> str:
    """The task that is meant when none is named: the only one, or an error that lists them."""
    names = _task_names(allocation)
    if len(names) == 1:
        return names[0]
    listed = "\n".join(f"  * {name}" for name in names)
    raise RaftnomadError(
        f'Allocation "{limit_id(allocation["ID"], False)}" is running the following tasks:\n{listed}\n\n'
        "Please specify the task."
    )
