"""Requests that another agent answers: the only place of the HTTP client. Streams stay streams.

Each agent on the way adds to a counter in the headers, so that two that disagree on who knows an allocation do not
send a request back and forth.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from raftnomad.api.open_socket import MESSAGE_BYTES_MAX, OpenSocket
from raftnomad.api.websockets import CLOSE_INTERNAL, CLOSE_NORMAL
from raftnomad.errors import NoLeader, NoPathToNode, RaftnomadError
from raftnomad.web import Answer, Request, Response, Socket, Stream, WebSocket

logger = logging.getLogger(__name__)

HOPS_HEADER = "X-Raftnomad-Hops"
HOPS_MAX = 2
"""Client agent to server, server to the node that has the allocation."""

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 330.0
"""Of silence: a blocking query may last 300 s and a sixteenth."""

WHOLE_BYTES_MAX = 256 * 1024
"""Answers of a known length up to this are passed on in one piece."""

_NOT_PASSED_ON = frozenset(
    (
        "connection",
        "keep-alive",
        "transfer-encoding",
        "upgrade",
        "te",
        "trailer",
        "proxy-authorization",
        "proxy-connection",
        "host",
        "content-length",
        "content-encoding",
        "content-type",
        "accept-encoding",
        "expect",
        "vary",
        "date",
        "server",
        HOPS_HEADER.lower(),
    )
)


_OF_WEBSOCKETS = frozenset(
    (
        "origin",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
        "sec-websocket-accept",
    )
)
"""Each connection has its own; the origin is checked by the agent that a browser speaks to."""


class ServerList(Protocol):
    """The servers as a client agent knows them: `client.servers.Servers`."""

    def in_order(self) -> tuple[str, ...]:
        """`host:port`, the best first."""

    def failed(self, address: str) -> None: ...

    def reconfigure(self, addresses: Sequence[str]) -> None: ...


class NotReached(RaftnomadError):
    """No connection was made, so nothing was done."""


def hops(request: Request) -> int:
    text = request.headers.get(HOPS_HEADER.lower(), "0")
    return int(text) if text.isascii() and text.isdigit() else HOPS_MAX


@dataclass(frozen=True, kw_only=True)
class Tls:
    """How others are called: they have to show a certificate, and are shown ours."""

    context: ssl.SSLContext
    names: tuple[str, ...] = ()
    """The other side's certificate has to be made for one of these; the context then checks names.

    Empty when any certificate of the CA will do.
    """


class Forwarder:
    """servers: for the rpc ports of servers, nodes: for the http ports of nodes; None without certificates."""

    def __init__(self, *, servers: Tls | None = None, nodes: Tls | None = None) -> None:
        self._servers_tls = servers
        self._nodes_tls = nodes
        self._session: aiohttp.ClientSession | None = None

    async def to_servers(self, servers: ServerList, request: Request) -> Answer:
        """Ask servers in order until one is reached; what it answers then is the answer."""
        if hops(request) >= HOPS_MAX:
            raise RaftnomadError("this request was forwarded in a circle: this agent is no server")
        scheme = "https" if self._servers_tls is not None else "http"
        for address in servers.in_order():
            try:
                base = address if "://" in address else f"{scheme}://{address}"
                return await self._send(base, request, self._servers_tls)
            except NotReached:
                servers.failed(address)
        raise NoLeader("No servers are reachable from this client agent")

    async def to_server(self, address: str, request: Request) -> Answer:
        """Ask one server and no other. Raises NotReached."""
        if hops(request) >= HOPS_MAX:
            raise RaftnomadError("this request was forwarded in a circle")
        return await self._send(f"{'https' if self._servers_tls else 'http'}://{address}", request, self._servers_tls)

    async def to_node(self, address: str, tls_enabled: bool, request: Request) -> Answer:
        """Ask the agent of a node at its HTTP address. Raises NoPathToNode."""
        if hops(request) >= HOPS_MAX:
            raise NoPathToNode
        try:
            return await self._send(f"{'https' if tls_enabled else 'http'}://{address}", request, self._nodes_tls)
        except NotReached:
            raise NoPathToNode from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _send(self, base: str, request: Request, tls: Tls | None) -> Answer:
        """Asked under each name in turn: a connection to somebody else ends before the request is sent."""
        refused = ""
        for name in (tls.names if tls is not None else ()) or (None,):
            try:
                return await self._send_to(base, request, tls, name)
            except aiohttp.ClientConnectorCertificateError as error:
                refused = str(error.certificate_error)
        logger.warning("%s shows a certificate that is not good for this cluster: %s", base, refused)
        raise NotReached(refused)

    async def _open_websocket(self, base: str, request: Request, tls: Tls | None, name: str | None) -> Answer:
        """Open before it is answered here, so that an agent that cannot be reached can still be passed over."""
        try:
            connection = await self._open_session().ws_connect(
                URL(base + target(request), encoded=True),
                headers=_passed_on(request, but=_OF_WEBSOCKETS),
                max_msg_size=MESSAGE_BYTES_MAX,
                ssl=tls.context if tls is not None else True,
                server_hostname=name,
            )
        except aiohttp.ClientConnectorCertificateError:
            raise
        except aiohttp.WSServerHandshakeError as error:
            raise RaftnomadError(f"{base} would not open a WebSocket: {error.message}") from error
        except aiohttp.ClientConnectionError as error:
            raise NotReached(str(error)) from error

        async def relay(socket: Socket) -> None:
            await relayed(socket, OpenSocket(connection))

        return WebSocket(handler=relay)

    async def _send_to(self, base: str, request: Request, tls: Tls | None, name: str | None) -> Answer:
        if request.wants_websocket:
            return await self._open_websocket(base, request, tls, name)
        try:
            response = await self._open_session().request(
                request.method,
                URL(base + target(request), encoded=True),
                data=request.body or None,
                headers=_passed_on(request),
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Content-Type"),
                ssl=tls.context if tls is not None else True,
                server_hostname=name,
            )
        except aiohttp.ClientConnectorCertificateError:
            raise
        except aiohttp.ClientConnectionError as error:
            raise NotReached(str(error)) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise RaftnomadError(f"{base} did not answer: {error or type(error).__name__}") from error
        return await _received(response)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=True)
        return self._session


def _passed_on(request: Request, but: frozenset[str] = frozenset()) -> dict[str, str]:
    headers = {name: value for name, value in request.headers.items() if name not in _NOT_PASSED_ON | but}
    return {**headers, HOPS_HEADER: str(hops(request) + 1)}


async def relayed(here: Socket, there: Socket) -> None:
    """Pass messages both ways until one side closes, and the other side's close on."""

    async def pump(source: Socket, sink: Socket) -> None:
        while (text := await source.receive()) is not None:
            await sink.send(text)

    ways = [asyncio.ensure_future(pump(here, there)), asyncio.ensure_future(pump(there, here))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        if ways[1].done():
            await here.close(*_passed_close(there))
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await there.close()


def _passed_close(there: Socket) -> tuple[int, str]:
    """1005 and 1006 say that there was no close frame, and may stand in none."""
    code = there.close_code
    if code in (None, 1006):
        return CLOSE_INTERNAL, "the connection to the task's agent broke"
    return (CLOSE_NORMAL if code == 1005 else code), there.close_reason


def target(request: Request) -> str:
    """The path and query as they stand in a request line."""
    path = quote(request.path, safe="/:@!$&'()*+,;=~-._")
    return f"{path}?{urlencode(request.query)}" if request.query else path


async def _received(response: aiohttp.ClientResponse) -> Answer:
    headers = {name: value for name, value in response.headers.items() if name.lower() not in _NOT_PASSED_ON}
    content_type = response.headers.get("Content-Type", "")
    length = response.content_length
    if length is not None and length <= WHOLE_BYTES_MAX:
        try:
            body = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise RaftnomadError(f"the answer of {response.url.host} broke off: {error}") from error
        return Response(status=response.status, body=body, content_type=content_type, headers=headers)
    return Stream(frames=_frames(response), status=response.status, content_type=content_type, headers=headers)


async def _frames(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for data in response.content.iter_any():
            yield data
    finally:
        response.close()
