"""Answers as bytes, encoded once for everybody who asks the same while nothing has changed.

When a change wakes a thousand waiters of one list, the first to run pays for all of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from raftnomad.model import wire

BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a read of the state gave. `missing` is the text of a 404, for an object that is not there."""

    index: int
    value: object = None
    missing: str = ""
    next_token: str = ""


@dataclass(frozen=True)
class Encoded:
    found: Found
    body: bytes


Version = tuple[object, ...]


class EncodedAnswers:
    """A small cache: the key names the question, the version what its answer was made from."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._entries: OrderedDict[object, tuple[Version, Encoded]] = OrderedDict()
        self._bytes = 0
        self._bytes_max = bytes_max

    def get(self, key: object, version: Version, read: Callable[[], Found]) -> Encoded:
        entry = self._entries.get(key)
        if entry is not None and entry[0] == version:
            self._entries.move_to_end(key)
            return entry[1]
        found = read()
        encoded = Encoded(found, b"" if found.missing else wire.encode(found.value))
        self._keep(key, version, encoded)
        return encoded

    def _keep(self, key: object, version: Version, encoded: Encoded) -> None:
        self._forget(key)
        if len(encoded.body) > self._bytes_max // 4:
            return
        self._entries[key] = (version, encoded)
        self._bytes += _size(encoded)
        while self._bytes > self._bytes_max:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: object) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= _size(entry[1])


def _size(encoded: Encoded) -> int:
    return len(encoded.body) + 1024
