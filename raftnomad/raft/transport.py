"""The log's real network: TCP between servers, one outgoing connection for each peer.

A server speaks on the connections that it dialled and listens on those that it accepted. All are kept open; one that
breaks is dialled again at once, then with pauses that grow to a second.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from raftnomad.certificates import roles
from raftnomad.errors import PeerError
from raftnomad.raft.connection import Connection, Limits
from raftnomad.raft.hello import Hello, Purpose, incoming_refusal, outgoing_refusal
from raftnomad.raft.network import Message, NetworkListener
from raftnomad.raft.reach import require_certificates, split_address
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)

RECONNECT_FIRST_S = 0.1
RECONNECT_MAX_S = 1.0
UNIDENTIFIED_MAX = 64


@dataclass(eq=False)
class _Peer:
    id: str
    address: str
    guest: bool = False
    connection: Connection | None = None
    """The one that this server dialled, once its hello has been accepted."""
    task: asyncio.Task[None] | None = None
    complaint: str = ""
    """The last reason logged, so that a server that is down fills no log."""


@dataclass
class Counts:
    """Since start, for metrics."""

    messages_in: int = 0
    messages_out: int = 0
    dropped: int = 0
    """Messages that could not be queued."""
    connects: int = 0
    refused: int = 0
    """Incoming connections closed before or for their hello."""


class TcpNetwork:
    """Implements `raft.network.Network`.

    own: this server's hello; its cluster id has to be agreed already.
    tls: `settings.rpc_client_context(...)`; None speaks in the clear and refuses peers beyond loopback.
    admit: whether a server of this cluster that is not a member as far as this server knows may speak all the same.
    A server that was away while the members changed may otherwise never hear of it: the leader that would tell it is
    a stranger to it. An admitted stranger is dialled back at the address in its hello, for as long as it is connected.
    """

    def __init__(
        self,
        own: Hello,
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        admit: Callable[[Hello], bool] = lambda _hello: False,
    ) -> None:
        assert own.purpose == Purpose.RAFT and own.cluster_id and own.server_id
        self.counts = Counts()
        self._own = own
        self._tls = tls
        if tls is not None:
            tls.set_alpn_protocols(["raftnomad-raft/1"])
        self._limits = limits or Limits()
        self._admit = admit
        self._listener: NetworkListener | None = None
        self._writable_callback: Callable[[str], None] | None = None
        self._tasks = Tasks("raft network")
        self._running = False
        self._peers: dict[str, _Peer] = {}
        self._incoming: dict[str, Connection] = {}
        self._unidentified: dict[Connection, None] = {}
        """In the order in which they came."""
        self._complaint = ""

    # Network, as the log sees it.

    def listen(self, listener: NetworkListener) -> None:
        self._listener = listener

    def on_writable(self, callback: Callable[[str], None]) -> None:
        self._writable_callback = callback

    async def start(self) -> None:
        self._running = True
        for peer in self._peers.values():
            self._start_dialling(peer)

    async def stop(self) -> None:
        self._running = False
        for peer_id in list(self._peers):
            self._drop_peer(peer_id)
        for connection in [*self._incoming.values(), *self._unidentified]:
            connection.close("this server stops")
        await self._tasks.cancel()

    def set_peers(self, addresses: dict[str, str]) -> None:
        """Raises ConfigurationError when a peer is beyond loopback and there are no certificates."""
        wanted = {peer_id: address for peer_id, address in addresses.items() if peer_id != self._own.server_id}
        if self._tls is None:
            require_certificates(wanted.values())
        for peer_id, peer in list(self._peers.items()):
            if wanted.get(peer_id) == peer.address:
                peer.guest = False
            elif not peer.guest or peer_id in wanted:
                self._drop_peer(peer_id)
        for peer_id, connection in list(self._incoming.items()):
            if peer_id not in wanted and peer_id not in self._peers:
                connection.close("it is no member of this cluster any more")
        for peer_id, address in wanted.items():
            if peer_id not in self._peers:
                self._add_peer(_Peer(peer_id, address))

    def connected(self, peer_id: str) -> bool:
        peer = self._peers.get(peer_id)
        return peer is not None and peer.connection is not None

    def writable(self, peer_id: str) -> bool:
        peer = self._peers.get(peer_id)
        return peer is not None and peer.connection is not None and peer.connection.writable()

    def send(self, peer_id: str, message: Message) -> bool:
        peer = self._peers.get(peer_id)
        if peer is None or peer.connection is None:
            return False
        try:
            sent = peer.connection.send(message)
        except PeerError as error:
            logger.error("raft: to %s: %s", peer_id, error)
            sent = False
        if sent:
            self.counts.messages_out += 1
        else:
            self.counts.dropped += 1
        return sent

    # Outgoing connections.

    def _add_peer(self, peer: _Peer) -> None:
        self._peers[peer.id] = peer
        if self._running:
            self._start_dialling(peer)

    def _start_dialling(self, peer: _Peer) -> None:
        peer.task = self._tasks.start(self._keep_dialled(peer), f"to {peer.id}")

    def _drop_peer(self, peer_id: str) -> None:
        peer = self._peers.pop(peer_id)
        if peer.task is not None:
            peer.task.cancel()
        if peer.connection is not None:
            peer.connection.close("this server closed it")

    async def _keep_dialled(self, peer: _Peer) -> None:
        pause_s = RECONNECT_FIRST_S
        while True:
            try:
                connection = await self._dial(peer)
            except (OSError, ssl.SSLError) as error:
                self._complain(peer, f"can't reach {peer.address}: {roles.handshake_failure(error)}")
            else:
                try:
                    await asyncio.shield(connection.closed)
                finally:
                    connection.close("this server closed it")
                if connection.peer is not None:
                    pause_s = RECONNECT_FIRST_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RECONNECT_MAX_S)

    async def _dial(self, peer: _Peer) -> Connection:
        host, port = split_address(peer.address)

        def on_hello(connection: Connection, hello: Hello) -> None:
            self._answered(peer, connection, hello)

        def on_closed(connection: Connection, reason: str) -> None:
            self._outgoing_closed(peer, connection, reason)

        timeout_s = self._limits.connect_timeout_s
        async with asyncio.timeout(timeout_s if self._tls is None else 2 * timeout_s):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(
                    own_hello=lambda: self._own,
                    dialled=True,
                    limits=self._limits,
                    on_hello=on_hello,
                    on_message=_no_message,
                    on_closed=on_closed,
                    on_writable=lambda _connection: self._now_writable(peer),
                    tls=self._tls is not None,
                ),
                host,
                port,
                ssl=self._tls,
                server_hostname=roles.server_name(self._own.region) if self._tls is not None else None,
            )
        return connection

    def _answered(self, peer: _Peer, connection: Connection, hello: Hello) -> None:
        refusal = outgoing_refusal(self._own, hello, peer.id, peer.address)
        if refusal:
            raise PeerError(refusal)
        if self._peers.get(peer.id) is not peer:
            raise PeerError("it is no member of this cluster any more")
        peer.connection = connection
        peer.complaint = ""
        self.counts.connects += 1
        logger.info("raft: connected to %s at %s", hello, peer.address)
        if self._listener is not None:
            self._listener.on_connected(peer.id)

    def _outgoing_closed(self, peer: _Peer, connection: Connection, reason: str) -> None:
        if peer.connection is connection:
            peer.connection = None
            logger.info("raft: connection to %s at %s closed: %s", peer.id, peer.address, reason)
            if self._listener is not None:
                self._listener.on_disconnected(peer.id)
        else:
            self._complain(peer, f"no connection to {peer.address}: {reason}")

    def _now_writable(self, peer: _Peer) -> None:
        if self._writable_callback is not None and peer.connection is not None:
            self._writable_callback(peer.id)

    def _complain(self, peer: _Peer, complaint: str) -> None:
        if complaint != peer.complaint:
            peer.complaint = complaint
            logger.warning("raft: %s: %s", peer.id, complaint)

    # Incoming connections.

    def accept(self) -> asyncio.Protocol:
        """The protocol of one connection that came in at the rpc port."""
        if not self._running:
            raise PeerError("raft is not running here")
        if len(self._unidentified) >= UNIDENTIFIED_MAX:
            # The oldest goes: an honest hello takes milliseconds, and those who only hold places shall not win.
            next(iter(self._unidentified)).close("it said no hello and its place was needed", abort=True)
        connection = Connection(
            own_hello=lambda: self._own,
            dialled=False,
            limits=self._limits,
            on_hello=self._called,
            on_message=self._deliver,
            on_closed=self._incoming_closed,
            tls=self._tls is not None,
        )
        self._unidentified[connection] = None
        return connection

    def _called(self, connection: Connection, hello: Hello) -> None:
        stranger = incoming_refusal(self._own, hello, self._peers)
        if stranger and (incoming_refusal(self._own, hello, (hello.server_id,)) or not self._admit(hello)):
            raise PeerError(stranger)
        previous = self._incoming.get(hello.server_id)
        if previous is not None and previous.peer is not None and previous.peer.rpc_address != hello.rpc_address:
            # A server that moved is heard when its old connection has fallen silent, in about a second.
            raise PeerError(
                f"{hello} at {hello.rpc_address} has the id of {previous.peer} at {previous.peer.rpc_address}, "
                "which is connected: was a data directory copied?"
            )
        if stranger:
            if self._tls is None:
                require_certificates([hello.rpc_address])
            self._add_peer(_Peer(hello.server_id, hello.rpc_address, guest=True))
        self._unidentified.pop(connection, None)
        self._incoming[hello.server_id] = connection
        if previous is not None:
            # It would deliver late what the new connection has overtaken.
            previous.close("the same server has connected again", abort=True)

    def _deliver(self, connection: Connection, message: Message) -> None:
        assert connection.peer is not None
        self.counts.messages_in += 1
        if self._listener is not None:
            self._listener.on_message(connection.peer.server_id, message)

    def _incoming_closed(self, connection: Connection, reason: str) -> None:
        self._unidentified.pop(connection, None)
        hello = connection.peer
        if hello is None:
            self.counts.refused += 1
            if reason != self._complaint:
                # A server that is refused comes again every second.
                self._complaint = reason
                logger.warning("raft: connection from %s closed: %s", connection.remote, reason)
            return
        if self._incoming.get(hello.server_id) is connection:
            del self._incoming[hello.server_id]
            logger.info("raft: connection from %s closed: %s", hello, reason)
            peer = self._peers.get(hello.server_id)
            if peer is not None and peer.guest:
                self._drop_peer(peer.id)


def _no_message(_connection: Connection, message: Message) -> None:
    raise PeerError(f"it answered with a '{str(message['type'])[:32]}' where only beats are due")
