"""pysyncobj's `SyncObj` with its gaps closed from outside: the one module that knows its private names.

What stays pysyncobj's: terms, votes, elections, the matching of logs, the rule of what is committed, and stepping
down. What is ours, by overriding its methods: applying (in slices, and never twice), sending entries (a window for
each follower, no resending of what is under way), one membership change at a time, and nothing is ever pickled.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from pysyncobj.config import SyncObjConf

from raftnomad.raft.entries import BATCH, Entry, MembershipChange, pack_change, unpack_batch, unpack_change
from raftnomad.raft.journal import Journal
from raftnomad.raft.library import CoreTransport, ServerNode, load_copy
from raftnomad.raft.membership import MemberHistory, Members
from raftnomad.raft.messages import append_message, heartbeat_message
from raftnomad.raft.settings import RaftSettings

_LEADER = 2
# One append never reaches this, so pysyncobj never takes an entry to pieces.
_NEVER_BYTES = 1 << 40

Results = Sequence[Any] | None
"""One result for each proposal of an entry; None when another entry took its place."""


class CoreOwner(Protocol):
    """Whom the core tells."""

    def send(self, peer_id: str, message: dict[str, Any]) -> bool: ...

    def writable(self, peer_id: str) -> bool: ...

    def needs_snapshot(self, peer_id: str) -> None:
        """The log no longer holds what this follower lacks."""

    def receives_snapshot(self, peer_id: str) -> bool: ...

    def apply(self, proposals: list[bytes]) -> Sequence[Any]: ...

    def members_changed(self) -> None: ...

    def fail(self, reason: str) -> NoReturn: ...


@dataclass(slots=True)
class Progress:
    """How far a follower is, as the leader knows it."""

    next_index: int
    """The first entry that was not sent yet."""


class Core:
    """One server's raft. Every method runs on the event loop and returns at once."""

    def __init__(
        self,
        settings: RaftSettings,
        journal: Journal,
        history: MemberHistory,
        owner: CoreOwner,
        monotonic_s: Callable[[], float],
        chance: random.Random,
    ) -> None:
        self.id = settings.server_id
        self.journal = journal
        self.history = history
        self.catching_up: set[str] = set()
        """Servers that are sent everything though they are no members yet."""
        self._settings = settings
        self._owner = owner
        self._now = monotonic_s
        self._progress: dict[str, Progress] = {}
        self.sequence = 0
        """Of the newest append: each carries its own, each acknowledgement echoes it."""
        module = load_copy(journal=journal, monotonic_s=monotonic_s, chance=chance)
        self._transport = CoreTransport(owner.send)
        journal.is_alone = history.latest != () and all(member.id == self.id for member in history.latest)
        journal.on_append = self._appended
        journal.on_truncate = self._truncated
        core_class: Any = type("Core", (_Overrides, module.SyncObj), {"owner": self})
        others = [ServerNode(member.id) for member in history.latest if member.id != self.id]
        self._raft: Any = core_class(
            ServerNode(self.id),
            others,
            _configuration(settings, self._state_changed),
            nodeClass=ServerNode,
            transport=self._transport,
        )

    # --- what it knows

    @property
    def term(self) -> int:
        return int(self._raft._SyncObj__raftCurrentTerm)

    @property
    def is_leader(self) -> bool:
        return bool(self._raft._SyncObj__raftState == _LEADER)

    @property
    def state_name(self) -> str:
        return ("Follower", "Candidate", "Leader")[self._raft._SyncObj__raftState]

    @property
    def leader_id(self) -> str | None:
        leader = self._raft._SyncObj__raftLeader
        return None if leader is None else str(leader.id)

    @property
    def commit_index(self) -> int:
        return int(self._raft._SyncObj__raftCommitIndex)

    @property
    def applied_index(self) -> int:
        return int(self._raft._SyncObj__raftLastApplied)

    @property
    def is_established(self) -> bool:
        """Leader, and the first entry of its own term is applied: only now does it know what is committed."""
        return self.is_leader and self.applied_index >= self._raft._SyncObj__noopIDx

    @property
    def others(self) -> list[str]:
        """The other voters, always in the same order."""
        return [node.id for node in self._raft._SyncObj__otherNodes]

    @property
    def quorum(self) -> int:
        return (len(self._raft._SyncObj__otherNodes) + 1) // 2 + 1

    @property
    def is_member(self) -> bool:
        return any(member.id == self.id for member in self.history.latest)

    @property
    def is_alone(self) -> bool:
        return not self._raft._SyncObj__otherNodes and self.is_member

    def matched_index(self, peer_id: str) -> int:
        """Up to where this follower's log is known to be ours, durably."""
        return int(self._raft._SyncObj__raftMatchIndex.get(ServerNode(peer_id), 0))

    def next_index(self, peer_id: str) -> int:
        progress = self._progress.get(peer_id)
        return progress.next_index if progress else self.journal.last_index + 1

    # --- events

    def tick(self) -> None:
        self._raft.doTick(0)

    def deliver(self, peer_id: str, message: dict[str, Any]) -> None:
        self._transport.deliver(peer_id, message)

    def connected(self, peer_id: str) -> None:
        self._transport.connected(peer_id)
        self._progress.pop(peer_id, None)

    def disconnected(self, peer_id: str) -> None:
        self._transport.disconnected(peer_id)
        self.end_catching_up(peer_id)
        self._progress.pop(peer_id, None)

    def acknowledged(self, peer_id: str, next_index: int, reset: bool) -> None:
        """The core has taken an acknowledgement; go on sending if the follower lacks more."""
        progress = self._progress.setdefault(peer_id, Progress(next_index))
        progress.next_index = next_index if reset else max(progress.next_index, next_index)
        if progress.next_index <= self.journal.last_index:
            self.replicate(peer_id, heartbeat=False)

    def append(self, command: bytes, done: Callable[[Results], None]) -> None:
        """Write an entry as leader, at the next tick; `done` when its place in the log is applied."""
        self._raft._applyCommand(command, lambda results, reason: done(results))

    # --- elections

    @property
    def election_deadline_s(self) -> float:
        return float(self._raft._SyncObj__raftElectionDeadline)

    @election_deadline_s.setter
    def election_deadline_s(self, deadline_s: float) -> None:
        self._raft._SyncObj__raftElectionDeadline = deadline_s

    @property
    def next_heartbeat_s(self) -> float:
        return float(self._raft._SyncObj__newAppendEntriesTime)

    @property
    def is_taking_over(self) -> bool:
        """The leader has asked this server to stand for election at once."""
        return bool(self._raft._SyncObj__transferInProgress)

    def draw_election_timeout_s(self) -> float:
        return float(self._raft._SyncObj__generateRaftTimeout())

    def forget_leader(self) -> None:
        self._raft._SyncObj__raftLeader = None

    def hand_over(self, peer_id: str) -> bool:
        """Ask a follower that has everything to take over. False when it lacks something."""
        denied: list[int] = []
        self._raft.transferLeadership(ServerNode(peer_id), lambda _, reason: denied.append(reason))
        return denied == [0]

    # --- members

    def change_members(self, change: MembershipChange, done: Callable[[Results], None]) -> None:
        self.append(pack_change(change), done)

    def accepts_change(self) -> bool:
        """Raft, section 4.1: one change at a time, and none before the term's first entry is committed."""
        return self.is_established and self.history.last_change_index <= self.applied_index

    def sync_members(self) -> None:
        """The log has said who the members are: tell the core."""
        raft = self._raft
        known = set(self.others)
        raft._SyncObj__updateClusterConfiguration({m.id for m in self.history.latest if m.id != self.id})
        for peer_id in self.others:
            if peer_id not in known:
                raft._SyncObj__lastResponseTime[ServerNode(peer_id)] = self._now()
                self.end_catching_up(peer_id)
        self.journal.is_alone = self.is_alone
        self._owner.members_changed()

    # --- applying

    def apply_slice(self) -> bool:
        """Apply some of what is committed; True when there was anything."""
        raft, settings = self._raft, self._settings
        first, started_s = self.applied_index, self._now()
        while self.applied_index < self.commit_index:
            if self.applied_index - first >= settings.apply_slice_entries:
                break
            if self._now() - started_s >= settings.apply_slice_s:
                break
            command, index, term = self.journal.entry(self.applied_index + 1)
            waiting = raft._SyncObj__commandsWaitingCommit.pop(index, ())
            results = self._apply_entry(command, index)
            raft._SyncObj__raftLastApplied = index
            for waiting_term, done in waiting:
                done(results if waiting_term == term else None, 0)
        return self.applied_index > first

    @property
    def lags(self) -> bool:
        return self.applied_index < self.commit_index

    def _apply_entry(self, command: bytes, index: int) -> Sequence[Any]:
        try:
            return self._owner.apply(unpack_batch(command)) if command[0] == BATCH else ()
        except Exception as error:
            # Going on would leave this server's state unlike the others'; trying again would do it twice.
            self._owner.fail(f"log entry {index} can't be applied: {error!r}")

    def installed_snapshot(self, index: int, members: Members) -> None:
        """The machine and the journal now start from a snapshot that ends at `index`."""
        raft = self._raft
        self.history.reset(index, members)
        raft._SyncObj__raftLastApplied = index
        raft._SyncObj__raftCommitIndex = index
        waiting = raft._SyncObj__commandsWaitingCommit
        for covered in [waited for waited in waiting if waited <= index]:
            for _, done in waiting.pop(covered):
                done(None, 0)
        self.sync_members()

    def start_from(self, applied_index: int) -> None:
        """At start: the machine holds the state as of this entry, from a snapshot."""
        self._raft._SyncObj__raftLastApplied = applied_index
        self._raft._SyncObj__raftCommitIndex = max(applied_index, self.journal.getRaftCommitIndex())

    # --- sending

    def heartbeat_now(self) -> None:
        self._raft._SyncObj__newAppendEntriesTime = 0.0

    def replicate_all(self) -> None:
        self._raft._SyncObj__newAppendEntriesTime = self._now() + self._settings.heartbeat_s
        for node in self._raft._SyncObj__otherNodes | self._raft._SyncObj__readonlyNodes:
            self.replicate(node.id, heartbeat=True)

    def replicate(self, peer_id: str, heartbeat: bool) -> None:
        """Send what the follower lacks, as far as its window and its connection have room; if that is nothing and a
        heartbeat is due, an empty append."""
        if ServerNode(peer_id) not in self._raft._SyncObj__connectedNodes:
            return
        progress = self._progress.get(peer_id)
        if progress is None:
            matched = self.matched_index(peer_id)
            progress = self._progress[peer_id] = Progress((matched or self.journal.last_index) + 1)
        if progress.next_index <= self.journal.first_index and not self._owner.receives_snapshot(peer_id):
            self._owner.needs_snapshot(peer_id)
        if self._owner.receives_snapshot(peer_id):
            if heartbeat:
                self._owner.send(peer_id, heartbeat_message(self.term))
            return
        while progress.next_index <= self.journal.last_index and self._has_window(peer_id, progress):
            entries = self.journal.batch(progress.next_index, self._settings.append_bytes_max)
            if not self._send_append(peer_id, progress, entries):
                return
            heartbeat = False
        if heartbeat:
            self._send_append(peer_id, progress, [])

    def _has_window(self, peer_id: str, progress: Progress) -> bool:
        if not self._owner.writable(peer_id):
            return False
        first = max(self.matched_index(peer_id) + 1, self.journal.first_index + 1)
        if progress.next_index <= first:
            return True
        start = self.journal.first_index
        under_way = sum(len(entry[0]) for entry in self.journal[first - start : progress.next_index - start])
        return under_way < self._settings.append_window_bytes

    def _send_append(self, peer_id: str, progress: Progress, entries: list[Entry]) -> bool:
        previous = progress.next_index - 1
        term = self.journal.term_at(previous)
        assert term is not None
        if not self._owner.send(peer_id, append_message(self.term, self.commit_index, previous, term, entries)):
            return False
        progress.next_index += len(entries)
        return True

    def _state_changed(self, old: int, new: int) -> None:
        if new == _LEADER:
            # The entry that begins the term comes next, and is the first that everybody lacks.
            self._progress = {peer_id: Progress(self.journal.last_index + 1) for peer_id in self.others}

    def _appended(self, index: int, command: bytes) -> None:
        if self.history.appended(index, command):
            self.sync_members()

    def _truncated(self, index: int) -> None:
        if self.history.truncated(index):
            self.sync_members()

    # --- catching up before joining

    def begin_catching_up(self, peer_id: str) -> None:
        self.catching_up.add(peer_id)
        self._transport._onReadonlyNodeConnected(ServerNode(peer_id))

    def end_catching_up(self, peer_id: str) -> None:
        if peer_id in self.catching_up:
            self.catching_up.discard(peer_id)
            self._raft._SyncObj__readonlyNodes.discard(ServerNode(peer_id))


class _Overrides:
    """Put before `SyncObj` among the bases. Names are pysyncobj's, mangled as Python mangles them."""

    owner: Core

    def _SyncObj__applyLogEntries(self) -> bool:
        return self.owner.apply_slice()

    def _SyncObj__sendAppendEntries(self) -> None:
        self.owner.replicate_all()

    def _SyncObj__tryLogCompaction(self) -> None:
        """Snapshots are the node's to take."""

    def _SyncObj__loadDumpFile(self, clearJournal: bool) -> NoReturn:
        raise AssertionError("pysyncobj wants to load a dump itself")

    def _SyncObj__parseChangeClusterRequest(self, command: bytes) -> Any:
        return unpack_change(command)

    def _SyncObj__changeCluster(self, change: MembershipChange) -> bool:
        """A leader can't remove itself: it hands over first."""
        return self.owner.accepts_change() and change.removes != self.owner.id

    def _SyncObj__doChangeCluster(self, change: MembershipChange, reverse: bool = False) -> None:
        """The journal tells the member history of every change that it gains or loses, and that tells the core."""


def _configuration(settings: RaftSettings, on_state: Callable[[int, int], None]) -> SyncObjConf:
    return SyncObjConf(
        autoTick=False,
        appendEntriesUseBatch=False,
        commandsWaitLeader=False,
        dynamicMembershipChange=True,
        raftMinTimeout=settings.election_timeout_min_s,
        raftMaxTimeout=settings.election_timeout_max_s,
        appendEntriesPeriod=settings.heartbeat_s,
        leaderFallbackTimeout=settings.quorum_lost_s,
        connectionTimeout=settings.election_timeout_max_s * 4,
        appendEntriesBatchSizeBytes=_NEVER_BYTES,
        logCompactionMinEntries=1 << 40,
        journalFile=None,
        fullDumpFile=None,
        password=None,
        onStateChanged=on_state,
    )
