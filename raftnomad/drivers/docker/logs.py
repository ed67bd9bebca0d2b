"""A container's output, from the engine's log into the allocation's log files, without loss or repetition.

How far it got is kept in a file beside the driver's state, written after every piece, so that an agent that was
killed goes on where its predecessor stopped.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from raftnomad.clock import from_rfc3339
from raftnomad.drivers.driver import Task
from raftnomad.drivers.log_files import LogFiles

STREAMS = {1: "stdout", 2: "stderr"}

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z) ")


class Demultiplexer:
    """Cuts the engine's log stream into (stream, time, bytes). With a terminal there is but one stream, in lines;
    without, every piece says which stream it is and how long. The time is text: only the last one is ever read."""

    def __init__(self, tty: bool) -> None:
        self._tty = tty
        self._buffer = bytearray()
        self._last = b""

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes, bytes]]:
        self._buffer += data
        if self._tty:
            end = self._buffer.rfind(b"\n") + 1
            whole = bytes(self._buffer[:end])
            del self._buffer[:end]
            for line in whole.splitlines(keepends=True):
                yield self._stamped("stdout", line)
            return
        while len(self._buffer) >= 8:
            kind, length = struct.unpack(">BxxxI", self._buffer[:8])
            if len(self._buffer) < 8 + length:
                return
            piece = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            yield self._stamped(STREAMS.get(kind, "stdout"), piece)

    def _stamped(self, stream: str, piece: bytes) -> tuple[str, bytes, bytes]:
        """Split the time off; the later pieces of a very long line have none where there is a terminal."""
        if found := _STAMP.match(piece):
            self._last = found[1]
            piece = piece[found.end() :]
        return stream, self._last, piece


class Position:
    """The time up to which output has been written, in a file of eight bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def read(self) -> int:
        data = os.pread(self._fd, 8, 0)
        return int.from_bytes(data, "big") if len(data) == 8 else 0

    def write(self, time_ns: int) -> None:
        os.pwrite(self._fd, time_ns.to_bytes(8, "big"), 0)

    def close(self) -> None:
        os.close(self._fd)


class Collector:
    """Writes one container's pieces to its files. `since` is where to ask the engine to go on."""

    def __init__(self, log: dict[str, int | str], position: Path, tty: bool) -> None:
        self._position = Position(position)
        self._tty = tty
        self._demultiplexer = Demultiplexer(tty)
        self._files = {
            stream: LogFiles(
                str(log["directory"]), f"{log['name']}.{stream}", int(log["files"]), int(log["file_bytes"])
            )
            for stream in STREAMS.values()
        }

    @property
    def since(self) -> str:
        """As the engine wants it: seconds, with nine digits."""
        written_ns = self._position.read()
        if not written_ns:
            return "0"
        seconds, nanoseconds = divmod(written_ns + 1, 1_000_000_000)
        return f"{seconds}.{nanoseconds:09d}"

    def write(self, data: bytes) -> None:
        last = b""
        for stream, stamp, piece in self._demultiplexer.feed(data):
            self._files[stream].write(piece)
            last = stamp
        if last:
            self._position.write(from_rfc3339(last.decode()))

    def restart(self) -> None:
        """A new stream begins: what was half a piece at the end of the last one comes again as a whole."""
        self._demultiplexer = Demultiplexer(self._tty)

    def close(self) -> None:
        for files in self._files.values():
            files.close()
        self._position.close()


def log_target(task: Task) -> dict[str, int | str] | None:
    """Where a task's output goes, as the handle keeps it; None when nowhere."""
    if task.log_disabled:
        return None
    return {
        "directory": str(task.log_dir),
        "name": task.name,
        "files": task.log_files,
        "file_bytes": task.log_file_size_mb << 20,
    }
