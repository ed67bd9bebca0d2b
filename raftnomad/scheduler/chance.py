"""All the chance that an evaluation has, drawn from one seed: the same input gives the same plan."""

from __future__ import annotations

import hashlib

import numpy as np

from raftnomad.identifiers import id_text


class Chance:
    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._blocks = 0
        self._numbers: list[int] = []

    def draw(self, count: int) -> bytes:
        self._blocks += 1
        return hashlib.shake_256(self._seed + self._blocks.to_bytes(8, "big")).digest(count)

    def ids(self, count: int) -> bytes:
        """Random UUIDs (version 4), 16 bytes each, one after the other."""
        raw = np.frombuffer(self.draw(16 * count), np.uint8).reshape(count, 16).copy()
        raw[:, 6] = raw[:, 6] & 0x0F | 0x40
        raw[:, 8] = raw[:, 8] & 0x3F | 0x80
        return raw.tobytes()

    def id(self) -> str:
        return id_text(self.ids(1))

    def number(self) -> int:
        """A whole number below 2 ** 32."""
        if not self._numbers:
            self._numbers = np.frombuffer(self.draw(4096), np.uint32).tolist()
        return self._numbers.pop()
