"""Directories in memory for what must never reach a disk: a task's `secrets` and `private`.

Needs root; without it they are plain directories, as in Nomad.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

SIZE_MB = 1
MARK = ".nomad-mount"
"""An empty file in it, by which people recognise the mount."""

_NOSUID, _NODEV, _NOEXEC = 2, 4, 8
_DETACH = 2


def mount(path: Path, size_mb: int = SIZE_MB) -> None:
    """Raises OSError. Mounting what is mounted already does nothing."""
    if os.path.ismount(path):
        return
    options = f"size={size_mb}m,mode=777".encode()
    _call("mount", b"tmpfs", bytes(path), b"tmpfs", ctypes.c_ulong(_NOSUID | _NODEV | _NOEXEC), options)
    (path / MARK).touch(mode=0o644)


def unmount(path: Path) -> None:
    """Also while a task that would not die still looks at it."""
    if os.path.ismount(path):
        _call("umount2", bytes(path), ctypes.c_int(_DETACH))


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
