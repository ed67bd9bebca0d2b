"""How much computing there is: cores, and their MHz added up, which is what jobs ask for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

_MHZ_WHEN_UNKNOWN = 1000


@dataclass(frozen=True, kw_only=True)
class Cpu:
    cores: tuple[int, ...]
    mhz: int
    """Of one core."""
    total_mhz: int
    model: str


def measure(configured_total_mhz: int = 0) -> Cpu:
    cores = tuple(sorted(os.sched_getaffinity(0)))
    mhz = _mhz()
    return Cpu(cores=cores, mhz=mhz, total_mhz=configured_total_mhz or mhz * len(cores), model=_model())


def attributes(cpu: Cpu, reserved_mhz: int) -> dict[str, str]:
    count = str(len(cpu.cores))
    return {
        "cpu.numcores": count,
        "cpu.reservablecores": count,
        "cpu.frequency": str(cpu.mhz),
        "cpu.modelname": cpu.model,
        "cpu.totalcompute": str(cpu.total_mhz),
        "cpu.usablecompute": str(max(cpu.total_mhz - reserved_mhz, 0)),
        "numa.node.count": "1",
        "numa.node0.cores": ranges(cpu.cores),
    }


def topology(cpu: Cpu) -> dict[str, object]:
    """The shape in which Nomad's clients read it; one memory node, all cores alike."""
    cores = [
        {
            "SocketID": 0,
            "NodeID": 0,
            "ID": core,
            "Grade": True,
            "Disable": False,
            "BaseSpeed": cpu.mhz,
            "MaxSpeed": 0,
            "GuessSpeed": 0,
        }
        for core in cpu.cores
    ]
    return {
        "Nodes": [0],
        "Distances": None,
        "Cores": cores,
        "OverrideTotalCompute": 0,
        "OverrideWitholdCompute": 0,
    }


def ranges(numbers: tuple[int, ...]) -> str:
    """`0-3,8` of 0, 1, 2, 3, 8."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


@cache
def _mhz() -> int:
    """The highest that the kernel names, else what it says at the first look: a node's capacity must not waver."""
    frequency = psutil.cpu_freq()
    if frequency is None:
        return _MHZ_WHEN_UNKNOWN
    return int(frequency.max or frequency.current) or _MHZ_WHEN_UNKNOWN


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
