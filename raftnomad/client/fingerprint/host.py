"""What the machine is: architecture, kernel, distribution, name, cgroups, signals."""

from __future__ import annotations

import platform
import signal
import socket
from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}
_NOT_TOLD = ("SIGCHLD", "SIGCLD", "SIGPOLL", "SIGPWR", "SIGSTKFLT", "SIGURG", "SIGVTALRM", "SIGRTMIN", "SIGRTMAX")


def fingerprint() -> dict[str, str]:
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    attributes = {
        "cpu.arch": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "kernel.name": platform.system().lower(),
        "kernel.version": platform.release(),
        "kernel.arch": platform.machine(),
        "os.name": release.get("ID", platform.system().lower()),
        "os.version": _version(release),
        "os.signals": ",".join(signals()),
        "unique.hostname": socket.gethostname(),
    }
    cgroups = _cgroups()
    if cgroups:
        attributes["os.cgroups.version"] = cgroups
    return attributes


def signals() -> list[str]:
    """Those that a task may be sent."""
    return [*(name for name in signal.Signals.__members__ if name not in _NOT_TOLD), "SIGNULL"]


def _version(release: dict[str, str]) -> str:
    debian = Path("/etc/debian_version")
    if release.get("ID") == "debian" and debian.exists():
        return debian.read_text().strip()
    return release.get("VERSION_ID", "")


def _cgroups() -> str:
    """2 for the unified hierarchy, 1 for the older one, "" without any."""
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return "2"
    return "1" if Path("/sys/fs/cgroup").is_dir() and any(Path("/sys/fs/cgroup").iterdir()) else ""
