"""What tasks and the machine use at this moment: processes by psutil, disks, memory, cores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import psutil

from raftnomad.client.fingerprint import storage
from raftnomad.clock import Clock
from raftnomad.drivers.driver import TaskHandle

SAMPLES_MAX = 10_000


@runtime_checkable
class TellsProcesses(Protocol):
    """A driver whose tasks' processes can be seen from here."""

    async def pids(self, handle: TaskHandle) -> list[int]: ...


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Seconds of computing so far, and when that was (monotonic)."""

    user_s: float
    system_s: float
    at_s: float


class Meter:
    """Remembers the last sample of each process: computing is a difference over time.

    A process is known by its number and the time of its start, since numbers come again.
    """

    def __init__(self, clock: Clock, core_mhz: int) -> None:
        self._clock = clock
        self._core_mhz = core_mhz
        self._samples: dict[tuple[int, float], Sample] = {}
        psutil.cpu_times_percent(percpu=True)

    def task(self, pids: list[int]) -> dict[str, Any]:
        """TaskResourceUsage of a task whose processes these are."""
        by_pid = {str(pid): usage for pid in pids if (usage := self._process(pid)) is not None}
        return {
            "ResourceUsage": _added(by_pid.values(), devices=None, measured=True),
            "Timestamp": self._clock.now_ns(),
            "Pids": by_pid,
        }

    def _process(self, pid: int) -> dict[str, Any] | None:
        """None when it is gone."""
        try:
            process = psutil.Process(pid)
            times, memory, begun_s = process.cpu_times(), process.memory_info(), process.create_time()
        except psutil.Error:
            return None
        now = Sample(user_s=times.user, system_s=times.system, at_s=self._clock.monotonic_s())
        last = self._samples.get((pid, begun_s), now)
        self._remember((pid, begun_s), now)
        passed_s = now.at_s - last.at_s
        user = 100 * (now.user_s - last.user_s) / passed_s if passed_s > 0 else 0.0
        system = 100 * (now.system_s - last.system_s) / passed_s if passed_s > 0 else 0.0
        return _usage(user, system, user + system, (user + system) / 100 * self._core_mhz, memory.rss, 0)

    def _remember(self, process: tuple[int, float], sample: Sample) -> None:
        """The newest last; what has not been asked about for the longest goes first."""
        self._samples.pop(process, None)
        self._samples[process] = sample
        if len(self._samples) > SAMPLES_MAX:
            del self._samples[next(iter(self._samples))]

    def host(self, alloc_path: Path) -> dict[str, Any]:
        """HostStats."""
        memory = psutil.virtual_memory()
        cores = [self._core(number, times) for number, times in enumerate(psutil.cpu_times_percent(percpu=True))]
        disk = _disk(storage.measure(alloc_path))
        return {
            "Memory": {
                "Total": memory.total,
                "Available": memory.available,
                "Used": memory.used,
                "Free": memory.free,
            },
            "CPU": cores,
            "DiskStats": [disk],
            "AllocDirStats": disk,
            "DeviceStats": None,
            "Uptime": int(self._clock.now_ns() / 1e9 - psutil.boot_time()),
            "Timestamp": self._clock.now_ns(),
            "CPUTicksConsumed": sum(core["TotalTicks"] for core in cores),
        }

    def _core(self, number: int, times: Any) -> dict[str, Any]:
        busy = 100.0 - times.idle
        return {
            "CPU": f"cpu{number}",
            "User": times.user,
            "System": times.system,
            "Idle": times.idle,
            "TotalPercent": busy,
            "TotalTicks": busy / 100 * self._core_mhz,
        }


def of_allocation(running: Mapping[str, dict[str, Any]], ended: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """AllocResourceUsage. An ended task is shown with what it used last, and does not count for the allocation."""
    return {
        "ResourceUsage": _added(
            (task["ResourceUsage"] for task in running.values()), devices=[], measured=bool(running)
        ),
        "Tasks": {**running, **ended},
        "Timestamp": max((task["Timestamp"] for task in running.values()), default=0),
    }


def _disk(disk: storage.Disk) -> dict[str, Any]:
    return {
        "Device": disk.device,
        "Mountpoint": disk.mountpoint,
        "Size": disk.total,
        "Used": disk.used,
        "Available": disk.available,
        "UsedPercent": disk.used_percent,
        "InodesUsedPercent": disk.inodes_used_percent,
    }


def _usage(
    user: float, system: float, percent: float, ticks: float, rss: int, swap: int, measured: bool = True
) -> dict[str, Any]:
    return {
        "MemoryStats": {
            "RSS": rss,
            "Cache": 0,
            "Swap": swap,
            "MappedFile": 0,
            "Usage": 0,
            "MaxUsage": 0,
            "KernelUsage": 0,
            "KernelMaxUsage": 0,
            "Measured": ["RSS", "Swap"] if measured else None,
        },
        "CpuStats": {
            "SystemMode": system,
            "UserMode": user,
            "TotalTicks": ticks,
            "ThrottledPeriods": 0,
            "ThrottledTime": 0,
            "Percent": percent,
            "Measured": ["System Mode", "User Mode", "Percent"] if measured else None,
        },
        "DeviceStats": None,
    }


def _added(parts: Iterable[dict[str, Any]], devices: list[Any] | None, measured: bool) -> dict[str, Any]:
    user = system = percent = ticks = 0.0
    rss = swap = 0
    for part in parts:
        cpu, memory = part["CpuStats"], part["MemoryStats"]
        user += cpu["UserMode"]
        system += cpu["SystemMode"]
        percent += cpu["Percent"]
        ticks += cpu["TotalTicks"]
        rss += memory["RSS"]
        swap += memory["Swap"]
    return {**_usage(user, system, percent, ticks, rss, swap, measured), "DeviceStats": devices}
