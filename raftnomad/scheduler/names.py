"""The numbers in allocations' names: `job.group[number]`."""

from __future__ import annotations

from collections.abc import Iterable


def name_of(job_id: str, group: str, index: int) -> str:
    return f"{job_id}.{group}[{index}]"


def index_of(name: str) -> int:
    """The number in a name, 0 when there is none."""
    number = name[name.rfind("[") + 1 : -1]
    return int(number) if number.isdecimal() else 0


def free_indexes(in_use: Iterable[int], wanted: int) -> list[int]:
    """The lowest numbers that are not in use."""
    taken = set(in_use)
    found: list[int] = []
    index = 0
    while len(found) < wanted:
        if index not in taken:
            found.append(index)
        index += 1
    return found
