"""One server of the replicated log: `Log` as the rest of raftnomad sees it, put together from the parts beside it.

Nothing polls. A message, a proposal, a sync that returned or a deadline schedules one tick; a tick hands on what
waits, lets pysyncobj's core go one step, applies a slice of what is committed, and asks for the next deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from raftnomad import errors
from raftnomad.clock import Clock
from raftnomad.fsm.outcome import Outcome
from raftnomad.raft.administration import Administration
from raftnomad.raft.boot import boot
from raftnomad.raft.core import Core
from raftnomad.raft.disk import Disk
from raftnomad.raft.elections import Elections
from raftnomad.raft.entries import MembershipChange
from raftnomad.raft.filter import Filter
from raftnomad.raft.journal import SyncPoint
from raftnomad.raft.log import Machine, Member
from raftnomad.raft.messages import problem_of
from raftnomad.raft.network import Message, Network
from raftnomad.raft.outbox import Outbox
from raftnomad.raft.proposals import Proposals
from raftnomad.raft.reads import Reads
from raftnomad.raft.settings import RaftSettings
from raftnomad.raft.snapshot_transfer import SnapshotReceiver, SnapshotSender
from raftnomad.raft.snapshotting import Snapshotting
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)

_IDLE_S = 1.0


class ServerStopped(Exception):
    """`fail` was called: nothing of this server runs on."""


class RaftNode:
    """`fail` is told why the server can't go on; a server's ends the process, and nothing here runs on after it."""

    def __init__(
        self,
        settings: RaftSettings,
        machine: Machine,
        network: Network,
        disk: Disk,
        clock: Clock,
        chance: random.Random,
        fail: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._machine = machine
        self._network = network
        self._disk = disk
        self._now = clock.monotonic_s
        self._chance = chance
        self._on_fail = fail
        self._tasks = Tasks("raft", on_crash=self._task_crashed)
        self._running = False
        self._scheduled = False
        self._syncing = False
        self._timer: asyncio.TimerHandle | None = None
        self._listeners: list[Callable[[bool], None]] = []
        self._led_term: int | None = None
        self._known_leader: str | None = None
        self._known_term = 0
        self._waiters: list[tuple[int, int, Callable[[], None]]] = []
        self._counter = itertools.count()

    # --- life

    async def start(self) -> None:
        """Raises DataDirectoryError, and ConfigurationError when pysyncobj is not the one that was audited."""
        start = boot(self._settings, self._machine, self._disk, self.fail)
        self._release_lock = start.release
        self._journal = start.journal
        self._loop = asyncio.get_running_loop()
        core = self._core = Core(self._settings, start.journal, start.history, self, self._now, self._chance)
        if start.snapshot is not None:
            core.start_from(start.snapshot.index)
        self._outbox = Outbox(start.journal, self._network.send)
        self._elections = Elections(core, self._settings, self._chance, self._network.send)
        self._filter = Filter(core, self._elections, self._outbox, self._network.send, self._now, self.fail)
        self._proposals = Proposals(
            core,
            self._settings,
            self._network.send,
            self._network.connected,
            self._when_applied,
            self._now,
            self._chance.getrandbits(48),
            self._no_room,
        )
        self._reads = Reads(
            core,
            self._network.send,
            self._network.connected,
            lambda peer_id: self._filter.acknowledged.get(peer_id, 0),
            self._when_applied,
            self._now,
            self._chance.getrandbits(48),
        )
        self._snapshots = Snapshotting(
            core, self._settings, self._machine, self._disk, start.snapshot, self._tasks, self._kick, self.fail
        )
        self._sender = SnapshotSender(
            core, self._settings, self._network, self._disk, self._snapshots, self._filter.outgoing, self._now
        )
        self._receiver = SnapshotReceiver(
            core,
            self._settings,
            self._machine,
            self._network,
            self._disk,
            self._snapshots,
            self._tasks,
            self._kick,
            self.fail,
        )
        self._administration = Administration(
            core,
            self._network,
            self._proposals,
            self._tasks,
            self._now,
            self._settings.heartbeat_s,
            self.members_changed,
            self._kick,
            self._chance.getrandbits(48),
        )
        self._network.listen(self)
        self._network.on_writable(self._writable_again)
        self._running = True
        self.members_changed()
        await self._network.start()
        if core.is_alone:
            core.election_deadline_s = self._now() - 1
        self._kick()

    async def stop(self) -> None:
        """Release the data directory. What was proposed and not answered yet is answered as unknown."""
        if not self._running:
            return
        self._running = False
        self._proposals.stop()
        if self._timer is not None:
            self._timer.cancel()
        await self._network.stop()
        await self._tasks.cancel()
        self._tell_listeners(False)
        self._journal.close()
        self._release_lock()

    def kill(self) -> None:
        """End at once, as a crash does: nothing is flushed, nobody is told. For simulations."""
        self._running = False
        self._tasks.abandon()
        if self._timer is not None:
            self._timer.cancel()

    def fail(self, reason: str) -> NoReturn:
        """Stop for good: going on could break a promise."""
        self._running = False
        logger.critical("the log stops: %s", reason)
        self._on_fail(reason)
        raise ServerStopped(reason)

    @contextlib.contextmanager
    def _stopping_on_bugs(self) -> Iterator[None]:
        """A step that was left half done must not be followed by another."""
        try:
            yield
        except ServerStopped:
            pass
        except Exception as error:
            logger.critical("a bug in the log", exc_info=error)
            with contextlib.suppress(ServerStopped):
                self.fail(f"a bug: {error!r}")

    def _task_crashed(self, error: BaseException) -> None:
        if not isinstance(error, ServerStopped) and self._running:
            self._running = False
            self._on_fail(f"the log's own task failed: {error!r}")

    # --- Log

    async def propose(self, proposal: bytes, timeout_s: float = 30.0) -> Outcome:
        if not self._running:
            raise errors.NoLeader("This server's log is not running")
        self._kick()
        return await self._proposals.propose(proposal, timeout_s)

    async def consistent_read(self, timeout_s: float = 5.0) -> None:
        if not self._running:
            raise errors.NoLeader("This server's log is not running")
        self._kick()
        await self._reads.read(timeout_s)

    @property
    def server_id(self) -> str:
        return self._settings.server_id

    @property
    def is_leader(self) -> bool:
        return self._running and self._led_term is not None

    @property
    def leader(self) -> Member | None:
        return self._member(self._core.leader_id) if self._running else None

    @property
    def members(self) -> tuple[Member, ...]:
        return self._core.history.latest

    @property
    def last_contact_ms(self) -> int:
        if self._core.is_leader:
            return 0
        silence_s = self._now() - self._elections.heard_s
        return int(min(silence_s * 1000, 1 << 31))

    def on_leadership(self, callback: Callable[[bool], None]) -> None:
        self._listeners.append(callback)
        if self.is_leader:
            callback(True)

    def statistics(self) -> dict[str, str]:
        core, journal = self._core, self._journal
        figures: dict[str, object] = {
            "state": core.state_name,
            "term": core.term,
            "commit_index": core.commit_index,
            "applied_index": core.applied_index,
            "fsm_pending": core.commit_index - core.applied_index,
            "first_log_index": journal.first_index,
            "last_log_index": journal.last_index,
            "last_log_term": journal.last_term,
            "durable_index": journal.durable_index,
            "log_bytes": journal.entry_bytes,
            "log_disk_bytes": journal.disk_bytes,
            "log_syncs": journal.syncs,
            "last_snapshot_index": self._snapshots.index,
            "last_snapshot_term": self._snapshots.term,
            "last_contact": f"{self.last_contact_ms}ms",
            "num_peers": len(core.others),
            "queued_bytes": self._proposals.queued_bytes,
            "protocol_version": self._settings.format_version,
        }
        return {name: str(value) for name, value in figures.items()}

    async def transfer_leadership(self, server_id: str | None = None) -> Member:
        return await self._administration.transfer_leadership(server_id)

    async def add_server(self, member: Member) -> None:
        """Also gives a member its new addresses. Returns when the change is committed."""
        await self._administration.change(MembershipChange(adds=member))

    async def remove_server(self, server_id: str) -> None:
        await self._administration.change(MembershipChange(removes=server_id))

    # --- Network's listener

    def on_message(self, peer_id: str, message: Message) -> None:
        if not self._running:
            return
        problem = problem_of(message)
        if problem:
            logger.warning("a message from %s is refused: %s", peer_id, problem)
            return
        with self._stopping_on_bugs():
            self._take_message(peer_id, message)
            self._kick()

    def on_connected(self, peer_id: str) -> None:
        if not self._running:
            return
        with self._stopping_on_bugs():
            self._core.connected(peer_id)
            self._kick()

    def on_disconnected(self, peer_id: str) -> None:
        if not self._running:
            return
        with self._stopping_on_bugs():
            self._core.disconnected(peer_id)
            self._filter.disconnected(peer_id)
            self._proposals.disconnected(peer_id)
            self._reads.disconnected(peer_id)
            self._sender.disconnected(peer_id)
            self._kick()

    def _take_message(self, peer_id: str, message: Message) -> None:
        match message["type"]:
            case "forward":
                self._proposals.on_forward(peer_id, message)
            case "forwarded":
                self._proposals.on_forwarded(peer_id, message)
            case "read":
                self._reads.on_read(peer_id, message)
            case "read_at":
                self._reads.on_read_at(peer_id, message)
            case "change":
                self._administration.on_change(peer_id, message)
            case "transfer":
                self._administration.on_transfer(peer_id, message)
            case "changed":
                self._administration.on_changed(message)
            case "snapshot_received":
                self._sender.on_received(peer_id, message)
            case "snapshot":
                self._filter.incoming(peer_id, message)
                self._receiver.on_chunk(peer_id, message)
            case _:
                self._filter.incoming(peer_id, message)
                self._reads.confirm()

    # --- what the core asks for

    def send(self, peer_id: str, message: dict[str, Any]) -> bool:
        return self._filter.outgoing(peer_id, message)

    def writable(self, peer_id: str) -> bool:
        return self._network.writable(peer_id)

    def needs_snapshot(self, peer_id: str) -> None:
        self._sender.begin(peer_id)

    def receives_snapshot(self, peer_id: str) -> bool:
        return self._sender.serves(peer_id)

    def apply(self, proposals: list[bytes]) -> Sequence[Any]:
        return self._machine.apply(proposals)

    def members_changed(self) -> None:
        if self._running:
            known = {**self._administration.joining, **{member.id: member for member in self.members}}
            try:
                self._network.set_peers({m.id: m.rpc_address for m in known.values() if m.id != self.server_id})
            except errors.ConfigurationError as error:
                # The log has decided it; that this server can't reach a member is no reason to leave the others.
                logger.error("not all members can be reached: %s", error)

    def _no_room(self) -> None:
        """Another server's disk may have some."""
        if self._core.others and self._core.is_established:
            self._tasks.start(self._administration.step_aside(), "hand over for want of room")

    # --- ticks

    def _kick(self) -> None:
        if not self._scheduled and self._running:
            self._scheduled = True
            self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        self._scheduled = False
        if not self._running:
            return
        with self._stopping_on_bugs():
            self._step()
            self._arm_timer()

    def _step(self) -> None:
        core = self._core
        self._proposals.pump()
        self._reads.pump()
        self._elections.before_tick(self._now())
        # Alone, its own copy is the majority: nothing is committed before it is durable.
        if not (core.is_alone and core.is_leader and self._journal.sync_point() is not None):
            core.tick()
        self._observe()
        self._begin_sync()
        self._snapshots.take_if_due()
        self._sender.pump()
        if core.lags:
            self._kick()

    def _observe(self) -> None:
        """Tell whoever waits what has changed."""
        core = self._core
        if core.term != self._known_term:
            self._known_term = core.term
            self._filter.term_began()
        if core.leader_id != self._known_leader or (self._led_term not in (None, core.term)):
            self._leader_changed()
        if core.is_established and self._led_term is None:
            self._led_term = core.term
            self._tell_listeners(True)
        self._reads.confirm()
        while self._waiters and self._waiters[0][0] <= core.applied_index:
            heapq.heappop(self._waiters)[2]()

    def _leader_changed(self) -> None:
        core = self._core
        logger.info("%s in term %d, leader %s", core.state_name, core.term, core.leader_id)
        was_leader = self._known_leader == self.server_id
        self._known_leader = core.leader_id
        if was_leader:
            self._proposals.leadership_lost()
            self._sender.stop()
        if self._led_term is not None:
            self._led_term = None
            self._tell_listeners(False)
        self._proposals.leader_changed(core.leader_id)
        self._reads.leader_changed(core.leader_id)
        self._kick()

    def _tell_listeners(self, leads: bool) -> None:
        for listener in self._listeners:
            listener(leads)

    def _when_applied(self, index: int, callback: Callable[[], None]) -> None:
        if index <= self._core.applied_index:
            callback()
        else:
            heapq.heappush(self._waiters, (index, next(self._counter), callback))

    def _arm_timer(self) -> None:
        core, now_s = self._core, self._now()
        deadline_s = now_s + _IDLE_S
        if core.is_leader:
            deadline_s = min(deadline_s, core.next_heartbeat_s) if core.others else deadline_s
        elif core.is_member:
            deadline_s = min(deadline_s, core.election_deadline_s)
        deadline_s = min(deadline_s, self._proposals.next_try_s, self._reads.next_try_s)
        if self._timer is not None:
            self._timer.cancel()
        # A moment more: pysyncobj acts when a deadline is past, not when it is reached.
        self._timer = self._loop.call_later(max(0.0, deadline_s - now_s) + 0.001, self._kick)

    # --- the disk

    def _begin_sync(self) -> None:
        point = None if self._syncing else self._journal.sync_point()
        if point is not None:
            self._syncing = True
            self._tasks.start(self._sync(point), "sync")

    async def _sync(self, point: SyncPoint) -> None:
        try:
            await self._disk.in_background(point.segment.file.sync)
        except OSError as error:
            self.fail(f"{point.segment.file.path} can't be made durable: {error}")
        self._syncing = False
        if self._running:
            self._journal.synced_to(point)
            self._filter.synced()
            self._reads.confirm()
            self._begin_sync()
            self._kick()

    def _writable_again(self, peer_id: str) -> None:
        if not self._running:
            return
        with self._stopping_on_bugs():
            if self._core.is_leader:
                self._core.replicate(peer_id, heartbeat=False)
            self._kick()

    def _member(self, server_id: str | None) -> Member | None:
        return next((member for member in self.members if member.id == server_id), None)
