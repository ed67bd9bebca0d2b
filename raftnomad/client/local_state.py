"""What a client agent must remember through `kill -9` and a power cut: one checksummed file for each allocation.

A file is written beside the old one, synced and renamed, so that it is always one whole version. The directory holds
a lock, so that two agents never run the same tasks, and a version, so that an older program does not misread a newer
one's state.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import os
from pathlib import Path

import msgspec

from raftnomad.client.restart_policy import History
from raftnomad.drivers.driver import TaskHandle
from raftnomad.errors import DataDirectoryError
from raftnomad.identifiers import RandomBytes, new_id
from raftnomad.model.allocation import Allocation, AllocDeploymentStatus, TaskState
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)

VERSION = 1
_MAGIC = f"raftnomad client state {VERSION}\n".encode()


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One task. `starting` is written before a driver is asked to start it: after a crash, it may be running."""

    state: TaskState
    handle: TaskHandle | None = None
    starting: bool = False
    history: History = History()
    discarded: TaskHandle | None = None
    """An attempt that is over; its driver may not have been told to forget it yet."""


class AllocationRecord(msgspec.Struct, frozen=True, kw_only=True):
    allocation: Allocation
    tasks: dict[str, TaskRecord]
    deployment_status: AllocDeploymentStatus | None = None
    first_seen_ns: int = 0
    collected: bool = False
    """Its files are gone; what is left is the answer to questions about it."""


class LocalState:
    """The directory `<state>/allocations` and the node's identity beside it. `durable` false spares the syncs."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self.path = path
        self._durable = durable
        self._lock_file: int | None = None
        self._latest: dict[str, AllocationRecord] = {}
        self._written: dict[str, AllocationRecord] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks = Tasks("local state")

    def open(self) -> None:
        """Take the directory; raises DataDirectoryError when another agent has it or a newer one wrote it."""
        (self.path / "allocations").mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise DataDirectoryError(f"another client agent is using {self.path}: stop it first") from None
        self._lock_file = lock
        self._check_version()

    async def close(self) -> None:
        """Writes that are on their way are finished first."""
        for lock in list(self._locks.values()):
            async with lock:
                pass
        self._unlock()

    def _unlock(self) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def identity(self, name: str, random_bytes: RandomBytes) -> str:
        """The UUID in the file `name` (`client-id`, `secret-id`), made at the first call ever."""
        file = self.path / name
        if file.exists():
            return file.read_text().strip()
        value = new_id(random_bytes)
        _write(file, value.encode(), durable=self._durable)
        return value

    def load(self) -> list[AllocationRecord]:
        """All allocations remembered. A damaged file is set aside and named in the log."""
        records = []
        for file in sorted((self.path / "allocations").iterdir()):
            if file.suffix != ".state":
                continue
            try:
                record = decode(file.read_bytes())
            except ValueError as error:
                logger.error("%s is damaged (%s): set aside; what it told of running tasks is lost", file, error)
                file.rename(file.with_suffix(".damaged"))
                continue
            self._written[record.allocation.id] = record
            records.append(record)
        return records

    async def save(self, record: AllocationRecord) -> None:
        """Returns when this version, or a later one of the same allocation, is on disk."""
        id = record.allocation.id
        self._latest[id] = record
        # A write outlives the cancellation of who asked for it, so that two never overlap.
        await asyncio.shield(self._tasks.start(self._write_latest(id), id))

    async def _write_latest(self, id: str) -> None:
        async with self._locks.setdefault(id, asyncio.Lock()):
            latest = self._latest.get(id)
            if latest is None or self._written.get(id) is latest:
                return
            await asyncio.to_thread(_write, self._file(id), encode(latest), durable=self._durable)
            self._written[id] = latest

    async def forget(self, alloc_id: str) -> None:
        self._latest.pop(alloc_id, None)
        async with self._locks.setdefault(alloc_id, asyncio.Lock()):
            self._written.pop(alloc_id, None)
            self._file(alloc_id).unlink(missing_ok=True)
        self._locks.pop(alloc_id, None)

    def read_blob(self, name: str) -> bytes | None:
        """A small file of the client's own, such as the dynamic node metadata."""
        file = self.path / name
        return file.read_bytes() if file.exists() else None

    def write_blob(self, name: str, content: bytes) -> None:
        _write(self.path / name, content, durable=self._durable)

    def _file(self, alloc_id: str) -> Path:
        return self.path / "allocations" / f"{alloc_id}.state"

    def _check_version(self) -> None:
        file = self.path / "version"
        if not file.exists():
            _write(file, str(VERSION).encode(), durable=self._durable)
            return
        found = file.read_text().strip()
        if not found.isdigit() or int(found) > VERSION:
            self._unlock()
            raise DataDirectoryError(
                f"{self.path} was written by a newer raftnomad (format {found}; this one reads up to {VERSION})"
            )


def encode(record: AllocationRecord) -> bytes:
    body = msgspec.msgpack.encode(record)
    return _MAGIC + hashlib.sha256(body).digest() + body


def decode(content: bytes) -> AllocationRecord:
    """Raises ValueError (of which msgspec's errors are kinds) for anything but a whole record of this version."""
    if not content.startswith(_MAGIC):
        raise ValueError("not a client state file of this version")
    body = content[len(_MAGIC) + 32 :]
    if hashlib.sha256(body).digest() != content[len(_MAGIC) : len(_MAGIC) + 32]:
        raise ValueError("its checksum is wrong")
    return msgspec.msgpack.decode(body, type=AllocationRecord)


def _write(file: Path, content: bytes, *, durable: bool) -> None:
    temporary = file.with_name(file.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        if durable:
            os.fsync(stream.fileno())
    temporary.replace(file)
    if durable:
        _sync_directory(file.parent)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
