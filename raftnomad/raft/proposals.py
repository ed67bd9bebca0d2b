"""Proposals on their way into the log: queued, packed many to an entry, forwarded to whoever leads, answered.

Nothing is lost silently: a proposal is answered by its outcome, or refused before anybody wrote it, or declared
unknown. Until its deadline it is offered again whenever a leader is lost, under the same bytes; the state knows the
identifier inside and does nothing the second time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from raftnomad import errors
from raftnomad.fsm.outcome import Applied, Outcome, Rejected
from raftnomad.raft.core import Core, Results
from raftnomad.raft.entries import BATCH_OVERHEAD, PROPOSAL_OVERHEAD, pack_batch
from raftnomad.raft.network import Message
from raftnomad.raft.settings import RaftSettings

logger = logging.getLogger(__name__)

_encode_outcomes = msgspec.msgpack.Encoder().encode
_outcomes_decoder = msgspec.msgpack.Decoder(list[Applied | Rejected | None])
_NO_ROOM_PAUSE_S = 1.0
_REFUSED_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Written:
    """The entry with the proposal is applied at raft's `index`, and this is what the state made of it."""

    outcome: Outcome
    index: int


Answer = Written | errors.RaftnomadError


@dataclass(slots=True, eq=False)
class Pending:
    """`written` once it may stand in somebody's log: from then on "nothing happened" can't be said any more."""

    proposal: bytes
    settle: Callable[[Answer], None]
    own: bool = True
    written: bool = False
    settled: bool = False

    def answer(self, answer: Answer) -> None:
        if not self.settled:
            self.settled = True
            self.settle(answer)


class ProposalQueue:
    """First in, first out, and bounded in bytes."""

    def __init__(self, bytes_max: int) -> None:
        self._items: deque[Pending] = deque()
        self._bytes_max = bytes_max
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def has_room(self, size: int) -> bool:
        return not self._items or self.bytes + size <= self._bytes_max

    def add(self, item: Pending) -> None:
        self._items.append(item)
        self.bytes += len(item.proposal)

    def put_back(self, items: list[Pending]) -> None:
        """They were taken and are still unanswered: before everything that came later."""
        waiting = [item for item in items if not item.settled]
        self._items.extendleft(reversed(waiting))
        self.bytes += sum(len(item.proposal) for item in waiting)

    def take(self, bytes_aim: int) -> list[Pending]:
        """As many as fit; at least one if there is one."""
        taken: list[Pending] = []
        room = bytes_aim - BATCH_OVERHEAD
        while self._items:
            item = self._items[0]
            room -= len(item.proposal) + PROPOSAL_OVERHEAD
            if room < 0 and taken:
                break
            self._items.popleft()
            self.bytes -= len(item.proposal)
            if item.settled:
                room += len(item.proposal) + PROPOSAL_OVERHEAD
                continue
            taken.append(item)
        return taken

    def take_all(self) -> list[Pending]:
        return self.take(1 << 62)


@dataclass(slots=True, eq=False)
class _Forwarded:
    """A follower's batch on the leader: answered as one when all of it is."""

    outcomes: list[Outcome | None]
    missing: int
    reply: Callable[[int, list[Outcome | None]], None]
    index: int = 0

    def settle(self, position: int, answer: Answer) -> None:
        if isinstance(answer, Written):
            self.outcomes[position] = answer.outcome
            self.index = max(self.index, answer.index)
        self.missing -= 1
        if not self.missing:
            self.reply(self.index, self.outcomes)


@dataclass(slots=True, eq=False)
class _Sent:
    """A batch that the leader was sent. `fresh` are those that nobody had been sent before."""

    leader_id: str
    items: list[Pending]
    fresh: list[Pending]


class Proposals:
    def __init__(
        self,
        core: Core,
        settings: RaftSettings,
        send: Callable[[str, Message], bool],
        reaches: Callable[[str], bool],
        when_applied: Callable[[int, Callable[[], None]], None],
        monotonic_s: Callable[[], float],
        first_number: int,
        no_room: Callable[[], None],
    ) -> None:
        """`first_number` is of chance: the answer to a question of this server's last process must fit none of ours."""
        self._core = core
        self._settings = settings
        self._send = send
        self._reaches = reaches
        self._when_applied = when_applied
        self._now = monotonic_s
        self._no_room = no_room
        self._queue = ProposalQueue(settings.queue_bytes_max)
        self._in_flight: dict[int, list[Pending]] = {}
        self._sent: dict[int, _Sent] = {}
        self._number = first_number
        self._forwarded: dict[str, int] = {}
        """The last batch of each follower's connection: one that comes again was taken the first time."""
        self._no_room_until_s = float("-inf")
        self._not_before_s = float("-inf")
        self.paused = False
        """While leadership is being handed over."""

    @property
    def queued_bytes(self) -> int:
        return self._queue.bytes

    # --- from this server

    async def propose(self, proposal: bytes, timeout_s: float) -> Outcome:
        if len(proposal) + BATCH_OVERHEAD + PROPOSAL_OVERHEAD > self._settings.entry_bytes_max:
            raise errors.TooLarge(
                f"a proposal of {len(proposal)} bytes is over the log's limit of {self._settings.entry_bytes_max}"
            )
        self._check_room(len(proposal))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        item = Pending(proposal, lambda answer: self._settle_own(future, answer))
        patience = loop.call_later(min(timeout_s, self._settings.leader_wait_s), self._lose_patience, item)
        deadline = loop.call_later(timeout_s, self._expire, item, future)
        self._queue.add(item)
        try:
            return await future
        finally:
            item.settled = True
            patience.cancel()
            deadline.cancel()

    def _check_room(self, size: int) -> None:
        if self._core.is_leader and self._now() < self._no_room_until_s:
            raise errors.Overloaded("The leader's disk is full: free some space in its data_dir")
        if not self._queue.has_room(size):
            raise errors.Overloaded(f"{self._queue.bytes} bytes of proposals are waiting for the log; try again later")

    def _settle_own(self, future: asyncio.Future[Outcome], answer: Answer) -> None:
        if isinstance(answer, Written):
            # The leader has applied it; whoever asked here shall find it here.
            self._when_applied(answer.index, lambda: _finish(future, answer.outcome))
        elif not future.done():
            future.set_exception(answer)

    def _lose_patience(self, item: Pending) -> None:
        if not item.written and not self._core.is_leader and self._core.leader_id is None:
            item.answer(errors.NoLeader())

    def _expire(self, item: Pending, future: asyncio.Future[Outcome]) -> None:
        if future.done():
            return
        item.settled = True
        if item.written:
            future.set_exception(
                errors.OutcomeUnknown(
                    "No answer from the log in time: the write may have happened, read before retrying"
                )
            )
        else:
            future.set_exception(errors.NoLeader())

    @property
    def next_try_s(self) -> float:
        """When `pump` should be called though nothing has happened."""
        return self._not_before_s if len(self._queue) and not self._core.is_leader else float("inf")

    # --- into the log

    def pump(self) -> None:
        """Before each tick: hand on what may go on."""
        if self._core.is_leader:
            sizes: list[int] = []
            while len(self._in_flight) < self._settings.entries_in_flight and self._write_entry(sizes):
                pass
            return
        leader_id = self._core.leader_id
        if self._now() < self._not_before_s or leader_id in (None, self._core.id):
            return
        if leader_id is not None and self._reaches(leader_id):
            while len(self._sent) < self._settings.entries_in_flight and self._forward(leader_id):
                pass

    def _write_entry(self, sizes: list[int]) -> bool:
        """`sizes` are those of the entries before it in the same tick, which the journal does not hold yet."""
        if self.paused or not len(self._queue) or self._now() < self._no_room_until_s:
            return False
        items = self._queue.take(self._settings.entry_bytes_aim)
        if not items:
            return False
        command = pack_batch([item.proposal for item in items])
        sizes.append(len(command))
        if not self._core.journal.reserve(sizes):
            self._refuse_for_room(items)
            return False
        self._number += 1
        number = self._number
        self._in_flight[number] = items
        for item in items:
            item.written = True
        self._core.append(command, lambda results: self._entry_done(number, results))
        return True

    def _refuse_for_room(self, items: list[Pending]) -> None:
        """The disk is full: nothing is written, and whoever can be told so is told."""
        self._no_room_until_s = self._now() + _NO_ROOM_PAUSE_S
        keep = []
        for item in [*items, *self._queue.take_all()]:
            if item.written:
                keep.append(item)
            else:
                item.answer(errors.Overloaded("The leader's disk is full: free some space in its data_dir"))
        self._queue.put_back(keep)
        self._no_room()

    def _entry_done(self, number: int, results: Results) -> None:
        items = self._in_flight.pop(number, None)
        if items is None:
            return
        if results is None:
            self._queue.put_back(items)
            return
        assert len(results) == len(items), f"{len(results)} outcomes for {len(items)} proposals"
        index = self._core.applied_index
        for item, outcome in zip(items, results, strict=True):
            item.answer(Written(outcome, index))

    def leadership_lost(self) -> None:
        """Entries under way may or may not stay. Our own go to the next leader, who may so see them twice; those of
        others go back to whoever sent them."""
        in_flight, self._in_flight = self._in_flight, {}
        self._queue.put_back([item for items in in_flight.values() for item in items])
        keep = []
        for item in self._queue.take_all():
            if item.own:
                keep.append(item)
            else:
                item.answer(errors.NoLeader())
        self._queue.put_back(keep)

    # --- to the leader

    def _forward(self, leader_id: str) -> bool:
        items = self._queue.take(self._settings.entry_bytes_aim)
        if not items:
            return False
        self._number += 1
        message = {"type": "forward", "id": self._number, "proposals": [item.proposal for item in items]}
        if not self._send(leader_id, message):
            self._queue.put_back(items)
            return False
        self._sent[self._number] = _Sent(leader_id, items, [item for item in items if not item.written])
        for item in items:
            item.written = True
        return True

    def on_forwarded(self, peer_id: str, message: Message) -> None:
        sent = self._sent.get(message["id"])
        if sent is None or sent.leader_id != peer_id:
            return
        del self._sent[message["id"]]
        if message["verdict"] != "done":
            self._take_refusal(sent, message["verdict"])
            return
        try:
            outcomes = _outcomes_decoder.decode(message["outcomes"])
        except msgspec.DecodeError:
            outcomes = []
        for item, outcome in zip(sent.items, outcomes, strict=False):
            if outcome is not None:
                item.answer(Written(outcome, message["index"]))
        self._queue.put_back(sent.items)

    def _take_refusal(self, sent: _Sent, verdict: str) -> None:
        """Nothing of this batch was written."""
        for item in sent.fresh:
            item.written = False
        if verdict == "overloaded":
            for item in sent.items:
                text = "The leader can't take more at present; try again later"
                item.answer(errors.OutcomeUnknown(text) if item.written else errors.Overloaded(text))
        self._queue.put_back(sent.items)
        self._not_before_s = self._now() + _REFUSED_PAUSE_S

    def leader_changed(self, leader_id: str | None) -> None:
        """Whatever was sent to another may have been lost with it."""
        self._take_back(lambda sent: sent.leader_id != leader_id)

    def disconnected(self, peer_id: str) -> None:
        self._forwarded.pop(peer_id, None)
        self._take_back(lambda sent: sent.leader_id == peer_id)

    def _take_back(self, lost: Callable[[_Sent], bool]) -> None:
        items: list[Pending] = []
        for number in [number for number, sent in self._sent.items() if lost(sent)]:
            items += self._sent.pop(number).items
        self._queue.put_back(items)

    # --- from a follower

    def on_forward(self, peer_id: str, message: Message) -> None:
        proposals: list[bytes] = message["proposals"]
        number = message["id"]
        if number <= self._forwarded.get(peer_id, 0):
            return
        self._forwarded[peer_id] = number
        if not self._core.is_leader or not proposals:
            self._reply(peer_id, number, "not leader", 0, [])
            return
        try:
            self._check_room(sum(map(len, proposals)))
        except errors.Overloaded:
            self._reply(peer_id, number, "overloaded", 0, [])
            return
        batch = _Forwarded(
            [None] * len(proposals), len(proposals), lambda i, o: self._reply(peer_id, number, "done", i, o)
        )
        for position, proposal in enumerate(proposals):

            def settle_forwarded(answer: Answer, position: int = position) -> None:
                batch.settle(position, answer)

            self._queue.add(Pending(proposal, settle_forwarded, own=False))

    def _reply(self, peer_id: str, number: int, verdict: str, index: int, outcomes: list[Outcome | None]) -> None:
        encoded = _encode_outcomes(outcomes)
        self._send(
            peer_id, {"type": "forwarded", "id": number, "verdict": verdict, "index": index, "outcomes": encoded}
        )

    # --- the end

    def stop(self) -> None:
        everything = [item for items in self._in_flight.values() for item in items]
        everything += [item for sent in self._sent.values() for item in sent.items]
        for item in [*everything, *self._queue.take_all()]:
            item.answer(errors.OutcomeUnknown("The server is stopping") if item.written else errors.NoLeader())


def _finish(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
