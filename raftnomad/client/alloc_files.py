"""The files below an allocation's directory, for users: no path and no symbolic link leads out of it.

A task may rearrange its files while they are being read. So every step of a path is opened from the step before, links
are followed here instead of by the kernel, and what was checked is what is read.
"""

from __future__ import annotations

import errno
import os
import stat as modes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from raftnomad.client import content_type
from raftnomad.clock import rfc3339
from raftnomad.errors import NotFound, RaftnomadError

_LINKS_MAX = 40
_SECRET_DIRECTORIES = ("secrets", "private")
_LETTERS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (modes.S_ISDIR, "d"),
    (modes.S_ISLNK, "L"),
    (lambda mode: modes.S_ISBLK(mode) or modes.S_ISCHR(mode), "D"),
    (modes.S_ISFIFO, "p"),
    (modes.S_ISSOCK, "S"),
    (lambda mode: bool(mode & modes.S_ISUID), "u"),
    (lambda mode: bool(mode & modes.S_ISGID), "g"),
    (modes.S_ISCHR, "c"),
    (lambda mode: bool(mode & modes.S_ISVTX), "t"),
)
"""The letters before a mode's permissions, in the order of Go's `FileMode.String`."""


class PathEscapes(RaftnomadError):
    def __init__(self) -> None:
        super().__init__("Path escapes the alloc directory")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a path leads to. `descriptor` is good for looking, not for reading."""

    descriptor: int
    parts: tuple[str, ...]
    """Below the root, without links and dots."""

    def status(self) -> os.stat_result:
        return os.fstat(self.descriptor)

    def reopen(self, flags: int) -> int:
        """The same file, for reading."""
        return os.open(f"/proc/self/fd/{self.descriptor}", flags | os.O_CLOEXEC)


def list_directory(root: Path, path: str) -> list[dict[str, Any]]:
    """Entries by name, as Nomad's API shows them."""
    with _errors("open", root, path), _find(root, path) as found:
        directory = found.reopen(os.O_RDONLY | os.O_DIRECTORY)
        try:
            names = sorted(os.listdir(directory))
            entries = [(name, _status_of(name, directory)) for name in names]
        finally:
            os.close(directory)
    return [_describe(name, status) for name, status in entries if status is not None]


def describe(root: Path, path: str) -> dict[str, Any]:
    """One file or directory; a link is described by what it leads to."""
    with _errors("stat", root, path), _find(root, path) as found:
        status = found.status()
        kind = content_type.BINARY
        if modes.S_ISREG(status.st_mode) and status.st_size > 0 and not _is_secret(found.parts):
            kind = content_type.detect(_first_bytes(found))
    name = path.rstrip("/").rpartition("/")[2] or root.name
    return {**_describe(name, status), "ContentType": kind}


def open_file(root: Path, path: str) -> BinaryIO:
    """For reading. Raises RaftnomadError for directories, secrets, and what is not a file."""
    with _errors("stat", root, path), _find(root, path) as found:
        mode = found.status().st_mode
        if modes.S_ISDIR(mode):
            raise RaftnomadError(f'file "{path}" is a directory')
        if _is_secret(found.parts):
            raise RaftnomadError(f"Reading secret file prohibited: {path}")
        if not modes.S_ISREG(mode):
            raise RaftnomadError(f'file "{path}" is not a regular file')
        return os.fdopen(found.reopen(os.O_RDONLY), "rb")


def mode_text(mode: int) -> str:
    """A file's mode as Go's `FileMode.String`: `drwxr-xr-x`, `dtrwxrwxrwx`, `Lrwxrwxrwx`, `-rw-------`."""
    front = "".join(letter for holds, letter in _LETTERS if holds(mode))
    permissions = "".join(letter if mode >> (8 - i) & 1 else "-" for i, letter in enumerate("rwxrwxrwx"))
    return (front or "-") + permissions


@contextmanager
def _find(root: Path, path: str) -> Iterator[Found]:
    """Follow the path from the root; raises PathEscapes and OSError."""
    stack = [os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    parts: list[str] = []
    pending = _split(path)
    links = 0
    try:
        while pending:
            part = pending.pop()
            if part == "..":
                if not parts:
                    raise PathEscapes
                os.close(stack.pop())
                parts.pop()
                continue
            descriptor = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=stack[-1])
            if not modes.S_ISLNK(os.fstat(descriptor).st_mode):
                stack.append(descriptor)
                parts.append(part)
                continue
            links += 1
            try:
                target = os.readlink("", dir_fd=descriptor)
            finally:
                os.close(descriptor)
            if links > _LINKS_MAX:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if target.startswith("/"):
                target = _below(root, target)
                while parts:
                    os.close(stack.pop())
                    parts.pop()
            pending += _split(target)
        yield Found(descriptor=stack[-1], parts=tuple(parts))
    finally:
        for descriptor in stack:
            os.close(descriptor)


def _split(path: str) -> list[str]:
    """The steps of a path, the last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _below(root: Path, target: str) -> str:
    """An absolute link's target as a path from the root; tasks without a root of their own make such links."""
    normal = os.path.normpath(target)
    if not Path(normal).is_relative_to(root):
        raise PathEscapes
    return os.path.relpath(normal, root)


@contextmanager
def _errors(action: str, root: Path, path: str) -> Iterator[None]:
    """The operating system's errors, in Go's words and with the whole path."""
    try:
        yield
    except OSError as error:
        whole = os.path.normpath(root / path.lstrip("/"))
        text = f"{action} {whole}: {os.strerror(error.errno or 0).lower()}"
        raise NotFound(text) if error.errno == errno.ENOENT else RaftnomadError(text) from None


def _is_secret(parts: tuple[str, ...]) -> bool:
    return len(parts) > 1 and parts[0] != "alloc" and parts[1] in _SECRET_DIRECTORIES


def _first_bytes(found: Found) -> bytes:
    descriptor = found.reopen(os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(descriptor, content_type.SNIFFED)
    finally:
        os.close(descriptor)


def _status_of(name: str, directory: int) -> os.stat_result | None:
    """None when the entry is gone again."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _describe(name: str, status: os.stat_result) -> dict[str, Any]:
    return {
        "Name": name,
        "IsDir": modes.S_ISDIR(status.st_mode),
        "Size": status.st_size,
        "FileMode": mode_text(status.st_mode),
        "ModTime": rfc3339(status.st_mtime_ns),
    }
