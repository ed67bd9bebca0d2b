"""The server in an agent: who the others are, the log, the state machine, and the server on top of them."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from raftnomad.agent.heartbeat_channel import HeartbeatChannel
from raftnomad.certificates import settings as certificates
from raftnomad.certificates.settings import TlsSettings
from raftnomad.clock import Clock
from raftnomad.errors import DataDirectoryError, PeerError, RaftnomadError
from raftnomad.fsm.machine import StateMachine
from raftnomad.identifiers import RandomBytes
from raftnomad.members.joining import Retry
from raftnomad.members.record import Identity
from raftnomad.members.service import Members
from raftnomad.members.table import Event
from raftnomad.raft.data_directory import identify
from raftnomad.raft.disk import SystemDisk
from raftnomad.raft.hello import Hello, Purpose
from raftnomad.raft.listener import PortLimits
from raftnomad.raft.log import Member
from raftnomad.raft.network import Network
from raftnomad.raft.node import RaftNode
from raftnomad.raft.reach import listening_host
from raftnomad.raft.rpc_port import ProtocolFactory, RpcPort
from raftnomad.raft.settings import RaftSettings
from raftnomad.raft.transport import TcpNetwork
from raftnomad.scheduler.process import SchedulerProcess
from raftnomad.server.server import Server
from raftnomad.server.settings import ServerSettings
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a server listens, and the addresses `host:port` at which others reach it."""

    bind_host: str
    rpc_port: int
    serf_port: int
    http_address: str
    rpc_address: str
    serf_address: str


@dataclass(frozen=True, kw_only=True)
class ServerPartSettings:
    directory: Path
    """`<data_dir>/server`"""
    server: ServerSettings
    places: Places
    bootstrap_expect: int
    retry: Retry = field(default_factory=Retry)
    tls: TlsSettings | None = None
    build: str = ""
    port_limits: PortLimits = field(default_factory=PortLimits)
    """Of the rpc port."""


class ServerPart:
    """`begin` opens the ports; `found` waits until there is a cluster to be part of, and starts the log.

    fail: told why this server cannot go on; ends the process.
    """

    def __init__(
        self, settings: ServerPartSettings, clock: Clock, random_bytes: RandomBytes, fail: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._random_bytes = random_bytes
        self._fail = fail
        self._tasks = Tasks("server part", self._crashed)
        self._raft_factory: ProtocolFactory | None = None
        self._http_factory: ProtocolFactory | None = None
        self._disk = SystemDisk()
        self._raft_directory = settings.directory / "raft"
        self._reconcile = asyncio.Event()
        self._members: Members | None = None
        self._begun: list[RpcPort | Members] = []
        self._unlock: Callable[[], None] | None = None
        self.node: RaftNode | None = None
        self.server: Server | None = None

    async def begin(self, http_factory: ProtocolFactory) -> None:
        """Listen on the rpc and serf ports. Raises ConfigurationError and DataDirectoryError."""
        settings = self._settings
        self._http_factory = http_factory
        # Before anything is said in this server's name: the log's own lock comes too late for that.
        self._disk.make_directory(str(settings.directory))
        self._unlock = self._disk.lock(str(settings.directory / "lock"))
        if self._unlock is None:
            raise DataDirectoryError(
                f"{settings.directory} is in use by another agent: stop it, or choose another data_dir"
            )
        identity = await asyncio.to_thread(identify, str(self._raft_directory), self._disk, self._random_bytes)
        self._server_id = identity.server_id
        encrypted = settings.tls is not None
        host = listening_host(settings.places.bind_host, encrypted)
        if host != settings.places.bind_host:
            logger.warning(
                "no certificates: the rpc and serf ports listen on %s only; for other machines make certificates with "
                "`raftnomad tls ca create` and `raftnomad tls cert create -server`",
                host,
            )
        rpc_port = RpcPort(
            host,
            settings.places.rpc_port,
            region=settings.server.region,
            raft_protocol_factory=self._accept_raft,
            http_protocol_factory=http_factory,
            tls=self._context(certificates.rpc_server_context),
            limits=settings.port_limits,
        )
        self._begun.append(rpc_port)
        await rpc_port.start()
        self._members = Members(
            Identity(
                id=self._server_id,
                name=settings.server.name,
                region=settings.server.region,
                datacenter=settings.server.datacenter,
                build=settings.build,
                rpc_address=settings.places.rpc_address,
                http_address=settings.places.http_address,
                serf_address=settings.places.serf_address,
                expect=settings.bootstrap_expect,
            ),
            host,
            settings.places.serf_port,
            settings.directory,
            cluster_id=identity.cluster_id,
            retry=settings.retry,
            on_event=self._on_member_event,
            on_crash=self._crashed,
            server_tls=self._context(certificates.rpc_server_context),
            client_tls=self._context(certificates.rpc_client_context),
            clock=self._clock,
            random_bytes=self._random_bytes,
        )
        self._begun.append(self.members)
        await self.members.start()

    def _context(self, make: Callable[[TlsSettings], ssl.SSLContext]) -> ssl.SSLContext | None:
        return make(self._settings.tls) if self._settings.tls is not None else None

    def _accept_raft(self) -> asyncio.Protocol:
        if self._raft_factory is None:
            raise PeerError("this server is not part of a cluster yet")
        return self._raft_factory()

    @property
    def members(self) -> Members:
        assert self._members is not None, "`begin` comes first"
        return self._members

    @property
    def waiting_for(self) -> str:
        """What there is no cluster for yet, for people; the HTTP port answers before all else is open."""
        return self._members.waiting_for if self._members is not None else "its own ports"

    async def found(self) -> Server:
        """Wait for a cluster, then start the log and the server. Raises DataDirectoryError."""
        settings = self._settings
        cluster = await self.members.bootstrap()
        first_members = getattr(cluster, "first_members", ())
        machine = StateMachine()
        channel = HeartbeatChannel(self._make_network(cluster.cluster_id), self._hear)
        self.node = RaftNode(
            RaftSettings(
                server_id=self._server_id,
                cluster_id=cluster.cluster_id,
                first_members=first_members,
                directory=str(self._raft_directory),
            ),
            machine,
            channel,
            self._disk,
            self._clock,
            random.Random(self._random_bytes(16)),
            self._fail,
        )
        await self.node.start()
        self.server = Server(
            log=self.node,
            machine=machine,
            clock=self._clock,
            scheduling=SchedulerProcess(),
            settings=settings.server,
            random_bytes=self._random_bytes,
            relay=channel.relay,
            list_members=self.members.server_members,
            on_crash=self._crashed,
        )
        await self.server.start()
        self.node.on_leadership(lambda _leads: self._reconcile.set())
        self._tasks.start(self._keep_members(), "members of the log")
        return self.server

    def _make_network(self, cluster_id: str) -> Network:
        settings = self._settings
        network = TcpNetwork(
            Hello(
                purpose=Purpose.RAFT,
                cluster_id=cluster_id,
                server_id=self._server_id,
                name=settings.server.name,
                region=settings.server.region,
                rpc_address=settings.places.rpc_address,
            ),
            tls=self._context(certificates.rpc_client_context),
            admit=self.members.admits,
        )
        self._raft_factory = network.accept
        return network

    def _hear(self, node_ids: Sequence[str]) -> None:
        if self.server is not None:
            self.server.receive_heartbeats(node_ids)

    # Members of the log follow the members of the gossip.

    def _on_member_event(self, _event: Event) -> None:
        self._reconcile.set()

    async def _keep_members(self) -> None:
        assert self.node is not None
        published: tuple[Member, ...] = ()
        while True:
            self._reconcile.clear()
            if self.node.members != published:
                published = self.node.members
                index = int(self.node.statistics()["applied_index"])
                await self.members.publish_cluster(published, index)
            if self.node.is_leader:
                await self._admit_servers()
            try:
                async with asyncio.timeout(1.0):
                    await self._reconcile.wait()
            except TimeoutError:
                continue

    async def _admit_servers(self) -> None:
        assert self.node is not None
        for member in self.members.servers_to_add():
            try:
                await self.node.add_server(member)
                logger.info("server %s (%s) replicates the log from now on", member.name, member.id)
            except (RaftnomadError, TimeoutError) as error:
                logger.warning("server %s can't be added yet: %s", member.name, error)

    def _crashed(self, error: BaseException) -> None:
        self._fail(f"{type(error).__name__}: {error}")

    async def stop(self, leave: bool) -> None:
        """With `leave` the other servers are told that this one goes on purpose."""
        await self._tasks.cancel()
        if leave:
            await self.members.leave()
        if self.server is not None:
            await self.server.stop()
        if self.node is not None:
            await self.node.stop()
        for part in reversed(self._begun):
            await part.stop()
        if self._unlock is not None:
            self._unlock()
