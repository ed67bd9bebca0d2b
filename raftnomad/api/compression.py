"""Answers made smaller, as their clients like it."""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict

IN_THREAD_BYTES = 128 * 1024
"""From here on a thread compresses, which takes milliseconds."""


def accepted_encoding(accepted: str) -> str:
    """gzip before deflate; empty when the client takes neither."""
    offered = [part.partition(";") for part in accepted.lower().split(",")]
    names = {name.strip() for name, _, quality in offered if quality.replace(" ", "") not in ("q=0", "q=0.0")}
    return next((name for name in ("gzip", "deflate") if name in names), "")


class Compressor:
    """Compresses answers; one that goes to many clients is compressed once, as it is the same object for all."""

    KEPT = 32
    KEPT_FROM_BYTES = 4096

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, str], tuple[bytes, bytes]] = OrderedDict()

    async def compress(self, body: bytes, encoding: str) -> bytes:
        key = (id(body), encoding)
        kept = self._kept.get(key)
        if kept is not None and kept[0] is body:
            return kept[1]
        if len(body) >= IN_THREAD_BYTES:
            compressed = await asyncio.to_thread(_compressed, body, encoding)
        else:
            compressed = _compressed(body, encoding)
        if len(body) >= self.KEPT_FROM_BYTES:
            self._kept[key] = (body, compressed)
            if len(self._kept) > self.KEPT:
                self._kept.popitem(last=False)
        return compressed


def _compressed(body: bytes, encoding: str) -> bytes:
    compressor = zlib.compressobj(level=1, wbits=31 if encoding == "gzip" else -15)
    return compressor.compress(body) + compressor.flush()
