"""How commands print: columns, key and value pairs, times and identifiers, as people and scripts know them."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Iterable, Sequence

SHORT_ID_LENGTH = 8


def columns(rows: Sequence[Sequence[str]], empty: str = "") -> str:
    """A table: columns padded to their widest cell and parted by two blanks; `empty` stands for empty cells."""
    cells = [[cell if cell != "" else empty for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells if i < len(row)) for i in range(max(map(len, cells), default=0))]
    return "\n".join("  ".join(cell.ljust(widths[i]) for i, cell in enumerate(row)).rstrip() for row in cells)


def key_values(pairs: Iterable[tuple[str, str]], empty: str = "<none>") -> str:
    """`Key   = value`, one a line."""
    rows = list(pairs)
    width = max((len(key) for key, _ in rows), default=0)
    return "\n".join(f"{key.ljust(width)} = {value if value != '' else empty}" for key, value in rows)


def limit_id(identifier: str, verbose: bool) -> str:
    return identifier if verbose else identifier[:SHORT_ID_LENGTH]


def local_time(time_ns: int) -> str:
    """A moment in the user's own time zone, to the second, as RFC 3339; empty for "never"."""
    if time_ns <= 0:
        return "N/A"
    moment = datetime.datetime.fromtimestamp(time_ns // 1_000_000_000, datetime.UTC).astimezone()
    return _zone(moment)


def local_rfc3339(text: str) -> str:
    """The same for a time that is RFC 3339 text on the wire."""
    if not text or text.startswith("0001-01-01"):
        return "N/A"
    moment = datetime.datetime.fromisoformat(text[:19] + "+00:00").astimezone()
    return _zone(moment)


def _zone(moment: datetime.datetime) -> str:
    text = moment.strftime("%Y-%m-%dT%H:%M:%S%z")
    return text[:-5] + "Z" if text.endswith("+0000") else text[:-2] + ":" + text[-2:]


def ago(then_ns: int, now_ns: int) -> str:
    """`6s ago`, `2m3s ago`, `1h2m ago`: two units at most."""
    if then_ns <= 0:
        return ""
    seconds = max(0, (now_ns - then_ns) // 1_000_000_000)
    units = (("y", 365 * 86400), ("mo", 30 * 86400), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    parts = []
    for name, length in units:
        if seconds >= length:
            parts.append(f"{seconds // length}{name}")
            seconds %= length
        elif parts:
            break
        if len(parts) == 2:
            break
    return ("".join(parts) or "0s") + " ago"


def coloured() -> bool:
    """Whether colours are wanted: where a person looks, unless the flags or Nomad's variables say otherwise."""
    if os.environ.get("NOMAD_CLI_NO_COLOR"):
        return False
    return bool(os.environ.get("NOMAD_CLI_FORCE_COLOR")) or sys.stdout.isatty()


def section(title: str, text: str) -> str:
    """A part of an answer below its title, which is bold on a terminal."""
    shown = f"\x1b[1m{title}\x1b[0m\x1b[0m" if coloured() else title
    return f"{shown}\n{text}"


def out(text: str = "") -> None:
    print(text, file=sys.stdout, flush=True)


def error(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
