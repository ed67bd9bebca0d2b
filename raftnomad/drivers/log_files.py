"""Rotated log files `<directory>/<name>.<n>`: the newest few of a bounded size, and nothing else.

Nomad's rules, as its users' tools know them: `n` only grows, a restarted task goes on in its newest file, and a file
ends with a whole line where that is possible.
"""

from __future__ import annotations

import os


class LogFiles:
    """One stream's files. A write never raises: a full disk costs output (`lost_bytes`), never the task."""

    def __init__(self, directory: str, name: str, files_max: int, file_bytes_max: int) -> None:
        self._directory = directory
        self._prefix = f"{name}."
        self._files_max = max(files_max, 1)
        self._file_bytes_max = max(file_bytes_max, 1)
        self._fd = -1
        self._bytes = 0
        self.lost_bytes = 0
        self._number = max(self._numbers(), default=0)
        self._open()

    def write(self, data: bytes) -> None:
        while data:
            fits = self._fitting(data)
            if fits < len(data) and fits == 0 and self._bytes == 0:
                fits = self._file_bytes_max
            self._append(data[:fits])
            data = data[fits:]
            if data:
                self._rotate()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _fitting(self, data: bytes) -> int:
        """How many bytes still go into the current file: all, or as many whole lines as there is room for."""
        room = self._file_bytes_max - self._bytes
        if len(data) <= room:
            return len(data)
        return data.rfind(b"\n", 0, max(room, 0)) + 1

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                written = os.write(self._fd, view)
            except OSError:
                # Disk full, or the directory is gone with its allocation: the task goes on without this output.
                self.lost_bytes += len(view)
                return
            self._bytes += written
            view = view[written:]

    def _rotate(self) -> None:
        self.close()
        self._number += 1
        self._open()
        self._remove_old()

    def _open(self) -> None:
        path = os.path.join(self._directory, f"{self._prefix}{self._number}")
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            self._bytes = os.fstat(self._fd).st_size
        except OSError:
            self._fd, self._bytes = -1, 0

    def _remove_old(self) -> None:
        for number in self._numbers():
            if number <= self._number - self._files_max:
                try:
                    os.unlink(os.path.join(self._directory, f"{self._prefix}{number}"))
                except OSError:
                    continue

    def _numbers(self) -> list[int]:
        try:
            names = os.listdir(self._directory)
        except OSError:
            return []
        ends = [name[len(self._prefix) :] for name in names if name.startswith(self._prefix)]
        return [int(end) for end in ends if end.isdecimal()]
