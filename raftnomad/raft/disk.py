"""What the log asks of a disk. The real one stands here; the tests' one crashes in the middle of things."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")


class DiskFile(Protocol):
    @property
    def path(self) -> str: ...

    def write(self, data: bytes, offset: int) -> None:
        """All of `data` at `offset`. Not durable before `sync`. Raises OSError."""

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes; fewer at the end of the file."""

    def size(self) -> int: ...

    def allocate(self, size: int) -> None:
        """Reserve the file's first `size` bytes on the disk, as zeros. Raises OSError (ENOSPC)."""

    def truncate(self, size: int) -> None: ...

    def sync(self) -> None:
        """Return when everything written is durable. An error is final: never call it again (fsyncgate)."""

    def close(self) -> None: ...


class Disk(Protocol):
    def make_directory(self, path: str) -> None:
        """With its parents, each durable in its own parent."""

    def exists(self, path: str) -> bool: ...

    def names(self, path: str) -> list[str]:
        """What a directory holds, sorted."""

    def open(self, path: str, *, create: bool = False) -> DiskFile:
        """For reading and writing. Raises FileNotFoundError unless it is to be created."""

    def rename(self, old: str, new: str) -> None: ...

    def remove(self, path: str) -> None: ...

    def sync_directory(self, path: str) -> None: ...

    def lock(self, path: str) -> Callable[[], None] | None:
        """Take an exclusive lock that ends with the process; returns its release, None when another holds it."""

    async def in_background(self, work: Callable[[], T], *, bulk: bool = False) -> T:
        """Run work that may wait for the disk while the event loop goes on; one piece at a time, in order. What is
        `bulk` has an order of its own, so that a snapshot never keeps the log waiting."""

    def close(self) -> None: ...


class SystemDisk:
    """The machine's own disk, and a thread for each order of background work."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="raft-log")
        self._bulk_executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="raft-snapshot")

    def make_directory(self, path: str) -> None:
        if os.path.isdir(path):
            return
        parent = os.path.dirname(os.path.abspath(path))
        self.make_directory(parent)
        os.mkdir(path, mode=0o700)
        self.sync_directory(parent)

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def names(self, path: str) -> list[str]:
        return sorted(os.listdir(path))

    def open(self, path: str, *, create: bool = False) -> DiskFile:
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        return _SystemFile(path, os.open(path, flags, 0o600))

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def remove(self, path: str) -> None:
        os.unlink(path)

    def sync_directory(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: str) -> Callable[[], None] | None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return lambda: os.close(descriptor)

    async def in_background(self, work: Callable[[], T], *, bulk: bool = False) -> T:
        executor = self._bulk_executor if bulk else self._executor
        return await asyncio.get_running_loop().run_in_executor(executor, work)

    def close(self) -> None:
        self._executor.shutdown(wait=True)
        self._bulk_executor.shutdown(wait=True)


class _SystemFile:
    def __init__(self, path: str, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @property
    def path(self) -> str:
        return self._path

    def write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view = view[written:]
            offset += written

    def read(self, offset: int, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            part = os.pread(self._descriptor, min(size, 1 << 24), offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return b"".join(parts)

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def allocate(self, size: int) -> None:
        os.posix_fallocate(self._descriptor, 0, size)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)
