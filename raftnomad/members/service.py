"""The serf port at work: it listens, asks every other server in turn, and lets the first of them agree."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raftnomad.certificates import roles
from raftnomad.clock import Clock, SystemClock
from raftnomad.errors import PeerError
from raftnomad.identifiers import RandomBytes, system_random_bytes
from raftnomad.members import joining, remembered
from raftnomad.members.channel import SERF_ALPN, Channel
from raftnomad.members.joining import Joined, Retry
from raftnomad.members.own import OwnWord
from raftnomad.members.port import SerfPort
from raftnomad.members.record import Identity, Record, Stage, member_of, members_message, parse_members
from raftnomad.members.table import FAILED_AFTER_S, Entry, Event, Status, Table, contradiction
from raftnomad.members.view import server_member
from raftnomad.model.server import ServerMember
from raftnomad.raft.hello import Hello, Purpose
from raftnomad.raft.listener import PortLimits
from raftnomad.raft.log import Member
from raftnomad.raft.network import Message
from raftnomad.raft.reach import is_loopback, join_address, require_certificates, split_address
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Founding:
    """These servers are a new cluster, and each of them has promised itself to it: raft may begin."""

    cluster_id: str
    first_members: tuple[Member, ...]


@dataclass(frozen=True, kw_only=True)
class Existing:
    """There is a cluster, with these members as far as was known; its leader has to add this server."""

    cluster_id: str
    members: tuple[Member, ...]


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds. Every other server is asked each `usual_s`, and each `hurried_s` while there is no cluster yet."""

    hurried_s: float = 0.25
    usual_s: float = 1.0
    gather_s: float = 0.02
    """After a change that is to be told at once, for more changes to come."""
    answer_timeout_s: float = 1.0
    join_timeout_s: float = 5.0
    failed_after_s: float = FAILED_AFTER_S


class Members:
    """One server's view of all servers, and its part in the first agreement.

    identity: an empty `serf_address` becomes the address that was listened on.
    directory: where the standing is kept, `<data_dir>/server`.
    cluster_id: of the raft state found in the data directory; empty when there is none.
    retry: `retry_join`; when its attempts are used up `on_retries_exhausted` is called.
    on_event: what happened to another server. The leader adds `servers_to_add()` then, and when it becomes leader.
    on_crash: a step could not be made durable; the server has to stop.
    """

    def __init__(
        self,
        identity: Identity,
        host: str,
        port: int,
        directory: Path,
        *,
        cluster_id: str = "",
        retry: Retry | None = None,
        on_event: Callable[[Event], None] = lambda _event: None,
        on_retries_exhausted: Callable[[], None] = lambda: None,
        on_crash: Callable[[BaseException], None] | None = None,
        server_tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
        port_limits: PortLimits | None = None,
        pace: Pace | None = None,
        clock: Clock | None = None,
        random_bytes: RandomBytes = system_random_bytes,
    ) -> None:
        self._identity = identity
        self._directory = directory
        self._known_cluster_id = cluster_id
        self._retry = retry or Retry()
        self._on_event = on_event
        self._on_retries_exhausted = on_retries_exhausted
        self._client_tls = client_tls
        self._pace = pace or Pace()
        self._clock = clock or SystemClock()
        if client_tls is not None:
            client_tls.set_alpn_protocols([SERF_ALPN])
        self._tasks = Tasks("members", on_crash)
        self._table = Table(identity.id, identity.name)
        self._own = OwnWord(identity, directory, random_bytes, self._spoken)
        self._channels: dict[str, Channel] = {}
        self._asking: set[str] = set()
        self._port = SerfPort(
            host,
            port,
            own_hello=self._hello,
            name_refusal=self._table.name_refusal,
            answer=self._answer,
            tls=server_tls,
            limits=port_limits,
        )
        self._hurry = asyncio.Event()
        self._reconsider = asyncio.Event()
        self._outbid_version = 0
        self._published = False
        self._remembered: tuple[str, ...] = ()

    # Life.

    async def start(self) -> None:
        """Raises ConfigurationError (address, certificates) and DataDirectoryError (damaged standing)."""
        if self._client_tls is None:
            await joining.refuse_to_reach_beyond_loopback(self._retry.addresses)
        await self._port.start()
        if not self._identity.serf_address:
            self._identity = replace(self._identity, serf_address=self._port.address)
        await self._own.begin(self._identity, self._known_cluster_id)
        self._remembered = await asyncio.to_thread(remembered.load, self._directory)
        self._tasks.start(self._keep_asking(), "ask the others")
        self._tasks.start(self._keep_deciding(), "agree")
        if self._retry.addresses:
            self._tasks.start(self._keep_joining(), "join")
        elif self._remembered:
            self._tasks.start(self._join_quietly(self._remembered), "join again")

    async def stop(self) -> None:
        """Stop without a word: to the others this server fails."""
        await self._tasks.cancel()
        for channel in self._channels.values():
            channel.close()
        await self._port.stop()

    async def leave(self) -> None:
        """Tell the others that this server goes on purpose, and forget them. `stop` is still to be called."""
        await self._remember(())
        await self._own.tell_leaving()
        alive = [entry for entry in self._table.entries.values() if entry.status == Status.ALIVE]
        await asyncio.gather(*(self._ask(entry) for entry in alive))

    async def bootstrap(self) -> Founding | Existing:
        """Wait until this server is a founder of a new cluster or knows the one to join; `waiting_for` says for what.

        Answers the same, and at once, whenever it is asked again, also after a restart.
        """
        await self._own.in_cluster.wait()
        standing = self._own.standing
        if standing.stage == Stage.FOUNDED:
            return Founding(cluster_id=standing.cluster_id, first_members=standing.members)
        return Existing(cluster_id=standing.cluster_id, members=standing.members)

    # What is known.

    @property
    def address(self) -> str:
        """The serf address that was listened on."""
        return self._port.address

    @property
    def own_record(self) -> Record:
        return self._own.record

    @property
    def waiting_for(self) -> str:
        """What `bootstrap` waits for, for people; empty in a cluster."""
        return self._own.waiting_for

    def entries(self) -> list[Entry]:
        """All other servers, those that left or failed included but not the pruned, by name."""
        shown = (entry for entry in self._table.entries.values() if not entry.record.pruned)
        return sorted(shown, key=lambda entry: (entry.record.name, entry.record.id))

    def server_members(self) -> list[ServerMember]:
        """The rows of `agent/members`: this server and all others, by name."""
        own = server_member(self._own.record, Status.LEFT if self._own.record.left else Status.ALIVE)
        rows = [own, *(server_member(entry.record, entry.status) for entry in self.entries())]
        return sorted(rows, key=lambda row: row.name)

    def servers_to_add(self) -> list[Member]:
        """For the leader: servers of this cluster that are alive and not among the members last published."""
        if not self._published:
            return []
        ours = {member.id for member in self._own.record.cluster_members}
        alive = (entry.record for entry in self.entries() if entry.status == Status.ALIVE)
        return [
            member_of(record.identity)
            for record in alive
            if record.cluster_id == self._own.record.cluster_id and record.id not in ours
        ]

    def admits(self, hello: Hello) -> bool:
        """For `TcpNetwork(admit=...)`: a server of this cluster that raft here has not heard of yet."""
        entry = self._table.entries.get(hello.server_id)
        return entry is not None and entry.record.cluster_id == self._own.record.cluster_id != ""

    # What it is told to do.

    async def publish_cluster(self, members: Sequence[Member], index: int) -> None:
        """Tell the others raft's members as of a raft index; a server that joins begins with the newest it hears."""
        self._published = True
        await self._own.tell_cluster(members, index)

    async def join(self, addresses: Sequence[str]) -> Joined:
        """Meet the servers at these serf addresses (`host` or `host:port`), and through them all others."""
        return await joining.join(addresses, self._meet)

    async def force_leave(self, name: str, prune: bool = False) -> None:
        """Declare a server gone, to all; an unknown name is no error. One that lives contradicts within seconds."""
        self._tell(self._table.force_left(name, prune, self._clock.monotonic_s()))
        self._hurry.set()

    # Loops.

    async def _keep_joining(self) -> None:
        await joining.keep_joining(
            self._retry, self._meet, self._present, lambda: not self._own.in_cluster.is_set(), self._clock.sleep
        )
        self._on_retries_exhausted()

    def _present(self) -> set[str]:
        alive = (entry for entry in self._table.entries.values() if entry.status == Status.ALIVE)
        return {self._identity.serf_address} | {entry.record.identity.serf_address for entry in alive}

    async def _keep_asking(self) -> None:
        due_s = self._clock.monotonic_s()
        while True:
            self._hurry.clear()
            now_s = self._clock.monotonic_s()
            if now_s - due_s > self._pace.usual_s:
                # This process was stopped or busy. Nobody could have been heard meanwhile.
                self._table.excuse(now_s - due_s)
            self._tell(self._table.judge(now_s, self._pace.failed_after_s))
            for entry in list(self._table.entries.values()):
                if entry.status != Status.LEFT and entry.record.id not in self._asking:
                    self._tasks.start(self._ask(entry), f"ask {entry.record.name}")
            pause_s = self._pace.usual_s if self._own.in_cluster.is_set() else self._pace.hurried_s
            due_s = now_s + pause_s
            try:
                async with asyncio.timeout(pause_s):
                    await self._hurry.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(self._pace.gather_s)

    async def _keep_deciding(self) -> None:
        while True:
            self._reconsider.clear()
            if self._outbid_version:
                version, self._outbid_version = self._outbid_version, 0
                await self._own.outbid(version)
            await self._own.settle(self._table.seen)
            present = (entry.record for entry in self.entries() if entry.status != Status.LEFT)
            if not self._own.record.left:
                await self._remember(tuple(sorted(record.identity.serf_address for record in present)))
            await self._reconsider.wait()

    async def _remember(self, addresses: tuple[str, ...]) -> None:
        if addresses == self._remembered or (not addresses and not self._table.entries):
            return
        self._remembered = addresses
        try:
            await asyncio.to_thread(remembered.save, self._directory, addresses)
        except OSError as error:
            logger.warning("members: %s: %s", remembered.FILE_NAME, error)

    async def _join_quietly(self, addresses: tuple[str, ...]) -> None:
        """Whoever does not answer now will come itself, or is gone."""
        joined = await self.join(addresses)
        if joined.error:
            logger.debug("members: %s", " ".join(joined.error.split()))

    def _spoken(self) -> None:
        self._hurry.set()

    # Asking.

    async def _ask(self, entry: Entry) -> None:
        """Exchange all that is known with one server; its silence is judged elsewhere."""
        server_id = entry.record.id
        host, port = split_address(entry.record.identity.serf_address)
        channel = self._channels.get(server_id)
        if channel is None or channel.place != (host, port):
            if channel is not None:
                channel.close()
            channel = self._channels[server_id] = self._channel(host, port)
        self._asking.add(server_id)
        try:
            await self._exchange(channel, self._pace.answer_timeout_s, server_id)
        except (PeerError, OSError, ssl.SSLError) as error:
            logger.debug("members: %s: %s", entry.record, roles.handshake_failure(error))
        finally:
            self._asking.discard(server_id)

    async def _meet(self, host: str, port: int) -> None:
        if self._client_tls is None and not is_loopback(host):
            require_certificates([join_address(host, port)])
        channel = self._channel(host, port)
        try:
            await self._exchange(channel, self._pace.join_timeout_s)
        finally:
            channel.close()

    def _channel(self, host: str, port: int) -> Channel:
        return Channel(host, port, self._hello, self._client_tls)

    async def _exchange(self, channel: Channel, timeout_s: float, expected_id: str = "") -> None:
        hello = await channel.greet(timeout_s)
        if expected_id and hello.server_id != expected_id:
            self._tell(self._table.not_at_home(expected_id, self._clock.monotonic_s()))
            raise PeerError(f"{hello} answers in its place")
        if hello.server_id == self._identity.id:
            return
        refused = self._table.name_refusal(hello.server_id, hello.name)
        if refused:
            raise PeerError(refused)
        answer = await channel.ask(self._all_that_is_known(), timeout_s)
        self._receive(hello, parse_members(answer))

    def _all_that_is_known(self) -> Message:
        return members_message([self._own.record, *self._table.records()])

    def _receive(self, hello: Hello, records: list[Record]) -> None:
        theirs = next((record for record in records if record.id == hello.server_id), None)
        if theirs is None or theirs.name != hello.name:
            raise PeerError(f"{hello} does not tell about itself")
        if any(record.identity.region != self._identity.region for record in records):
            raise PeerError(f"{hello} passes on servers of another region")
        now_s = self._clock.monotonic_s()
        known = len(self._table.entries)
        events = self._table.heard_from(theirs, now_s)
        events += self._table.learn(records, self._own.record.cluster_id, now_s)
        self._outbid_version = max(self._outbid_version, contradiction(self._own.record, records))
        if events or len(self._table.entries) > known:
            self._hurry.set()
        self._tell(events)

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            logger.info("members: %s %s", event.record, event.happening)
            self._on_event(event)
        self._reconsider.set()

    # Answering.

    def _answer(self, hello: Hello, records: list[Record]) -> Message:
        self._receive(hello, records)
        return self._all_that_is_known()

    def _hello(self) -> Hello:
        return Hello(
            purpose=Purpose.MEMBERS,
            cluster_id=self._own.record.cluster_id,
            server_id=self._identity.id,
            name=self._identity.name,
            region=self._identity.region,
            rpc_address=self._identity.rpc_address,
        )
