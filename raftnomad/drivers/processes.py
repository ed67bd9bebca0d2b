"""What /proc says about processes: alive or not, whose child, and the start time that tells a reused pid apart.

A zombie counts as dead: its program has ended, whatever its parent makes of it.
"""

from __future__ import annotations

import os
import signal


def start_time(pid: int) -> int:
    """When the process started, in clock ticks since the machine's; 0 when it is dead or a zombie."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in ("Z", "X") else 0


def is_alive(pid: int, started: int) -> bool:
    """Whether this very process runs: a later one with the same pid started at another time."""
    return started != 0 and start_time(pid) == started


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def descendants(pid: int) -> list[int]:
    """The living children of a process, and theirs."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal() and (fields := _stat(int(name))) and fields[0] not in ("Z", "X"):
            children.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        next_ones = children.get(waiting.pop(), [])
        found += next_ones
        waiting += next_ones
    return found


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal; a process that is gone already is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on: 0 state, 1 parent, 19 start time. Empty when gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    # The name before it may hold blanks and brackets.
    return text[text.rindex(")") + 2 :].split()
