"""Identifiers: UUIDs made of chance that is handed in, so that a seed repeats a run."""

from __future__ import annotations

import os
from collections.abc import Callable

RandomBytes = Callable[[int], bytes]
"""`os.urandom`, or a seeded stand-in: `random_bytes(n)` gives n bytes."""

system_random_bytes: RandomBytes = os.urandom


def new_id(random_bytes: RandomBytes = system_random_bytes) -> str:
    """A random UUID (version 4) as text."""
    return new_ids(1, random_bytes)[0]


def new_ids(count: int, random_bytes: RandomBytes = system_random_bytes) -> list[str]:
    """Many at once: one call for chance, and no object in between."""
    text = random_bytes(16 * count).hex()
    return [
        f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"
        for h in (text[i : i + 32] for i in range(0, 32 * count, 32))
    ]


def id_bytes(identifier: str) -> bytes:
    """The 16 bytes of a UUID, as packed columns keep it."""
    return bytes.fromhex(identifier.replace("-", ""))


def id_text(raw: bytes) -> str:
    """The text of a UUID's 16 bytes."""
    h = raw.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def short_id(identifier: str) -> str:
    """What people are shown unless they ask for `-verbose`."""
    return identifier[:8]
