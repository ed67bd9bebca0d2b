"""Requests and responses as our handlers see them, so that no handler knows which HTTP library is below.

A handler is `async (Request) -> Response | Stream | WebSocket`. aiohttp's server stands in `api/serve.py` alone; the
simulator calls handlers directly.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from raftnomad.errors import BadRequest


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request. `query` keeps the order and repetition of the URL's parameters; `path` is decoded once."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What the route's pattern captured: `{id}` of `/v1/job/{id}`."""
    remote: str = ""
    raw_query: str = ""
    """The query as it was sent, for redirects."""

    def get(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)

    def get_all(self, name: str) -> list[str]:
        return [value for key, value in self.query if key == name]

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self.query)

    def flag(self, name: str) -> bool:
        """A boolean parameter as Go reads it; `?name` alone is false, as `ParseBool` is not asked about it."""
        value = self.get(name)
        if value == "":
            return False
        if value in ("1", "t", "T", "TRUE", "true", "True"):
            return True
        if value in ("0", "f", "F", "FALSE", "false", "False"):
            return False
        raise BadRequest(
            f'Failed to parse value of "{name}" ("{value}") as a bool: '
            f'strconv.ParseBool: parsing "{value}": invalid syntax'
        )

    @property
    def wants_websocket(self) -> bool:
        return self.headers.get("upgrade", "").lower() == "websocket"


@dataclass(frozen=True, kw_only=True)
class Response:
    """A whole answer. An empty body with status 200 is sent without a content type, as Nomad does."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """An answer that is sent frame by frame, each flushed; it ends when the iterator does."""

    frames: AsyncIterator[bytes]
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Socket(Protocol):
    """A WebSocket connection that is open: text messages, both ways, in order."""

    async def receive(self) -> str | None:
        """The next message; None when the other side has closed, or is gone."""

    async def send(self, text: str) -> None:
        """Waits while the other side reads too slowly; raises ConnectionError when it is gone."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """The first close is the one that counts."""

    @property
    def close_code(self) -> int | None:
        """The other side's, once `receive` gave None; None when it closed without one."""

    @property
    def close_reason(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class WebSocket:
    """An answer that goes on as a WebSocket. It is closed when `handler` returns.

    A RaftnomadError of the handler is told in the close frame: code 1011 for status 500, else 1008. When the other side
    is gone for good, the handler is cancelled.
    """

    handler: Callable[[Socket], Awaitable[None]]
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 101


Answer = Response | Stream | WebSocket
Handler = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """One row of the route table.

    pattern: `/v1/job/{id}/plan`; a captured part may itself contain `/`, so suffixes are matched first.
    methods: upper case; PUT and POST are always listed together where Nomad takes both.
    access: what the caller needs, as access control will read it: `namespace:read-job`, `node:write`,
    `management`, `none`, or `client-agent` for the private routes that ask for a node's secret.
    """

    methods: tuple[str, ...]
    pattern: str
    handler: Handler
    access: str
