"""A node's metadata: what the configuration sets, and what users change while the agent runs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from raftnomad.errors import BadRequest

_KEY = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*")

Dynamic = dict[str, str | None]
"""None hides a key of the configuration."""


def merged(static: Mapping[str, str], dynamic: Mapping[str, str | None]) -> dict[str, str]:
    together: dict[str, str | None] = {**static, **dynamic}
    return {key: value for key, value in together.items() if value is not None}


def apply(static: Mapping[str, str], dynamic: Mapping[str, str | None], change: Mapping[str, str | None]) -> Dynamic:
    """The dynamic part after a change; a key that is nowhere else any more leaves no trace. Raises BadRequest."""
    check_keys(change)
    after = {**dynamic, **change}
    return {key: value for key, value in after.items() if value is not None or key in static}


def check_keys(change: Mapping[str, str | None]) -> None:
    if not change:
        raise BadRequest("missing required Meta object")
    for key in change:
        if key == "":
            raise BadRequest("metadata keys must not be empty")
        if not _KEY.fullmatch(key):
            raise BadRequest(f'"{key}" is invalid; metadata keys must be valid dotted hcl identifiers')
