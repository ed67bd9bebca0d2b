"""The answering half of the serf port."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable

from raftnomad.errors import PeerError
from raftnomad.members.channel import SERF_ALPN, SERF_LIMITS
from raftnomad.members.record import Record, parse_members
from raftnomad.raft.connection import Connection
from raftnomad.raft.hello import Hello, refusal
from raftnomad.raft.listener import Arrival, Listener, PortLimits
from raftnomad.raft.network import Message
from raftnomad.raft.rpc_port import refuse_unless_role

logger = logging.getLogger(__name__)

CONNECTIONS_MAX = 256


class SerfPort:
    """own_hello: who answers here, as of now.
    name_refusal: why a server of that id may not come under that name.
    answer: what to say to a server that has told what it knows.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        own_hello: Callable[[], Hello],
        name_refusal: Callable[[str, str], str],
        answer: Callable[[Hello, list[Record]], Message],
        tls: ssl.SSLContext | None,
        limits: PortLimits | None,
    ) -> None:
        if tls is not None:
            tls.set_alpn_protocols([SERF_ALPN])
        self._listener = Listener("serf", host, port, self._protocol_of, tls=tls, limits=limits)
        self._own_hello = own_hello
        self._name_refusal = name_refusal
        self._answer = answer
        self._connections: set[Connection] = set()
        self._complaint = ""

    @property
    def address(self) -> str:
        return self._listener.address

    async def start(self) -> None:
        """Raises ConfigurationError."""
        await self._listener.start()

    async def stop(self) -> None:
        for connection in list(self._connections):
            connection.close("this server stops")
        await self._listener.stop()

    def _protocol_of(self, arrival: Arrival) -> asyncio.Protocol:
        refuse_unless_role(arrival, ("server",), self._own_hello().region)
        if arrival.encrypted and arrival.alpn != SERF_ALPN:
            raise PeerError("it does not want the serf port")
        if len(self._connections) >= CONNECTIONS_MAX:
            raise PeerError("too many connections")
        connection = Connection(
            own_hello=self._own_hello,
            dialled=False,
            limits=SERF_LIMITS,
            on_hello=self._called,
            on_message=self._asked,
            on_closed=self._closed,
            tls=arrival.encrypted,
        )
        self._connections.add(connection)
        return connection

    def _called(self, connection: Connection, hello: Hello) -> None:
        if hello.server_id == self._own_hello().server_id:
            # Itself, by an address in retry_join, which sees from this server's hello whom it has reached.
            return
        reason = refusal(self._own_hello(), hello) or self._name_refusal(hello.server_id, hello.name)
        if reason:
            raise PeerError(reason)

    def _asked(self, connection: Connection, message: Message) -> None:
        hello = connection.peer
        assert hello is not None
        if hello.server_id == self._own_hello().server_id:
            raise PeerError(f"{hello} has the id of this server: was a data directory copied?")
        connection.send(self._answer(hello, parse_members(message)))

    def _closed(self, connection: Connection, reason: str) -> None:
        self._connections.discard(connection)
        if connection.peer is None and reason != self._complaint:
            # Whoever is refused comes again every second.
            self._complaint = reason
            logger.warning("members: connection from %s closed: %s", connection.remote, reason)
