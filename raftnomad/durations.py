"""Durations as Go writes them: `1h30m`, `1.5s`, `250ms`. Job files, agent configuration and the HTTP API all use them.

Durations are nanoseconds, as integers, everywhere in raftnomad.
"""

from __future__ import annotations

import re

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
_LARGEST = 2**63 - 1


def parse_duration(text: str) -> int:
    """Nanoseconds; raises ValueError with the words that Go's `time.ParseDuration` has for it."""
    rest = text[1:] if text[:1] in ("-", "+") else text
    negative = text.startswith("-")
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f"time: invalid duration {quote(text)}")
    total = 0
    position = 0
    while position < len(rest):
        part = _PART.match(rest, position)
        assert part is not None
        whole, fraction, unit = part.groups()
        if not whole and not fraction:
            raise ValueError(f"time: invalid duration {quote(text)}")
        if not unit:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if unit not in _UNITS_NS:
            raise ValueError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        size = _UNITS_NS[unit]
        total += int(whole or 0) * size
        if fraction:
            total += int(fraction) * size // 10 ** len(fraction)
        position = part.end()
    if total > _LARGEST + negative:
        raise ValueError(f"time: invalid duration {quote(text)}")
    return -total if negative else total


def format_duration(duration_ns: int) -> str:
    """As Go's `Duration.String`: `0s`, `1.5s`, `250ms`, `1h0m0s`."""
    if duration_ns < 0:
        return "-" + format_duration(-duration_ns)
    if duration_ns == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if duration_ns < size * 1000:
            return _decimal(duration_ns, size) + unit
    seconds = _decimal(duration_ns % 60_000_000_000, 1_000_000_000) + "s"
    minutes = duration_ns // 60_000_000_000
    if minutes == 0:
        return seconds
    if minutes < 60:
        return f"{minutes}m{seconds}"
    return f"{minutes // 60}h{minutes % 60}m{seconds}"


def _decimal(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    if not rest:
        return str(whole)
    digits = len(str(size)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0")


def quote(text: str) -> str:
    """A text between double quotes as Go's time package quotes it: what is not plain ASCII, byte by byte."""
    return '"' + "".join(map(_quoted, text.encode())) + '"'


def _quoted(byte: int) -> str:
    if byte in b'"\\':
        return "\\" + chr(byte)
    return chr(byte) if 0x20 <= byte < 0x80 else f"\\x{byte:02x}"
