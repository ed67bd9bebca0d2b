"""A task's output, read across its rotated files, and a single file that grows: both as a run of pieces.

`alloc/logs/<task>.<stdout|stderr>.<n>` are read in the order of n. A reader that follows ends when the task has ended
and everything was read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from raftnomad.client import alloc_files
from raftnomad.errors import NotFound

PIECE_BYTES = 64 * 1024
POLL_S = 0.1
HEARTBEAT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Bytes of a file, and the offset in that file after them. An empty piece only says that the reader lives."""

    data: bytes = b""
    file: str = ""
    offset: int = 0
    event: str = ""
    """`file truncated` or `file deleted`."""


@dataclass(frozen=True, kw_only=True)
class LogFile:
    index: int
    size: int


def log_path(task: str, kind: str, index: int) -> str:
    return f"alloc/logs/{task}.{kind}.{index}"


def log_files(root: Path, task: str, kind: str) -> list[LogFile]:
    """What there is, oldest first."""
    prefix = f"{task}.{kind}."
    found = []
    for entry in alloc_files.list_directory(root, "alloc/logs"):
        suffix = entry["Name"].removeprefix(prefix)
        if entry["Name"].startswith(prefix) and suffix.isdigit():
            found.append(LogFile(index=int(suffix), size=entry["Size"]))
    return sorted(found, key=lambda file: file.index)


def start_of(files: list[LogFile], offset: int, origin: str) -> tuple[int, int]:
    """Index of the file to begin with and the offset in it. A negative offset counts from the end, as `origin` end
    does; 0 from the end is the beginning, as in Nomad."""
    total = sum(file.size for file in files)
    if origin == "end" or offset < 0:
        offset = max(total - abs(offset), 0) if offset else 0
    for file in files:
        if offset < file.size:
            return file.index, offset
        offset -= file.size
    return files[-1].index, files[-1].size


async def read_log(
    root: Path, task: str, kind: str, *, offset: int, origin: str, follow: bool, ended: Callable[[], bool]
) -> AsyncIterator[Piece]:
    """ended: whether nothing will be written any more."""
    files = log_files(root, task, kind)
    index, position = start_of(files, offset, origin)
    quiet_s = 0.0
    while True:
        # Asked before reading, so that what was written just before the end is not missed.
        over = ended()
        try:
            indexes = [file.index for file in log_files(root, task, kind)]
        except NotFound:
            # The allocation was collected while it was read.
            return
        later = [number for number in indexes if number > index]
        path = log_path(task, kind, index)
        progress = False
        for piece in _pieces(root, path, position):
            progress, position = True, piece.offset
            yield piece
            await asyncio.sleep(0)
        if progress:
            quiet_s = 0.0
        elif later:
            index, position = later[0], 0
        elif not follow or over:
            return
        else:
            await asyncio.sleep(POLL_S)
            quiet_s += POLL_S
            if quiet_s >= HEARTBEAT_S:
                quiet_s = 0.0
                yield Piece()


async def read_file(root: Path, path: str, *, offset: int, origin: str, follow: bool) -> AsyncIterator[Piece]:
    """A file from an offset on; with `follow` until it is deleted."""
    with alloc_files.open_file(root, path) as file:
        size = file.seek(0, 2)
    position = max(size - abs(offset), 0) if origin == "end" else min(offset, size)
    quiet_s = 0.0
    while True:
        progress = False
        try:
            size = alloc_files.describe(root, path)["Size"]
            if size < position:
                position = 0
                yield Piece(file=path, offset=0, event="file truncated")
            for piece in _pieces(root, path, position):
                progress, position = True, piece.offset
                yield piece
                await asyncio.sleep(0)
        except NotFound:
            yield Piece(file=path, offset=position, event="file deleted")
            return
        if progress:
            quiet_s = 0.0
        elif not follow:
            return
        else:
            await asyncio.sleep(POLL_S)
            quiet_s += POLL_S
            if quiet_s >= HEARTBEAT_S:
                quiet_s = 0.0
                yield Piece()


def _pieces(root: Path, path: str, position: int) -> list[Piece]:
    """What the file holds beyond the position, at most a few pieces at a time."""
    try:
        with alloc_files.open_file(root, path) as file:
            file.seek(position)
            return _read(file, path, position)
    except NotFound:
        # Rotation may remove the oldest file while it is read.
        if path.startswith("alloc/logs/"):
            return []
        raise


def _read(file: BinaryIO, path: str, position: int) -> list[Piece]:
    pieces: list[Piece] = []
    while len(pieces) < 8 and (data := file.read(PIECE_BYTES)):
        position += len(data)
        pieces.append(Piece(data=data, file=path, offset=position))
    return pieces
