"""An open WebSocket of aiohttp's, a server's or a client's, as our handlers see it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp import web

MESSAGE_BYTES_MAX = 1024 * 1024
"""Nomad's clients send pieces of a few KiB."""


class OpenSocket:
    """write_timeout_s: so long may the other side take before it has read what came before."""

    def __init__(
        self, connection: web.WebSocketResponse | aiohttp.ClientWebSocketResponse, write_timeout_s: float = 60.0
    ) -> None:
        self._connection = connection
        self._write_timeout_s = write_timeout_s
        self._reason = ""

    async def receive(self) -> str | None:
        message = await self._connection.receive()
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                return str(message.data)
            case aiohttp.WSMsgType.BINARY:
                return bytes(message.data).decode("utf-8", "replace")
            case aiohttp.WSMsgType.CLOSE:
                self._reason = message.extra or ""
                return None
            case _:
                return None

    async def send(self, text: str) -> None:
        try:
            async with asyncio.timeout(self._write_timeout_s):
                await self._connection.send_str(text)
        except (TimeoutError, aiohttp.ClientError) as error:
            raise ConnectionError("the other side of a WebSocket does not read") from error

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if not self._connection.closed:
            await self._connection.close(code=code, message=reason.encode())

    @property
    def close_code(self) -> int | None:
        return self._connection.close_code

    @property
    def close_reason(self) -> str:
        return self._reason
