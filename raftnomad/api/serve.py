"""The one HTTP server: requests in, answers out. aiohttp's server stands in this file alone.

Slow and greedy clients are met here: deadlines for headers, bodies and reading, a limit of connections per address,
and bodies that never take more memory than they may.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from socket import socket
from typing import Any
from urllib.parse import unquote, unquote_plus

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from raftnomad.api import answers
from raftnomad.api.compression import Compressor, accepted_encoding
from raftnomad.api.open_socket import MESSAGE_BYTES_MAX, OpenSocket
from raftnomad.api.websockets import CLOSE_GOING_AWAY, CLOSE_NORMAL, closing
from raftnomad.errors import BadRequest, RaftnomadError, TooLarge
from raftnomad.tasks import Tasks
from raftnomad.telemetry import registry
from raftnomad.web import Answer, Handler, Request, Stream, WebSocket

logger = logging.getLogger(__name__)


def _is_ours(record: logging.LogRecord) -> bool:
    """Whatever strangers send that is no HTTP is answered with 400 and is no news."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


connections_logger = logging.getLogger(f"{__name__}.connections")
connections_logger.addFilter(_is_ours)


@dataclass(frozen=True, kw_only=True)
class Limits:
    body_bytes_max: int = 4 * 1024 * 1024
    """A job and its source, with room: the log's entries are no larger."""
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    write_timeout_s: float = 60.0
    """For each piece of an answer, until the client has taken what came before it."""
    idle_timeout_s: float = 120.0
    """A connection without requests is closed."""
    connections_per_address_max: int = 100
    """Nomad: `http_max_conns_per_client`; 0 is no limit."""
    handshake_timeout_s: float = 5.0


TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    b"Too many connections from this address: close some, or raise limits.http_max_conns_per_client.\n"
)

FIRST_FRAME_WAIT_S = 0.25
"""So long may a stream's first frame take before its headers are sent: an error until then keeps its status."""


class HttpServer:
    """handler: what answers; usually `Api.handle`. Needs a running event loop."""

    def __init__(self, handler: Handler, *, limits: Limits | None = None) -> None:
        self._handler = handler
        self._limits = limits or Limits()
        self._tasks = Tasks("http")
        self._compressor = Compressor()
        self._server = _CountingServer(self._answer, self._limits)
        self._listening: list[asyncio.Server] = []
        self._streams: set[asyncio.Future[None]] = set()
        """One for each stream that is being sent; done when it has to end."""

    def protocol_factory(self) -> asyncio.Protocol:
        """A protocol for one connection, for ports that are shared with something else (rpc)."""
        return self._server()

    async def listen(self, sockets: Sequence[socket], tls: ssl.SSLContext | None = None) -> None:
        """Serve on sockets that are bound already."""
        loop = asyncio.get_running_loop()
        timeout = self._limits.handshake_timeout_s if tls is not None else None
        for bound in sockets:
            self._listening.append(
                await loop.create_server(
                    self.protocol_factory, sock=bound, ssl=tls, ssl_handshake_timeout=timeout, backlog=1024
                )
            )

    async def listen_on(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Serve on an address; returns the port, which the system chose when `port` is 0. Raises OSError."""
        timeout = self._limits.handshake_timeout_s if tls is not None else None
        server = await asyncio.get_running_loop().create_server(
            self.protocol_factory, host, port, ssl=tls, ssl_handshake_timeout=timeout, backlog=1024
        )
        self._listening.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def stop(self, timeout_s: float = 2.0) -> None:
        """Take no new connections, end streams properly, let requests end, then cut off what is left."""
        for server in self._listening:
            server.close()
        for stream in self._streams:
            if not stream.done():
                stream.set_result(None)
        self._server.pre_shutdown()
        await self._server.shutdown(timeout_s)
        await self._tasks.cancel()

    async def _answer(self, received: web.BaseRequest) -> web.StreamResponse:
        protocol = received.protocol
        assert isinstance(protocol, _Connection)
        protocol.request_began()
        try:
            with registry.timed("nomad.http.request"):
                answer = await self._handled(received)
            return await self._send(received, answer)
        finally:
            protocol.request_ended()

    async def _handled(self, received: web.BaseRequest) -> Answer:
        try:
            request = await self._read(received)
        except RaftnomadError as error:
            received.protocol.close()  # What is left of the body would be taken for the next request.
            return answers.error(error, "reading a request")
        if request.method in ("GET", "HEAD"):
            return await self._handler(request)
        # A write goes on when its client hangs up: it may be half done.
        return await asyncio.shield(
            self._tasks.start(_called(self._handler, request), f"{request.method} {request.path}")
        )

    async def _read(self, received: web.BaseRequest) -> Request:
        path, _, query = received.raw_path.partition("?")
        if not path.startswith("/"):
            path = "/" + path.partition("://")[2].partition("/")[2]
        return Request(
            method=received.method,
            path=unquote(path),
            query=parse_query(query),
            raw_query=query,
            headers={name.lower(): value for name, value in received.headers.items()},
            body=await self._body(received) if received.body_exists else b"",
            remote=received.remote or "",
        )

    async def _body(self, received: web.BaseRequest) -> bytes:
        most = self._limits.body_bytes_max
        too_large = TooLarge(f"the request's body is larger than {most} bytes")
        if (received.content_length or 0) > most:
            raise too_large
        if received.headers.get("Expect", "").lower() == "100-continue" and received.transport is not None:
            received.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                async for chunk in received.content.iter_any():
                    body += chunk
                    if len(body) > most:
                        raise too_large
        except TimeoutError:
            raise BadRequest(f"the request's body did not arrive within {self._limits.body_timeout_s:g} s") from None
        except RequestPayloadError as error:
            raise BadRequest(f"the request's body cannot be read: {error}") from None
        return bytes(body)

    async def _send(self, received: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        if isinstance(answer, Stream):
            return await self._send_stream(received, answer)
        if isinstance(answer, WebSocket):
            return await self._send_websocket(received, answer)
        headers = {**answer.headers, "Vary": "Accept-Encoding"}
        if answer.content_type and (answer.body or answer.status >= 400):
            headers["Content-Type"] = answer.content_type
        body = answer.body
        encoding = accepted_encoding(received.headers.get("Accept-Encoding", "")) if body else ""
        if encoding:
            headers["Content-Encoding"] = encoding
            body = await self._compressor.compress(body, encoding)
        response = _Whole(status=answer.status, body=body or None, headers=headers)
        try:
            async with asyncio.timeout(self._limits.write_timeout_s):
                await response.prepare(received)
                await response.write_eof()
        except TimeoutError:
            logger.info("%s reads too slowly: cut off", received.remote)
            if received.transport is not None:
                received.transport.abort()
        return response

    async def _send_stream(self, received: web.BaseRequest, answer: Stream) -> web.StreamResponse:
        async with _closing(answer.frames) as frames:
            first = _asked(frames)
            try:
                await asyncio.wait([first], timeout=FIRST_FRAME_WAIT_S)
                if first.done() and first.exception() is not None:
                    return await self._send(received, answers.error(_exception(first), "a stream"))
                return await self._send_frames(received, answer, first)
            finally:
                first.cancel()

    async def _send_websocket(self, received: web.BaseRequest, answer: WebSocket) -> web.StreamResponse:
        if not _of_same_origin(received):
            # Or any page that somebody looks at could run commands by way of their browser.
            return await self._send(received, answers.text("websocket: request origin not allowed", 403))
        response = _Upgraded(max_msg_size=MESSAGE_BYTES_MAX, compress=False, headers=answer.headers)
        if not response.can_prepare(received).ok:
            return await self._send(received, answers.text("websocket connection not found in context", 400))
        await response.prepare(received)
        stopping = asyncio.get_running_loop().create_future()
        self._streams.add(stopping)
        socket = OpenSocket(response, self._limits.write_timeout_s)
        handled = asyncio.ensure_future(answer.handler(socket))
        try:
            await asyncio.wait([handled, stopping], return_when=asyncio.FIRST_COMPLETED)
            await socket.close(*_end_of(handled, received.path))
        finally:
            self._streams.discard(stopping)
            handled.cancel()
            await asyncio.wait([handled])
        return response

    async def _send_frames(
        self, received: web.BaseRequest, answer: Stream, first: asyncio.Future[bytes | None]
    ) -> web.StreamResponse:
        headers = {**answer.headers, "Vary": "Accept-Encoding"}
        if answer.content_type:
            headers["Content-Type"] = answer.content_type
        response = _Streamed(status=answer.status, headers=headers)
        await response.prepare(received)
        stopping = asyncio.get_running_loop().create_future()
        self._streams.add(stopping)
        pending = first
        try:
            while (frame := await _next_frame(pending, stopping)) is not None:
                async with asyncio.timeout(self._limits.write_timeout_s):
                    await response.write(frame)
                pending = _asked(answer.frames)
        except (RaftnomadError, TimeoutError) as error:
            # The status is sent; all that is left is to let the client see that this is not the end.
            logger.info("a stream of %s was cut off: %s", received.path, error)
            if received.transport is not None:
                received.transport.abort()
            return response
        finally:
            self._streams.discard(stopping)
            pending.cancel()
            await asyncio.wait([pending])
        await response.write_eof()
        return response


def _of_same_origin(received: web.BaseRequest) -> bool:
    """Only browsers name an origin; it has to be this server itself."""
    origin = received.headers.get("Origin")
    return origin is None or origin.partition("://")[2].lower() == received.headers.get("Host", "").lower()


def _end_of(handled: asyncio.Future[None], path: str) -> tuple[int, str]:
    if not handled.done():
        return CLOSE_GOING_AWAY, "the agent ends"
    error = handled.exception()
    if error is None:
        return CLOSE_NORMAL, ""
    if isinstance(error, ConnectionError):
        return CLOSE_GOING_AWAY, ""
    answer = answers.error(_exception(handled), path)
    return closing(answer.status, answer.body.decode())


def _asked(frames: AsyncIterator[bytes]) -> asyncio.Future[bytes | None]:
    """The next frame, on its way; whoever asks awaits it or cancels it, so it needs no other parent."""
    return asyncio.ensure_future(anext(frames, None))


async def _next_frame(pending: asyncio.Future[bytes | None], stopping: asyncio.Future[None]) -> bytes | None:
    """None when the stream has ended, or when this server is about to."""
    either: list[asyncio.Future[Any]] = [pending, stopping]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    return pending.result() if pending.done() else None


async def _called(handler: Handler, request: Request) -> Answer:
    return await handler(request)


def _closing(frames: AsyncIterator[bytes]) -> Any:
    return aclosing(frames)


def _exception(asked: asyncio.Future[Any]) -> Exception:
    error = asked.exception()
    return error if isinstance(error, Exception) else RaftnomadError(str(error))


def parse_query(query: str) -> tuple[tuple[str, str], ...]:
    """As Go reads it: pairs with a `;` or a broken escape are dropped."""
    pairs = []
    for part in query.split("&"):
        if not part or ";" in part or _has_broken_escape(part):
            continue
        name, _, value = part.partition("=")
        pairs.append((unquote_plus(name), unquote_plus(value)))
    return tuple(pairs)


def _has_broken_escape(part: str) -> bool:
    hexadecimal = "0123456789abcdefABCDEF"
    rest = part.split("%")[1:]
    return any(len(piece) < 2 or piece[0] not in hexadecimal or piece[1] not in hexadecimal for piece in rest)


class _CountingServer(web.Server):
    """aiohttp's server, with our connections."""

    def __init__(self, handler: Any, limits: Limits) -> None:
        super().__init__(
            handler,
            handler_cancellation=True,
            access_log=None,
            logger=connections_logger,
            keepalive_timeout=limits.idle_timeout_s,
            lingering_time=2.0,
            auto_decompress=False,  # As Nomad, which ignores what a body says of its encoding; and no bombs.
        )
        self.limits = limits
        self.addresses: Counter[str] = Counter()

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """One connection: counted by its address, and closed when a request's headers take too long."""

    __slots__ = ("_address", "_deadline", "_limits", "_refused", "_requests")

    def __init__(self, server: _CountingServer, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._limits = server.limits
        self._address = ""
        self._refused = False
        self._requests = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(self._manager, _CountingServer)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) else ""
        addresses = self._manager.addresses
        addresses[self._address] += 1
        most = self._limits.connections_per_address_max
        super().connection_made(transport)
        if self._address and most and addresses[self._address] > most:
            assert isinstance(transport, asyncio.Transport)
            self._refused = True
            transport.write(TOO_MANY_CONNECTIONS)
            transport.close()
            return
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._requests == 0 and self._deadline is None:
            self._expect_headers()
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._headers_came()
        if isinstance(self._manager, _CountingServer):
            addresses = self._manager.addresses
            addresses[self._address] -= 1
            if not addresses[self._address]:
                del addresses[self._address]
        super().connection_lost(exc)

    def request_began(self) -> None:
        self._requests += 1
        self._headers_came()

    def request_ended(self) -> None:
        self._requests -= 1

    def _expect_headers(self) -> None:
        self._deadline = self._loop.call_later(self._limits.header_timeout_s, self._too_slow)

    def _headers_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.transport is not None:
            self.transport.abort()


class _Whole(web.Response):
    """An answer without the headers that say which library sent it."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)


class _Upgraded(web.WebSocketResponse):
    def __init__(self, *, headers: Mapping[str, str], **settings: Any) -> None:
        super().__init__(**settings)
        self.headers.update(headers)

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)


class _Streamed(web.StreamResponse):
    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)
