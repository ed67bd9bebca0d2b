"""Where other servers were last: so that a cluster that was stopped as a whole finds itself again.

Only a hint, and so neither synced nor missed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

FILE_NAME = "serf-peers.json"
ADDRESSES_MAX = 64


def load(directory: Path) -> tuple[str, ...]:
    """The serf addresses; none when there is no usable file."""
    try:
        stored = json.loads((directory / FILE_NAME).read_text())
    except (OSError, ValueError):
        return ()
    if not isinstance(stored, list):
        return ()
    return tuple(address for address in stored if isinstance(address, str))[:ADDRESSES_MAX]


def save(directory: Path, addresses: Sequence[str]) -> None:
    """Raises OSError."""
    temporary = directory / f"{FILE_NAME}.new"
    temporary.write_text(json.dumps(list(addresses[:ADDRESSES_MAX])))
    temporary.replace(directory / FILE_NAME)
