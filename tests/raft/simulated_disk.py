"""A disk that can crash in the middle of an operation, forget what was not synced, tear writes, and be full."""

from __future__ import annotations

import asyncio
import errno
import os
import random
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_SECTOR = 512


class Crash(BaseException):
    """The server's process has died at this very operation."""


class _Content:
    """A file's bytes: as its process sees them, and as a power cut would leave them."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.durable = bytearray()
        self.unsynced: list[tuple[int, bytes]] = []

    def write(self, offset: int, data: bytes) -> None:
        _overlay(self.seen, offset, data)
        self.unsynced.append((offset, data))

    def sync(self) -> None:
        self.durable = bytearray(self.seen)
        self.unsynced.clear()

    def lose_power(self, chance: random.Random) -> None:
        """Of the writes since the last sync, any may have reached the disk, or some sectors of them."""
        for offset, data in self.unsynced:
            for start in range(0, len(data), _SECTOR):
                if chance.random() < 0.5:
                    _overlay(self.durable, offset + start, data[start : start + _SECTOR])
        self.seen = bytearray(self.durable)
        self.unsynced.clear()


def _overlay(target: bytearray, offset: int, data: bytes) -> None:
    if len(target) < offset:
        target.extend(b"\0" * (offset - len(target)))
    target[offset : offset + len(data)] = data


class SimulatedDisk:
    """One server's disk; it outlives the server's process (`begin` starts another one on it)."""

    def __init__(self, chance: random.Random, on_crash: Callable[[], None], sync_s: tuple[float, float]) -> None:
        self._chance = chance
        self._on_crash = on_crash
        self._sync_s = sync_s
        self._names: dict[str, _Content] = {}
        self._durable_names: dict[str, _Content] = {}
        self._changes: list[tuple[str, _Content | None]] = []
        self._process = 0
        self._locked = False
        self.crash_in: int | None = None
        self.full = False
        self.operations = 0

    # --- faults

    def begin(self) -> ProcessDisk:
        """For a new process."""
        self._process += 1
        self._locked = False
        self.crash_in = None
        return ProcessDisk(self, self._process)

    def end(self) -> None:
        """The process is gone; what it wrote is still in the machine's memory."""
        self._process += 1

    def lose_power(self) -> None:
        self.end()
        for path, content in self._changes[: self._chance.randint(0, len(self._changes))]:
            _set(self._durable_names, path, content)
        self._changes.clear()
        self._names = dict(self._durable_names)
        for content in {id(content): content for content in self._names.values()}.values():
            content.lose_power(self._chance)

    def corrupt(self, path_part: str, chance: random.Random) -> str:
        """Flip a bit in a file whose path contains this; returns the path."""
        paths = sorted(path for path, content in self._names.items() if path_part in path and content.seen)
        path = chance.choice(paths)
        content = self._names[path]
        used = len(content.seen.rstrip(b"\0"))
        content.seen[chance.randrange(used)] ^= 1 << chance.randrange(8)
        content.sync()
        return path

    def paths(self) -> list[str]:
        return sorted(self._names)

    def content(self, path: str) -> bytearray:
        return self._names[path].seen

    # --- operations of a process

    def step(self, process: int) -> bool:
        """Before each operation; True when the process dies in the middle of this one."""
        if process != self._process:
            raise Crash
        self.operations += 1
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in <= 0:
                self.crash_in = None
                return True
        return False

    def die(self) -> None:
        self.end()
        self._on_crash()
        raise Crash

    def rename(self, path: str, content: _Content | None) -> None:
        _set(self._names, path, content)
        self._changes.append((path, content))

    def sync_names(self, directory: str) -> None:
        """Directories are journalled in order: a sync of one brings everything before it."""
        self._durable_names = dict(self._names)
        self._changes.clear()

    def find(self, path: str) -> _Content:
        if path not in self._names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return self._names[path]

    def sync_time_s(self) -> float:
        return self._chance.uniform(*self._sync_s)

    def part_of(self, data: bytes) -> bytes:
        return data[: self._chance.randint(0, len(data))]

    def take_lock(self) -> bool:
        if self._locked:
            return False
        self._locked = True
        return True

    def release_lock(self, process: int) -> None:
        if process == self._process:
            self._locked = False


def _set(names: dict[str, _Content], path: str, content: _Content | None) -> None:
    if content is None:
        names.pop(path, None)
    else:
        names[path] = content


class ProcessDisk:
    """The disk as one process has it: `raft.disk.Disk`."""

    def __init__(self, disk: SimulatedDisk, process: int) -> None:
        self._disk = disk
        self._process = process
        self._lanes = {False: asyncio.Lock(), True: asyncio.Lock()}

    def make_directory(self, path: str) -> None:
        self._point()

    def exists(self, path: str) -> bool:
        return any(name == path or name.startswith(path + os.sep) for name in self._disk.paths())

    def names(self, path: str) -> list[str]:
        prefix = path + os.sep
        return sorted({name[len(prefix) :].split(os.sep)[0] for name in self._disk.paths() if name.startswith(prefix)})

    def open(self, path: str, *, create: bool = False) -> _File:
        if create and path not in self._disk.paths():
            self._point()
            self._disk.rename(path, _Content())
        return _File(self, self._disk, path, self._disk.find(path))

    def rename(self, old: str, new: str) -> None:
        dies = self._disk.step(self._process)
        if not dies or self._disk._chance.random() < 0.5:
            content = self._disk.find(old)
            self._disk.rename(new, content)
            self._disk.rename(old, None)
        if dies:
            self._disk.die()

    def remove(self, path: str) -> None:
        self._point()
        self._disk.find(path)
        self._disk.rename(path, None)

    def sync_directory(self, path: str) -> None:
        self._point()
        self._disk.sync_names(path)

    def lock(self, path: str) -> Callable[[], None] | None:
        if not self._disk.take_lock():
            return None
        return lambda: self._disk.release_lock(self._process)

    async def in_background(self, work: Callable[[], T], *, bulk: bool = False) -> T:
        async with self._lanes[bulk]:
            # It may take effect long before the caller hears of it, and then covers nothing that came later.
            early = self._disk._chance.random() < 0.5
            if early:
                result = work()
            await asyncio.sleep(self._disk.sync_time_s())
            return result if early else work()

    def close(self) -> None: ...

    def _point(self) -> None:
        if self._disk.step(self._process):
            self._disk.die()


class _File:
    def __init__(self, owner: ProcessDisk, disk: SimulatedDisk, path: str, content: _Content) -> None:
        self._owner = owner
        self._disk = disk
        self._content = content
        self.path = path

    def write(self, data: bytes, offset: int) -> None:
        dies = self._disk.step(self._owner._process)
        if self._disk.full and offset + len(data) > len(self._content.seen):
            raise OSError(errno.ENOSPC, "No space left on device", self.path)
        self._content.write(offset, self._disk.part_of(data) if dies else bytes(data))
        if dies:
            self._disk.die()

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self._content.seen[offset : offset + size])

    def size(self) -> int:
        return len(self._content.seen)

    def allocate(self, size: int) -> None:
        self._owner._point()
        if self._disk.full:
            raise OSError(errno.ENOSPC, "No space left on device", self.path)
        missing = size - len(self._content.seen)
        if missing > 0:
            self._content.write(len(self._content.seen), b"\0" * missing)

    def truncate(self, size: int) -> None:
        self._owner._point()
        del self._content.seen[size:]
        del self._content.durable[size:]
        self._content.unsynced = [(o, d[: size - o]) for o, d in self._content.unsynced if o < size]

    def sync(self) -> None:
        self._owner._point()
        self._content.sync()

    def close(self) -> None: ...
