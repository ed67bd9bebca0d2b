"""Asking another server at its serf address: one connection, one question at a time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from raftnomad.certificates import roles
from raftnomad.errors import PeerError
from raftnomad.raft.connection import Connection, Limits
from raftnomad.raft.hello import Hello, refusal
from raftnomad.raft.network import Message

SERF_ALPN = "raftnomad-serf/1"

SERF_LIMITS = Limits(
    frame_bytes_max=1024 * 1024, write_buffer_bytes=1024 * 1024, write_buffer_bytes_max=2 * 1024 * 1024
)


class Channel:
    """A connection to one address, dialled when the first question is asked."""

    def __init__(self, host: str, port: int, own_hello: Callable[[], Hello], tls: ssl.SSLContext | None) -> None:
        self.place = (host, port)
        self._own_hello = own_hello
        self._tls = tls
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._greeted: asyncio.Future[Hello] | None = None
        self._answer: asyncio.Future[Message] | None = None

    async def ask(self, question: Message, timeout_s: float) -> Message:
        """The answer. Raises PeerError, OSError (TimeoutError too) or ssl.SSLError; then the channel is closed."""
        async with self._turn:
            try:
                async with asyncio.timeout(timeout_s):
                    connection = await self._connected()
                    self._answer = asyncio.get_running_loop().create_future()
                    if not connection.send(question):
                        raise PeerError("the connection broke")
                    return await self._answer
            except BaseException:
                self.close()
                raise

    async def greet(self, timeout_s: float) -> Hello:
        """Who answers there."""
        async with self._turn:
            try:
                async with asyncio.timeout(timeout_s):
                    hello = (await self._connected()).peer
                    assert hello is not None
                    return hello
            except BaseException:
                self.close()
                raise

    async def _connected(self) -> Connection:
        if self._connection is not None and not self._connection.closed.done():
            return self._connection
        loop = asyncio.get_running_loop()
        self._greeted = loop.create_future()
        region = self._own_hello().region
        _, self._connection = await loop.create_connection(
            self._protocol,
            *self.place,
            ssl=self._tls,
            server_hostname=roles.server_name(region) if self._tls is not None else None,
        )
        await self._greeted
        return self._connection

    def _protocol(self) -> Connection:
        return Connection(
            own_hello=self._own_hello,
            dialled=True,
            limits=SERF_LIMITS,
            on_hello=self._on_hello,
            on_message=self._on_message,
            on_closed=self._on_closed,
            tls=self._tls is not None,
        )

    def _on_hello(self, connection: Connection, hello: Hello) -> None:
        reason = refusal(self._own_hello(), hello)
        if reason:
            raise PeerError(reason)
        if self._greeted is not None and not self._greeted.done():
            self._greeted.set_result(hello)

    def _on_message(self, connection: Connection, message: Message) -> None:
        if self._answer is None or self._answer.done():
            raise PeerError("it answered without being asked")
        self._answer.set_result(message)

    def _on_closed(self, connection: Connection, reason: str) -> None:
        for waiting in (self._greeted, self._answer):
            if waiting is not None and not waiting.done():
                waiting.set_exception(PeerError(reason))
                # Whoever waits sees it; when nobody does, it is nobody's loss.
                waiting.exception()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close("this server closed it")
