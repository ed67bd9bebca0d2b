"""PreVote (Raft, section 9.6): ask whether an election could be won before it disturbs anybody.

A server that was cut off would otherwise come back with a higher term and depose a leader who did nothing wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from raftnomad.raft.core import Core
from raftnomad.raft.network import Message
from raftnomad.raft.settings import RaftSettings


@dataclass(slots=True)
class _Poll:
    id: int
    ends_s: float
    granted: set[str] = field(default_factory=set)


class Elections:
    def __init__(
        self, core: Core, settings: RaftSettings, chance: random.Random, send: Callable[[str, Message], bool]
    ) -> None:
        self._core = core
        self._settings = settings
        self._chance = chance
        self._send = send
        self._poll: _Poll | None = None
        self._voters: set[str] = set()
        self._voters_term = 0
        self.heard_s = float("-inf")
        """When a leader was last heard."""

    def before_tick(self, now_s: float) -> None:
        """Let the core start an election only after a poll has been won; it starts one when its deadline is past."""
        core = self._core
        if core.is_leader or core.is_taking_over:
            self._poll = None
            return
        if not core.is_member:
            core.election_deadline_s = now_s + core.draw_election_timeout_s()
            return
        if self._poll is not None and len(self._poll.granted) + 1 >= core.quorum:
            self._poll = None
            core.election_deadline_s = now_s - 1
            return
        if core.election_deadline_s < now_s and not core.is_alone:
            self._begin_poll(now_s)

    def _begin_poll(self, now_s: float) -> None:
        core = self._core
        core.election_deadline_s = now_s + core.draw_election_timeout_s()
        core.forget_leader()
        self._poll = _Poll(id=self._chance.getrandbits(60), ends_s=core.election_deadline_s)
        for peer_id in core.others:
            self._send(
                peer_id,
                {
                    "type": "pre_vote",
                    "term": core.term + 1,
                    "id": self._poll.id,
                    "last_log_index": core.journal.last_index,
                    "last_log_term": core.journal.last_term,
                },
            )

    def on_pre_vote(self, peer_id: str, message: Message, now_s: float) -> None:
        core = self._core
        if message["term"] <= core.term:
            self._send(peer_id, {"type": "stale_term", "term": core.term})
            return
        leader_lives = core.is_leader or now_s - self.heard_s < self._settings.election_timeout_min_s
        theirs = (message["last_log_term"], message["last_log_index"])
        if not leader_lives and theirs >= (core.journal.last_term, core.journal.last_index):
            self._send(peer_id, {"type": "pre_vote_granted", "id": message["id"]})

    def on_granted(self, peer_id: str, message: Message) -> None:
        if self._poll is not None and message["id"] == self._poll.id and peer_id in self._core.others:
            self._poll.granted.add(peer_id)

    def counts(self, peer_id: str) -> bool:
        """A vote counts once for each voter and term, however often it arrives."""
        if self._voters_term != self._core.term:
            self._voters_term, self._voters = self._core.term, set()
        if peer_id in self._voters or peer_id not in self._core.others:
            return False
        self._voters.add(peer_id)
        return True
