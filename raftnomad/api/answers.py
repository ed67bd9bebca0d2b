"""Answers as Nomad words them: headers, inlined meta data, and what becomes of an error."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from raftnomad.errors import RaftnomadError
from raftnomad.model import wire
from raftnomad.web import Response

logger = logging.getLogger(__name__)

PLAIN = "text/plain; charset=utf-8"

OMITTED: Any = msgspec.UNSET
"""As a field's value: leaves the field out of the JSON, whatever its type."""


def json(value: object, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body=wire.encode(value), headers=headers or {})


def written(index: int, value: dict[str, Any] | None = None) -> Response:
    """The answer to a write: its index in the header, and in the body when there is one."""
    headers = {"X-Nomad-Index": str(index)}
    if value is None:
        return Response(headers=headers)
    return json({**value, "Index": index}, headers)


NO_QUERY_META = {"LastContact": 0, "KnownLeader": False, "NextToken": ""}
"""What answers to job writes carry besides: Nomad's structs embed it, though a write has none."""


NO_QUERY_META_HEADERS = {"X-Nomad-Index": "0", "X-Nomad-KnownLeader": "false", "X-Nomad-LastContact": "0"}


def text(message: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status=status, body=message.encode(), content_type=PLAIN, headers=headers or {})


def error(exception: Exception, where: str) -> Response:
    """A caller's fault keeps its status and text; ours is logged and answered with 500."""
    if isinstance(exception, RaftnomadError):
        return text(str(exception), exception.status)
    logger.error("%s failed", where, exc_info=exception)
    return text(f"raftnomad made a mistake in {where}: {exception!r}; its log holds the details", 500)
