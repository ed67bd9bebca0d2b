"""The files of an allocation: `<alloc_dir>/<id>/alloc/{data,logs,tmp}` for all, `<id>/<task>/...` for each task.

Everybody may write into them, since each task runs as whoever its job says.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from raftnomad.client import secret_mount
from raftnomad.client.environment import Directories
from raftnomad.errors import RaftnomadError

SECRET_PARTS = ("secrets", "private")

_NOBODY = 65534
_EVERYBODY, _STICKY = 0o777, 0o1777


class DirectoryError(RaftnomadError):
    """An allocation's directories cannot be made."""


class AllocDirectory:
    """mount_secrets: keep `secrets` and `private` in memory; needs root."""

    def __init__(self, root: Path, *, mount_secrets: bool = False) -> None:
        self.root = root
        self._mount_secrets = mount_secrets
        self.shared = root / "alloc"
        self.logs = root / "alloc" / "logs"

    def build(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        for path in (self.shared, self.shared / "data", self.logs, self.shared / "tmp"):
            _make(path, _EVERYBODY)

    def task(self, name: str) -> Path:
        return self.root / name

    def build_task(self, name: str) -> None:
        task = self.task(name)
        _make(task, _EVERYBODY)
        _make(task / "local", _EVERYBODY)
        for part in SECRET_PARTS:
            _make(task / part, _EVERYBODY)
            if self._mount_secrets:
                secret_mount.mount(task / part)
                _make(task / part, _EVERYBODY)
        _make(task / "tmp", _STICKY)

    def seen_by(self, name: str, isolation: str) -> Directories:
        """The paths that the task itself uses."""
        if isolation == "none":
            task = self.task(name)
            return Directories(alloc=str(self.shared), task=str(task / "local"), secrets=str(task / "secrets"))
        return Directories(alloc="/alloc", task="/local", secrets="/secrets")

    def write_payload(self, name: str, file: str, payload: bytes) -> None:
        """A dispatched job's payload, below the task's `local`; raises DirectoryError when it would lie elsewhere."""
        local = self.task(name) / "local"
        target = Path(os.path.normpath(local / file))
        if not target.is_relative_to(local) or target == local:
            raise DirectoryError(f'dispatch_payload file "{file}" escapes the task\'s directory')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(payload)
        target.chmod(0o666)

    def take_over(self, previous: AllocDirectory, tasks: list[str]) -> None:
        """Move a sticky disk here: the shared data and each task's `local`."""
        _replace(previous.shared / "data", self.shared / "data")
        for name in tasks:
            source = previous.task(name) / "local"
            if source.is_dir():
                self.build_task(name)
                _replace(source, self.task(name) / "local")

    def destroy(self) -> None:
        """Remove everything; symbolic links are removed, never followed."""
        if self._mount_secrets and self.root.is_dir():
            for task in self.root.iterdir():
                for part in SECRET_PARTS:
                    secret_mount.unmount(task / part)
        shutil.rmtree(self.root, ignore_errors=True)


def _make(path: Path, mode: int) -> None:
    path.mkdir(exist_ok=True)
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, _NOBODY, _NOBODY)


def _replace(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(source, target)
