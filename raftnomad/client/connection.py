"""How a client agent reaches the servers: `sdk/agent_protocol.py` over HTTP, to whichever of them answers."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from raftnomad.client.servers import Servers
from raftnomad.errors import BadRequest, Forbidden, NotFound, RaftnomadError
from raftnomad.identifiers import RandomBytes, system_random_bytes
from raftnomad.model.row import Row
from raftnomad.sdk import agent_protocol as protocol

if TYPE_CHECKING:
    import aiohttp

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 15.0
"""For anything but a long poll; a write waits for the log."""
HEARTBEAT_TIMEOUT_S = 5.0
"""Short, so that a server that hangs does not cost the node its life: the next one is asked in time."""
CONNECT_TIMEOUT_S = 3.0

R = TypeVar("R", bound=Row)


class NoServers(RaftnomadError):
    """No server could be reached, or none of them can answer now. Try again."""


class Connection(Protocol):
    """What the rest of the client knows of the servers.

    Each question raises NoServers when none answers, or what a server refused it with: NotFound, Forbidden, BadRequest.
    """

    def identify(self, node_id: str, secret_id: str) -> None: ...

    def known_servers(self) -> tuple[str, ...]: ...

    async def register(self, request: protocol.RegisterRequest) -> protocol.HeartbeatResponse: ...

    async def heartbeat(self, request: protocol.HeartbeatRequest) -> protocol.HeartbeatResponse: ...

    async def allocations(self, index: int, wait_s: float) -> protocol.AllocationsResponse: ...

    async def fetch(self, request: protocol.FetchRequest) -> protocol.FetchResponse: ...

    async def report(self, request: protocol.ReportRequest) -> protocol.ReportResponse: ...

    async def close(self) -> None: ...


class HttpConnection:
    """servers: addresses `host:port`, or whole URLs. A server that fails is asked last from then on.

    server_name: what a server's certificate has to be made for; with a context that checks names.
    """

    def __init__(
        self,
        servers: Sequence[str],
        *,
        ssl_context: ssl.SSLContext | None = None,
        server_name: str = "",
        random_bytes: RandomBytes = system_random_bytes,
    ) -> None:
        self.servers = Servers(servers)
        self._ssl = ssl_context
        self._server_name = server_name or None
        self._random_bytes = random_bytes
        self._headers: dict[str, str] = {"Content-Type": protocol.CONTENT_TYPE}
        self._session: aiohttp.ClientSession | None = None
        self._polls: dict[str, asyncio.Timeout] = {}

    def identify(self, node_id: str, secret_id: str) -> None:
        self._headers |= {protocol.NODE_HEADER: node_id, protocol.SECRET_HEADER: secret_id}

    def known_servers(self) -> tuple[str, ...]:
        return self.servers.in_order()

    async def register(self, request: protocol.RegisterRequest) -> protocol.HeartbeatResponse:
        return self._learn(await self._ask("PUT", "register", request, protocol.HeartbeatResponse))

    async def heartbeat(self, request: protocol.HeartbeatRequest) -> protocol.HeartbeatResponse:
        answer = await self._ask("PUT", "heartbeat", request, protocol.HeartbeatResponse, HEARTBEAT_TIMEOUT_S)
        return self._learn(answer)

    async def allocations(self, index: int, wait_s: float) -> protocol.AllocationsResponse:
        path = f"allocations?index={index}&wait={int(wait_s * 1000)}ms"
        timeout_s = wait_s * 17 / 16 + ANSWER_TIMEOUT_S
        return await self._ask("GET", path, None, protocol.AllocationsResponse, timeout_s)

    async def fetch(self, request: protocol.FetchRequest) -> protocol.FetchResponse:
        return await self._ask("PUT", "fetch", request, protocol.FetchResponse)

    async def report(self, request: protocol.ReportRequest) -> protocol.ReportResponse:
        return await self._ask("PUT", "report", request, protocol.ReportResponse)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _learn(self, response: protocol.HeartbeatResponse) -> protocol.HeartbeatResponse:
        self.servers.learn(response.servers, self._random_bytes(1)[0] / 256)
        return response

    async def _ask(
        self, method: str, path: str, request: Row | None, answer_type: type[R], timeout_s: float = ANSWER_TIMEOUT_S
    ) -> R:
        """One try at each server, in order, until one answers."""
        body = msgspec.msgpack.encode(request) if request is not None else b""
        problems = []
        for address in self.servers.in_order():
            try:
                content = await self._exchange(method, address, path, body, timeout_s)
                return msgspec.msgpack.decode(content, type=answer_type)
            except (NoServers, msgspec.MsgspecError) as error:
                logger.debug("%s %s at %s: %s", method, path, address, error)
                problems.append(f"{address}: {error}")
                self._failed(address)
        raise NoServers("; ".join(problems) or "no servers are known: set `client.servers` or `server_join`")

    def _failed(self, address: str) -> None:
        """Ask others first, and do not go on waiting for it: cut off from the leader, it has no news to tell."""
        self.servers.failed(address)
        poll = self._polls.pop(address, None)
        if poll is not None:
            poll.reschedule(asyncio.get_running_loop().time())

    async def _exchange(self, method: str, address: str, path: str, body: bytes, timeout_s: float) -> bytes:
        import aiohttp

        limits = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        try:
            async with (
                self._waiting_for(method, address),
                self._open_session().request(
                    method,
                    self._url(address, path),
                    data=body,
                    headers=self._headers,
                    timeout=limits,
                    server_hostname=self._server_name,
                ) as response,
            ):
                content = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise NoServers(str(error) or type(error).__name__) from error
        if response.status == 200:
            return content
        raise _refusal(response.status, content.decode("utf-8", "replace"))

    @asynccontextmanager
    async def _waiting_for(self, method: str, address: str) -> AsyncIterator[None]:
        """Lets a long poll (the only GET) be given up from elsewhere, by `_failed`."""
        async with asyncio.timeout(None) as scope:
            if method == "GET":
                self._polls[address] = scope
            try:
                yield
            finally:
                if self._polls.get(address) is scope:
                    del self._polls[address]

    def _open_session(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._ssl if self._ssl is not None else True)
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session

    def _url(self, address: str, path: str) -> str:
        scheme = "https" if self._ssl is not None else "http"
        base = address if "://" in address else f"{scheme}://{address}"
        return f"{base.rstrip('/')}{protocol.PREFIX}/{path}"


def _refusal(status: int, text: str) -> RaftnomadError:
    """A refusal that every server would give, or a reason to ask the next."""
    match status:
        case 400:
            return BadRequest(text)
        case 403:
            return Forbidden(text)
        case 404:
            return NotFound(text)
        case _:
            return NoServers(f"status {status}: {text}")
