"""A task's control groups: they hold its limits, and know every process of it, however often it forked.

Where both versions are mounted (hybrid), limits stand in version 1 and tracking in version 2, whose `cgroup.kill`
ends a whole tree at once. Where nothing can be made (no root), `create` gives groups without paths, and the caller
falls back to process group and subreaper.
"""

from __future__ import annotations

import os
import signal
import time

from raftnomad.drivers import processes

PARENT = "raftnomad"

TRACKING = ("unified", "freezer")


class TaskGroups:
    """`paths` by controller (`unified` is version 2): all that another process needs to find the groups again."""

    def __init__(self, paths: dict[str, str]) -> None:
        self.paths = paths

    @property
    def tracks(self) -> bool:
        return any(name in self.paths for name in TRACKING)

    def enter(self) -> None:
        """Put the calling process in. Raises OSError where the group is another's (an override)."""
        for path in self.paths.values():
            _write(path, "cgroup.procs", "0")

    def pids(self) -> list[int]:
        for name in TRACKING:
            if name in self.paths:
                return [int(pid) for pid in _read(self.paths[name], "cgroup.procs").split()]
        return []

    def kill(self) -> None:
        """End every process inside, also those that fork while this goes on."""
        if "unified" in self.paths and _try_write(self.paths["unified"], "cgroup.kill", "1"):
            return
        freezer = self.paths.get("freezer", "")
        frozen = bool(freezer) and _try_write(freezer, "freezer.state", "FROZEN")
        for pid in self.pids():
            processes.kill(pid, signal.SIGKILL)
        if frozen:
            _try_write(freezer, "freezer.state", "THAWED")

    def oom_kills(self) -> int:
        """How many processes inside the kernel has killed for want of memory."""
        for name, file in (("unified", "memory.events"), ("memory", "memory.oom_control")):
            if name in self.paths:
                for line in _read(self.paths[name], file).splitlines():
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        return 0

    def remove(self) -> None:
        """Remove the groups, which must be empty. The kernel may need a moment after the last process."""
        for path in self.paths.values():
            for _ in range(20):
                try:
                    os.rmdir(path)
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.005)
                else:
                    break


def create(name: str, limits: dict[str, int | str]) -> TaskGroups:
    """Groups for one task, with its limits: `memory_bytes`, `memory_soft_bytes`, `cpu_shares` and `cpus` ("0-1,4").

    A limit that the machine can't hold is left out, as Nomad does: raw_exec runs on machines of every kind.
    """
    mounts = _mounts()
    paths = {}
    if "unified" in mounts and (path := _make(mounts["unified"], name)):
        paths["unified"] = path
        _limit_version_2(mounts["unified"], path, limits)
    for controller in ("freezer", "memory", "cpu", "cpuset"):
        wanted = controller == "freezer" or _wants(controller, limits)
        if wanted and controller in mounts and (path := _make(mounts[controller], name)):
            if controller == "freezer" or _limit_version_1(controller, mounts[controller], path, limits):
                paths[controller] = path
            else:
                TaskGroups({controller: path}).remove()
    return TaskGroups(paths)


def overridden(version_2: str, version_1: dict[str, str]) -> tuple[dict[str, str], TaskGroups]:
    """Groups that the job names itself: where to enter, and (empty) groups to track, as others may be inside too."""
    mounts = _mounts()
    enter = {}
    if version_2:
        enter["unified"] = os.path.join(mounts.get("unified", "/sys/fs/cgroup"), version_2.strip("/"))
    for controller, path in version_1.items():
        if controller not in mounts:
            raise FileNotFoundError(f"this machine has no cgroup controller {controller!r} of version 1")
        enter[controller] = os.path.join(mounts[controller], path.strip("/"))
    return enter, TaskGroups({})


def _wants(controller: str, limits: dict[str, int | str]) -> bool:
    names = {"memory": "memory_bytes", "cpu": "cpu_shares", "cpuset": "cpus"}
    return bool(limits.get(names[controller]))


def _limit_version_1(controller: str, mount: str, path: str, limits: dict[str, int | str]) -> bool:
    """Write one controller's limits; False when the machine refuses the one that matters."""
    if controller == "memory":
        if soft := limits.get("memory_soft_bytes"):
            _try_write(path, "memory.soft_limit_in_bytes", str(soft))
        _try_write(path, "memory.swappiness", "0")
        return _try_write(path, "memory.limit_in_bytes", str(limits["memory_bytes"]))
    if controller == "cpu":
        return _try_write(path, "cpu.shares", str(max(int(limits["cpu_shares"]), 2)))
    parent = os.path.join(mount, PARENT)
    for file in ("cpuset.cpus", "cpuset.mems"):
        if not _read(parent, file).strip():
            _try_write(parent, file, _read(mount, file).strip())
    mems = _try_write(path, "cpuset.mems", _read(parent, "cpuset.mems").strip())
    return mems and _try_write(path, "cpuset.cpus", str(limits["cpus"]))


def _limit_version_2(mount: str, path: str, limits: dict[str, int | str]) -> None:
    for controller in ("memory", "cpu", "cpuset"):
        if controller in _read(path, "../cgroup.controllers").split():
            _try_write(mount, "cgroup.subtree_control", f"+{controller}")
            _try_write(path, "../cgroup.subtree_control", f"+{controller}")
    if memory := limits.get("memory_bytes"):
        _try_write(path, "memory.max", str(memory))
    if soft := limits.get("memory_soft_bytes"):
        _try_write(path, "memory.low", str(soft))
    if shares := limits.get("cpu_shares"):
        # The kernel's own mapping of shares (2..262144) to weights (1..10000).
        weight = 1 + (max(min(int(shares), 262144), 2) - 2) * 9999 // 262142
        _try_write(path, "cpu.weight", str(weight))
    if cpus := limits.get("cpus"):
        _try_write(path, "cpuset.cpus", str(cpus))


def _mounts() -> dict[str, str]:
    """Where each controller is mounted, `unified` being version 2."""
    found: dict[str, str] = {}
    try:
        with open("/proc/self/mounts") as file:
            lines = file.read().splitlines()
    except OSError:
        return found
    for line in lines:
        _, path, kind, options, *_ = line.split(" ")
        if kind == "cgroup2":
            found.setdefault("unified", path)
        elif kind == "cgroup":
            for option in options.split(","):
                found.setdefault(option, path)
    return found


def _make(mount: str, name: str) -> str:
    path = os.path.join(mount, PARENT, name)
    try:
        os.makedirs(path, exist_ok=True)
    except OSError:
        return ""
    return path


def _read(directory: str, file: str) -> str:
    try:
        with open(os.path.join(directory, file)) as opened:
            return opened.read()
    except OSError:
        return ""


def _write(directory: str, file: str, text: str) -> None:
    fd = os.open(os.path.join(directory, file), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _try_write(directory: str, file: str, text: str) -> bool:
    try:
        _write(directory, file, text)
    except OSError:
        return False
    return True
