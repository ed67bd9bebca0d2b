"""The sections of `alloc status`, each from what the API answered to its text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raftnomad.cli.output import ago, columns, key_values, limit_id, local_rfc3339, local_time, section


def basic(allocation: dict[str, Any], *, short: bool, verbose: bool, now_ns: int) -> str:
    job_version = (allocation.get("Job") or {}).get("Version", 0)
    if verbose:
        created, modified = local_time(allocation["CreateTime"]), local_time(allocation["ModifyTime"])
    else:
        created, modified = ago(allocation["CreateTime"], now_ns), ago(allocation["ModifyTime"], now_ns)
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


def group_of(allocation: dict[str, Any]) -> dict[str, Any]:
    groups = (allocation.get("Job") or {}).get("TaskGroups") or []
    found: dict[str, Any] = next((group for group in groups if group["Name"] == allocation["TaskGroup"]), {})
    return found


def task_names(allocation: dict[str, Any]) -> list[str]:
    """Prestart tasks, main ones, poststart, poststop; by name among equals."""
    order = {"prestart": 0, "": 1, "poststart": 2, "poststop": 3}
    tasks = {
        task["Name"]: (task.get("Lifecycle") or {}).get("Hook", "") for task in group_of(allocation).get("Tasks", ())
    }
    names = set(tasks) | set(allocation.get("TaskStates") or {})
    return sorted(names, key=lambda name: (order.get(tasks.get(name, ""), 1), name))


def _lifecycle(allocation: dict[str, Any], name: str) -> str:
    for task in group_of(allocation).get("Tasks", ()):
        if task["Name"] == name and task.get("Lifecycle"):
            sidecar = " sidecar" if task["Lifecycle"].get("Sidecar") else ""
            return f"{task['Lifecycle']['Hook']}{sidecar}"
    return "main"


def short_tasks(allocation: dict[str, Any]) -> str:
    rows = [["Name", "State", "Last Event", "Time", "Lifecycle"]]
    for name in task_names(allocation):
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


def addresses(allocation: dict[str, Any]) -> str:
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


def task(allocation: dict[str, Any], name: str, usage: dict[str, Any], stats: bool) -> str:
    state = (allocation.get("TaskStates") or {}).get(name) or {}
    lifecycle = _lifecycle(allocation, name)
    suffix = "" if lifecycle == "main" else f" ({lifecycle})"
    lines = [f'Task "{name}"{suffix} is "{state.get("State", "pending")}"', "Task Resources:"]
    lines.append(_task_resources(allocation, name, usage.get(name)))
    if stats and name in usage:
        lines += ["", *_statistics(usage[name].get("ResourceUsage") or {})]
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


def _statistics(usage: dict[str, Any]) -> list[str]:
    """`-stats`: what the driver measures of a task, and only that."""
    tables = []
    memory, cpu = usage.get("MemoryStats") or {}, usage.get("CpuStats") or {}
    for title, values, kinds in (("Memory Stats", memory, _MEMORY), ("CPU Stats", cpu, _CPU)):
        names = [name for name in kinds if name in (values.get("Measured") or ())]
        shown = [kinds[name](values.get(name.replace(" ", ""), 0)) for name in names]
        tables += [title + "\n" + columns([names, shown]), ""] if names else []
    return tables[:-1]


def _percent(value: float) -> str:
    return f"{value:.2f}%"


def byte_text(count: int) -> str:
    """Bytes as people read them: `1.7 MiB`, `32 MiB`."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    text = f"{value:.1f}" if value < 10 and units[0] != "B" else f"{value:.0f}"
    return f"{text} {units[0]}"


def placement_metrics(allocation: dict[str, Any]) -> str:
    scores = (allocation.get("Metrics") or {}).get("ScoreMetaData") or []
    if not scores:
        return "Placement Metrics"
    names = sorted({name for node in scores for name in node.get("Scores") or {}})
    rows = [["Node", *names, "final score"]]
    for node in scores:
        values = [f"{(node.get('Scores') or {}).get(name, 0):.3g}" for name in names]
        rows.append([node["NodeID"], *values, f"{node['NormScore']:.3g}"])
    return section("Placement Metrics", columns(rows))


_MEMORY: dict[str, Callable[[Any], str]] = dict.fromkeys(
    ("Cache", "Kernel Max Usage", "Kernel Usage", "Max Usage", "RSS", "Swap", "Usage"), byte_text
)
_CPU: dict[str, Callable[[Any], str]] = {
    "Percent": _percent,
    "System Mode": _percent,
    "Throttled Periods": str,
    "Throttled Time": str,
    "User Mode": _percent,
}
