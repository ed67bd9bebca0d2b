"""Sizes as people write them: `1M`, `1.5 MB`, `512KiB`."""

from __future__ import annotations

import re

_UNITS = {"": 1, "b": 1} | {
    letter + suffix: base**power
    for power, letter in enumerate("kmgtp", 1)
    for suffix, base in (("", 1000), ("b", 1000), ("i", 1024), ("ib", 1024))
}


def parse_size(text: str) -> int:
    """Bytes; `M` is a million, `Mi` is 1024 squared. Raises ValueError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([a-zA-Z]*)\s*", text, re.ASCII)
    if found is None or found[2].lower() not in _UNITS:
        raise ValueError(f'"{text}" is no size: write for example "1M" or "512KiB"')
    return int(float(found[1]) * _UNITS[found[2].lower()])
