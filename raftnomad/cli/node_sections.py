"""The sections of `node status` of one node, each from what the API answered to its text."""

from __future__ import annotations

from typing import Any

from raftnomad.cli.alloc_sections import byte_text
from raftnomad.cli.output import columns, key_values, local_rfc3339, section
from raftnomad.durations import format_duration

MIB = 1024 * 1024


def basic(node: dict[str, Any], host: dict[str, Any], *, short: bool, verbose: bool) -> str:
    """What is known of the node as a whole. host: what its agent says of the machine, if it was asked."""
    pairs = [
        ("ID", node["ID"]),
        ("Name", node["Name"]),
        ("Node Pool", node["NodePool"]),
        ("Class", node["NodeClass"]),
        ("DC", node["Datacenter"]),
        ("Drain", _drain(node)),
        ("Eligibility", node["SchedulingEligibility"]),
        ("Status", node["Status"]),
        ("CSI Controllers", ",".join(sorted(node.get("CSIControllerPlugins") or {}))),
        ("CSI Drivers", ",".join(sorted(node.get("CSINodePlugins") or {}))),
    ]
    if host:
        pairs.append(("Uptime", format_duration(int(host.get("Uptime", 0)) * 1_000_000_000)))
    if short or not verbose:
        pairs += [
            ("Host Volumes", ",".join(sorted(node.get("HostVolumes") or {}))),
            ("Host Networks", ",".join(sorted(node.get("HostNetworks") or {}))),
            ("CSI Volumes", ""),
            ("Drivers" if short else "Driver Status", _drivers(node)),
        ]
    return key_values(pairs)


def _drain(node: dict[str, Any]) -> str:
    strategy = node.get("DrainStrategy")
    if not strategy:
        return "false"
    if strategy["Deadline"] > 0:
        return f"true; deadline {local_rfc3339(strategy['ForceDeadline'])}"
    return "true; force drain" if strategy["Deadline"] < 0 else "true; no deadline"


def _drivers(node: dict[str, Any]) -> str:
    found = [(name, info["Healthy"]) for name, info in sorted((node["Drivers"] or {}).items()) if info["Detected"]]
    return ",".join(name if healthy else f"{name} (unhealthy)" for name, healthy in found)


def host_volumes(node: dict[str, Any]) -> str:
    rows = [["Name", "ReadOnly", "Source"]]
    rows += [
        [name, str(bool(volume.get("ReadOnly"))).lower(), volume.get("Path", "")]
        for name, volume in sorted((node.get("HostVolumes") or {}).items())
    ]
    return section("Host Volumes", columns(rows, empty="<none>"))


def host_networks(node: dict[str, Any]) -> str:
    rows = [["Name", "CIDR", "Interface", "ReservedPorts"]]
    rows += [
        [name, network.get("CIDR", ""), network.get("Interface", ""), network.get("ReservedPorts", "")]
        for name, network in sorted((node.get("HostNetworks") or {}).items())
    ]
    return section("Host Networks", columns(rows, empty="<none>"))


def drivers(node: dict[str, Any]) -> str:
    rows = [["Driver", "Detected", "Healthy", "Message", "Time"]]
    for name, info in sorted((node["Drivers"] or {}).items()):
        detected, healthy = str(info["Detected"]).lower(), str(info["Healthy"]).lower()
        rows.append([name, detected, healthy, info["HealthDescription"], local_rfc3339(info["UpdateTime"])])
    return section("Drivers", columns(rows, empty="<none>"))


def events(node: dict[str, Any], verbose: bool) -> str:
    """Newest first."""
    rows = [["Time", "Subsystem", "Message", *(["Details"] if verbose else [])]]
    for event in reversed(node.get("Events") or []):
        details = ",".join(f"{name}:{value}" for name, value in sorted((event.get("Details") or {}).items()))
        row = [local_rfc3339(event["Timestamp"]), event["Subsystem"], event["Message"]]
        rows.append([*row, details] if verbose else row)
    return section("Node Events", columns(rows, empty="<none>"))


def allocated(node: dict[str, Any], allocations: list[dict[str, Any]]) -> str:
    """What live allocations were promised, of what the node has."""
    live = [a for a in allocations if a.get("ClientStatus") not in ("complete", "failed", "lost")]
    cpu = memory = disk = 0
    for allocation in live:
        resources = allocation.get("AllocatedResources") or {}
        disk += (resources.get("Shared") or {}).get("DiskMB", 0)
        for task in (resources.get("Tasks") or {}).values():
            cpu += task["Cpu"]["CpuShares"]
            memory += task["Memory"]["MemoryMB"]
    cpu_total, memory_total, disk_total = _totals(node)
    rows = [
        ["CPU", "Memory", "Disk", "Alloc Count"],
        [
            f"{cpu}/{cpu_total} MHz",
            f"{byte_text(memory * MIB)}/{byte_text(memory_total * MIB)}",
            f"{byte_text(disk * MIB)}/{byte_text(disk_total * MIB)}",
            str(len(live)),
        ],
    ]
    return section("Allocated Resources", columns(rows))


def _totals(node: dict[str, Any]) -> tuple[int, int, int]:
    """MHz, MiB of memory and MiB of disk that allocations can have."""
    total, reserved = node["NodeResources"], node.get("ReservedResources") or {}

    def left(kind: str, unit: str) -> int:
        return int(total[kind][unit]) - int((reserved.get(kind) or {}).get(unit) or 0)

    return left("Cpu", "CpuShares"), left("Memory", "MemoryMB"), left("Disk", "DiskMB")


def allocation_use(node: dict[str, Any], usages: list[dict[str, Any]]) -> str:
    """What running allocations use at the moment. usages: `ResourceUsage` of each."""
    ticks = sum((usage.get("CpuStats") or {}).get("TotalTicks", 0) for usage in usages)
    resident = sum((usage.get("MemoryStats") or {}).get("RSS", 0) for usage in usages)
    cpu_total, memory_total, _ = _totals(node)
    use = [f"{ticks:.0f}/{cpu_total} MHz", f"{byte_text(resident)}/{byte_text(memory_total * MIB)}"]
    return section("Allocation Resource Utilization", columns([["CPU", "Memory"], use]))


def host_use(node: dict[str, Any], host: dict[str, Any]) -> str:
    memory = host.get("Memory") or {}
    disk = (host.get("DiskStats") or [{}])[0]
    total_mhz = node["NodeResources"]["Cpu"]["CpuShares"]
    rows = [
        ["CPU", "Memory", "Disk"],
        [
            f"{host.get('CPUTicksConsumed', 0):.0f}/{total_mhz} MHz",
            f"{byte_text(memory.get('Used', 0))}/{byte_text(memory.get('Total', 0))}",
            f"{byte_text(disk.get('Used', 0))}/{byte_text(disk.get('Size', 0))}",
        ],
    ]
    return section("Host Resource Utilization", columns(rows))


def host_statistics(host: dict[str, Any]) -> list[str]:
    """`-stats`: each processor, the memory, each disk."""
    processors = [
        key_values(
            [
                ("CPU", cpu["CPU"]),
                ("User", f"{cpu.get('User', 0):.2f}%"),
                ("System", f"{cpu.get('System', 0):.2f}%"),
                ("Idle", f"{cpu.get('Idle', 0):.2f}%"),
            ]
        )
        for cpu in host.get("CPU") or ()
    ]
    memory = host.get("Memory") or {}
    amounts = [(name, byte_text(memory.get(name, 0))) for name in ("Total", "Available", "Used", "Free")]
    disks = [
        key_values(
            [
                ("Device", disk.get("Device", "")),
                ("MountPoint", disk.get("Mountpoint", "")),
                ("Size", byte_text(disk.get("Size", 0))),
                ("Used", byte_text(disk.get("Used", 0))),
                ("Available", byte_text(disk.get("Available", 0))),
                ("Used Percent", f"{disk.get('UsedPercent', 0):.2f}%"),
                ("Inodes Percent", f"{disk.get('InodesUsedPercent', 0):.2f}%"),
            ]
        )
        for disk in host.get("DiskStats") or ()
    ]
    return [
        section("CPU Stats", "\n\n".join(processors)),
        section("Memory Stats", key_values(amounts)),
        section("Disk Stats", "\n\n".join(disks)),
    ]
