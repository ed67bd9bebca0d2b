"""Consistent reads without a log entry (Raft, section 6.4: ReadIndex), on any server.

The leader notes what is committed, hears from a majority that it still leads, and then whoever has applied that much
may answer from its own state. Reads that arrive together share one round of heartbeats.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from raftnomad import errors
from raftnomad.raft.core import Core
from raftnomad.raft.network import Message

_REFUSED_PAUSE_S = 0.05
REFUSED = -1

Settle = Callable[[int], None]
"""Called with the index that must be applied, or REFUSED."""


@dataclass(slots=True, eq=False)
class _Read:
    settle: Settle
    own: bool = True
    done: bool = False

    def answer(self, index: int) -> None:
        if not self.done:
            self.done = True
            self.settle(index)


@dataclass(slots=True)
class _Round:
    term: int
    sequence: int
    index: int
    reads: list[_Read]


@dataclass(slots=True)
class _Asked:
    leader_id: str
    reads: list[_Read]


class Reads:
    def __init__(
        self,
        core: Core,
        send: Callable[[str, Message], bool],
        reaches: Callable[[str], bool],
        acknowledged: Callable[[str], int],
        when_applied: Callable[[int, Callable[[], None]], None],
        monotonic_s: Callable[[], float],
        first_number: int,
    ) -> None:
        self._core = core
        self._send = send
        self._reaches = reaches
        self._acknowledged = acknowledged
        self._when_applied = when_applied
        self._now = monotonic_s
        self._waiting: list[_Read] = []
        self._rounds: list[_Round] = []
        self._asked: dict[int, _Asked] = {}
        self._number = first_number
        self._not_before_s = float("-inf")

    async def read(self, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        read = _Read(lambda index: self._when_applied(index, lambda: _finish(future)))
        deadline = loop.call_later(timeout_s, _expire, future)
        self._waiting.append(read)
        try:
            await future
        finally:
            read.done = True
            deadline.cancel()

    @property
    def next_try_s(self) -> float:
        return self._not_before_s if self._waiting else float("inf")

    def pump(self) -> None:
        """Before each tick: begin what waits."""
        self._waiting = [read for read in self._waiting if not read.done]
        if not self._waiting or self._now() < self._not_before_s:
            return
        core = self._core
        if core.is_leader:
            if core.is_established:
                self._begin_round()
        elif core.leader_id is not None and self._reaches(core.leader_id):
            self._ask(core.leader_id)

    def _begin_round(self) -> None:
        core = self._core
        self._rounds.append(_Round(core.term, core.sequence + 1, core.commit_index, self._waiting))
        self._waiting = []
        if core.others:
            core.heartbeat_now()
        self.confirm()

    def confirm(self) -> None:
        """Answer the rounds that a majority has confirmed; take back those of a leadership that is over."""
        core = self._core
        going_on: list[_Round] = []
        for round_ in self._rounds:
            if not core.is_leader or core.term != round_.term:
                self._wait_again(round_.reads)
            elif 1 + sum(self._acknowledged(peer) >= round_.sequence for peer in core.others) >= core.quorum:
                for read in round_.reads:
                    read.answer(round_.index)
            else:
                going_on.append(round_)
        self._rounds = going_on

    def _wait_again(self, reads: list[_Read]) -> None:
        """Our own; whoever asked from elsewhere asks the next leader itself."""
        for read in reads:
            if read.own:
                self._waiting.append(read)
            else:
                read.answer(REFUSED)

    # --- asking the leader

    def _ask(self, leader_id: str) -> None:
        self._number += 1
        if self._send(leader_id, {"type": "read", "id": self._number}):
            self._asked[self._number] = _Asked(leader_id, self._waiting)
            self._waiting = []

    def on_read_at(self, peer_id: str, message: Message) -> None:
        asked = self._asked.get(message["id"])
        if asked is None or asked.leader_id != peer_id:
            return
        del self._asked[message["id"]]
        if message["index"] == REFUSED:
            self._waiting += asked.reads
            self._not_before_s = self._now() + _REFUSED_PAUSE_S
            return
        for read in asked.reads:
            read.answer(message["index"])

    def on_read(self, peer_id: str, message: Message) -> None:
        number = message["id"]

        def reply(index: int) -> None:
            self._send(peer_id, {"type": "read_at", "id": number, "index": index})

        if self._core.is_leader:
            self._waiting.append(_Read(reply, own=False))
        else:
            reply(REFUSED)

    def leader_changed(self, leader_id: str | None) -> None:
        waiting, self._waiting = self._waiting, []
        self._wait_again(waiting)
        self._take_back(lambda asked: asked.leader_id != leader_id)

    def disconnected(self, peer_id: str) -> None:
        self._take_back(lambda asked: asked.leader_id == peer_id)

    def _take_back(self, lost: Callable[[_Asked], bool]) -> None:
        for number in [number for number, asked in self._asked.items() if lost(asked)]:
            self._wait_again(self._asked.pop(number).reads)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _expire(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_exception(errors.NoLeader())
