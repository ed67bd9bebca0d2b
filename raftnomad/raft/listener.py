"""A guarded port: counts, deadlines and TLS before anything of a connection is believed.

The rpc and the serf port are both one of these. What a connection is for is decided from its ALPN name when it is
encrypted, else from its first byte, and then it is handed on to the protocol that serves it.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from raftnomad.certificates import roles
from raftnomad.errors import ConfigurationError, PeerError
from raftnomad.raft.connection import remote_address
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PortLimits:
    """Nomad: 100 connections of one address, 5 s for the TLS handshake (and, here, for the first byte)."""

    connections_per_address: int = 100
    undecided: int = 256
    """Connections whose handshake or first byte is outstanding, of all addresses together; then the oldest goes."""
    first_byte_timeout_s: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """What is known of a new connection. `alpn` is None and `names` empty without TLS or without a certificate."""

    remote: str
    encrypted: bool
    alpn: str | None
    names: tuple[str, ...]
    first_byte: bytes


Choose = Callable[[Arrival], asyncio.Protocol]
"""Names the protocol that serves an arrival; raises PeerError to turn it away."""


class Listener:
    """Listens on `host:port` (port 0: any free one) between `start` and `stop`."""

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        choose: Choose,
        *,
        tls: ssl.SSLContext | None = None,
        limits: PortLimits | None = None,
    ) -> None:
        self.name = name
        self.choose = choose
        self.tls = tls
        self.limits = limits or PortLimits()
        self.tasks = Tasks(f"{name} port")
        self.undecided: dict[_Arriving, None] = {}
        """In the order in which they came."""
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._arrivals: set[_Arriving] = set()
        self._per_address: Counter[str] = Counter()
        self._complaint = ""

    async def start(self) -> None:
        """Raises ConfigurationError when the address can't be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Arriving(self), self._host, self._port)
        except OSError as error:
            raise ConfigurationError(
                f"can't listen on {self._host}:{self._port} for {self.name}: {error.strerror or error}"
            ) from error
        self._port = self._server.sockets[0].getsockname()[1]

    @property
    def address(self) -> str:
        """`host:port`, with the port that was given by the operating system when 0 was asked for."""
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    async def stop(self) -> None:
        """Closes the port and every connection that came through it."""
        if self._server is not None:
            self._server.close()
        for arrival in list(self._arrivals):
            arrival.abort()
        await self.tasks.cancel()

    # What the connections report.

    def admit(self, arrival: _Arriving, address: str) -> str:
        """Count a connection; or say why not."""
        if self._per_address[address] >= self.limits.connections_per_address:
            return f"{self.limits.connections_per_address} connections of its address are open already"
        if len(self.undecided) >= self.limits.undecided:
            # The oldest goes: who is honest decides in milliseconds, and those who only hold places shall not win.
            next(iter(self.undecided)).make_room()
        self.undecided[arrival] = None
        self._per_address[address] += 1
        self._arrivals.add(arrival)
        return ""

    def complain(self, remote: str, reason: str) -> None:
        """One line for each kind of trouble, not for each attempt."""
        if reason != self._complaint:
            self._complaint = reason
            logger.warning("%s port: %s turned away: %s", self.name, remote, reason)

    def forget(self, arrival: _Arriving, address: str) -> None:
        self._arrivals.discard(arrival)
        self._per_address[address] -= 1
        if not self._per_address[address]:
            del self._per_address[address]


class _Arriving(asyncio.Protocol):
    """Stays in front of the chosen protocol for as long as the connection lives, to keep the count."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._chosen: asyncio.Protocol | None = None
        self._early = b""
        self._address = ""
        self._admitted = False
        self._handshaking = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self._address = str(name[0]) if isinstance(name, tuple) else "?"
        refusal = self._listener.admit(self, self._address)
        if refusal:
            self._turn_away(refusal)
            return
        self._admitted = True
        timeout_s = self._listener.limits.first_byte_timeout_s
        if self._listener.tls is None:
            self._timer = asyncio.get_running_loop().call_later(timeout_s, self._overdue)
            return
        self._handshaking = True
        self._transport.pause_reading()
        self._listener.tasks.start(self._handshake(self._listener.tls, timeout_s), "handshake")

    async def _handshake(self, context: ssl.SSLContext, timeout_s: float) -> None:
        assert self._transport is not None
        try:
            encrypted = await asyncio.get_running_loop().start_tls(
                self._transport, self, context, server_side=True, ssl_handshake_timeout=timeout_s
            )
        except (OSError, ssl.SSLError) as error:
            if self in self._listener.undecided:
                self._turn_away(f"TLS handshake failed: {roles.handshake_failure(error)}")
        else:
            if encrypted is not None:
                self._encrypted(encrypted)
        finally:
            if self._handshaking:
                # `start_tls` has taken the raw connection's callbacks away and gives none back.
                self._transport.abort()
                self._end(None)

    def _encrypted(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._handshaking = False
        ssl_object = cast("ssl.SSLObject", transport.get_extra_info("ssl_object"))
        early, self._early = self._early, b""
        arrival = Arrival(
            remote=remote_address(transport),
            encrypted=True,
            alpn=ssl_object.selected_alpn_protocol(),
            names=roles.peer_names(ssl_object),
            first_byte=early[:1],
        )
        self._decide(arrival, early)

    def _decide(self, arrival: Arrival, early: bytes) -> None:
        assert self._transport is not None
        self._decided()
        try:
            self._chosen = self._listener.choose(arrival)
        except PeerError as error:
            self._turn_away(str(error))
            return
        self._chosen.connection_made(self._transport)
        if early:
            self._chosen.data_received(early)

    def _decided(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._listener.undecided.pop(self, None)

    def _overdue(self) -> None:
        self._turn_away(f"not a byte within {self._listener.limits.first_byte_timeout_s:g} s")

    def _turn_away(self, reason: str) -> None:
        assert self._transport is not None
        self._listener.complain(remote_address(self._transport), reason)
        self._transport.abort()

    def make_room(self) -> None:
        self._decided()
        self._turn_away("it has not said what it is for and its place was needed")

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # Handed on.

    def data_received(self, data: bytes) -> None:
        if self._chosen is not None:
            self._chosen.data_received(data)
        elif self._handshaking:
            # Decrypted already, but `start_tls` has not yet returned: at most what one read held.
            self._early += data
        elif self in self._listener.undecided:
            assert self._transport is not None
            remote = remote_address(self._transport)
            self._decide(Arrival(remote=remote, encrypted=False, alpn=None, names=(), first_byte=data[:1]), data)

    def eof_received(self) -> bool | None:
        return self._chosen.eof_received() if self._chosen is not None else None

    def pause_writing(self) -> None:
        if self._chosen is not None:
            self._chosen.pause_writing()

    def resume_writing(self) -> None:
        if self._chosen is not None:
            self._chosen.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        self._decided()
        if self._admitted:
            self._admitted = False
            self._listener.forget(self, self._address)
        chosen, self._chosen = self._chosen, None
        if chosen is not None:
            chosen.connection_lost(error)
