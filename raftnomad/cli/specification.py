"""Specification files in HCL1 that only the command line reads: namespaces, node pools. The API gets JSON."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Any

from raftnomad.errors import RaftnomadError


def read_text(path: str) -> str:
    """The file at `path`, `-` being standard input; raises with Go's wording."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text()
    except OSError as wrong:
        why = (wrong.strerror or str(wrong)).lower()
        raise RaftnomadError(f'Failed to read file "{path}": open {path}: {why}') from wrong


def parse_json(text: str) -> dict[str, Any]:
    try:
        value = json_module.loads(text)
    except ValueError as wrong:
        raise RaftnomadError(f"Failed to parse input content: {wrong}") from wrong
    if not isinstance(value, dict):
        raise RaftnomadError("Failed to parse input content: a JSON object is expected")
    return value


def parse_hcl(text: str) -> dict[str, Any]:
    """Plain values by their keys; of a key that is repeated the last one counts."""
    from raftnomad.hcl import legacy

    try:
        return _plain(legacy.parse(text))
    except legacy.LegacySyntaxError as wrong:
        raise RaftnomadError(f"Failed to parse input content: {wrong}") from wrong


def _plain(values: dict[str, list[Any]]) -> dict[str, Any]:
    return {key: _plain(items[-1]) if isinstance(items[-1], dict) else items[-1] for key, items in values.items()}


def as_text(value: Any) -> str:
    """A scalar where text is wanted, as HCL1 converts it: true is `1`."""
    if isinstance(value, bool):
        return str(int(value))
    return str(value)
