"""Which finished allocations' files are removed from the machine, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finished:
    """An allocation that has ended and was reported; nobody but users' curiosity keeps it."""

    id: str
    finished_ns: int


@dataclass(frozen=True, kw_only=True)
class Limits:
    max_allocs: int
    disk_percent: float
    inode_percent: float


@dataclass(frozen=True, kw_only=True)
class Usage:
    allocs: int
    """All on this node, running ones included."""
    disk_percent: float
    inode_percent: float


def choose(finished: Sequence[Finished], usage: Usage, limits: Limits) -> tuple[str, ...]:
    """Oldest first: as many as are over the count, and one when the disk is too full (then it is measured again)."""
    oldest = [alloc.id for alloc in sorted(finished, key=lambda alloc: (alloc.finished_ns, alloc.id))]
    over = max(usage.allocs - limits.max_allocs, 0)
    full = usage.disk_percent > limits.disk_percent or usage.inode_percent > limits.inode_percent
    return tuple(oldest[: max(over, 1 if full else 0)])
