"""The disk that holds the allocations' files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Bytes; `available` to users other than root."""

    device: str
    mountpoint: str
    total: int
    used: int
    available: int
    used_percent: float
    inodes_used_percent: float


def measure(path: Path) -> Disk:
    usage = psutil.disk_usage(str(path))
    inodes = os.statvfs(path)
    used_inodes = inodes.f_files - inodes.f_ffree
    partition = _partition(path)
    return Disk(
        device=partition[0],
        mountpoint=partition[1],
        total=usage.total,
        used=usage.used,
        available=usage.free,
        used_percent=usage.percent,
        inodes_used_percent=100.0 * used_inodes / inodes.f_files if inodes.f_files else 0.0,
    )


def attributes(disk: Disk) -> dict[str, str]:
    return {"unique.storage.volume": disk.device, "unique.storage.bytestotal": str(disk.total)}


def _partition(path: Path) -> tuple[str, str]:
    """The device and mount point that hold the path: the longest mount point above it."""
    best = ("", "")
    for partition in psutil.disk_partitions(all=True):
        below = Path(path).resolve().is_relative_to(partition.mountpoint)
        if below and len(partition.mountpoint) > len(best[1]):
            best = (partition.device, partition.mountpoint)
    return best
