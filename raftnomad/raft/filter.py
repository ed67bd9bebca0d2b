"""Everything that passes between pysyncobj's core and the network goes through here, in both directions.

The core trusts what it is told; this is where it is made worth trusting. Coming in: a shape that was checked, terms
on everything, appends reduced to what is new, acknowledgements that are of this term, no further than the leader's
own disk, and not older than what they would undo. Going out: nothing is promised before it is durable.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import NoReturn, assert_never

from raftnomad.raft.core import Core
from raftnomad.raft.elections import Elections
from raftnomad.raft.matching import Broken, Held, Lacking, New, match_append
from raftnomad.raft.network import Message
from raftnomad.raft.outbox import Outbox

logger = logging.getLogger(__name__)


class Filter:
    def __init__(
        self,
        core: Core,
        elections: Elections,
        outbox: Outbox,
        send: Callable[[str, Message], bool],
        monotonic_s: Callable[[], float],
        fail: Callable[[str], NoReturn],
    ) -> None:
        self._core = core
        self._elections = elections
        self._outbox = outbox
        self._send = send
        self._now = monotonic_s
        self._fail = fail
        self._echo = 0
        self._reset_floor: dict[str, int] = {}
        self._early: dict[str, int] = {}
        self.acknowledged: dict[str, int] = {}
        """The newest append of this server's that each follower has answered, in this term."""
        self.seen: Counter[str] = Counter()

    # --- out

    def outgoing(self, peer_id: str, message: Message) -> bool:
        """What the core wants to send."""
        match message["type"]:
            case "append_entries" | "heartbeat" | "snapshot":
                self._core.sequence += 1
                return self._send(peer_id, {**message, "seq": self._core.sequence})
            case "next_node_idx":
                self._acknowledge(peer_id, message["next_node_idx"], message["reset"], message["success"])
                return True
            case "request_vote" | "response_vote":
                self._outbox.promise(peer_id, message)
                return True
            case "timeout_now":
                return self._send(peer_id, message)
            case kind:
                # apply_command: proposals take another way, on which their answers are not lost.
                self.seen[f"core's {kind} dropped"] += 1
                return False

    def _acknowledge(self, peer_id: str, next_index: int, reset: bool, success: bool) -> None:
        self._outbox.promise(
            peer_id,
            {
                "type": "next_node_idx",
                "term": self._core.term,
                "echo": self._echo,
                "next_node_idx": next_index,
                "reset": reset,
                "success": success,
            },
        )

    # --- in

    def incoming(self, peer_id: str, message: Message) -> None:
        """One of raft's own messages, its shape already checked."""
        match message["type"]:
            case "append_entries" | "heartbeat" | "snapshot":
                self._from_leader(peer_id, message)
            case "next_node_idx":
                self._on_acknowledgement(peer_id, message)
            case "request_vote":
                if message["term"] < self._core.term:
                    self._send(peer_id, {"type": "stale_term", "term": self._core.term})
                else:
                    self._core.deliver(peer_id, message)
            case "response_vote":
                if message["term"] == self._core.term and self._elections.counts(peer_id):
                    self._core.deliver(peer_id, message)
            case "timeout_now":
                if self._core.is_member:
                    self._core.deliver(peer_id, message)
            case "stale_term":
                self._on_stale_term(peer_id, message["term"])
            case "pre_vote":
                self._elections.on_pre_vote(peer_id, message, self._now())
            case "pre_vote_granted":
                self._elections.on_granted(peer_id, message)

    def _on_stale_term(self, peer_id: str, term: int) -> None:
        """Take the newer term, and thereby step down, without giving anybody a vote: nobody's log is that old."""
        if term > self._core.term:
            vote = {"type": "request_vote", "term": term, "last_log_index": -1, "last_log_term": -1}
            self._core.deliver(peer_id, vote)

    # --- as follower

    def _from_leader(self, peer_id: str, message: Message) -> None:
        core = self._core
        if message["term"] < core.term:
            self._send(peer_id, {"type": "stale_term", "term": core.term})
            return
        if core.is_leader and message["term"] == core.term:
            self._fail(f"{peer_id} claims to lead term {core.term}, as this server does")
        self._elections.heard_s = self._now()
        self._echo = message["seq"]
        if message["type"] == "append_entries":
            self._append(peer_id, message)
        else:
            self.hear(peer_id, message["term"], core.commit_index)
            self._acknowledge(peer_id, core.journal.last_index + 1, reset=False, success=False)

    def hear(self, peer_id: str, term: int, commit_index: int) -> None:
        """Tell the core that this leader lives, and nothing about its log: the core would take its word for ours."""
        self._core.deliver(peer_id, {"type": "append_entries", "term": term, "commit_index": commit_index})

    def _append(self, peer_id: str, message: Message) -> None:
        core, term = self._core, message["term"]
        if not core.history.latest:
            # A newcomer whose empty log could pass for the beginning of the leader's, but lacks its first members.
            self.hear(peer_id, term, core.commit_index)
            self._acknowledge(peer_id, 1, reset=True, success=False)
            return
        match match_append(
            core.journal, core.commit_index, message["prevLogIdx"], message["prevLogTerm"], message["entries"]
        ):
            case Lacking(next_index=next_index):
                self.hear(peer_id, term, core.commit_index)
                self._acknowledge(peer_id, next_index, reset=True, success=False)
            case Held(last_index=last_index):
                self.hear(peer_id, term, max(core.commit_index, min(message["commit_index"], last_index)))
                self._acknowledge(peer_id, last_index + 1, reset=False, success=True)
            case New() as new:
                self._take(peer_id, message, new)
            case Broken(reason=reason):
                self._fail(reason)
            case never:
                assert_never(never)

    def _take(self, peer_id: str, message: Message, new: New) -> None:
        core = self._core
        if not core.journal.reserve([len(entry[0]) for entry in new.entries]):
            self.seen["appends refused: disk full"] += 1
            self.hear(peer_id, message["term"], core.commit_index)
            self._acknowledge(peer_id, core.journal.last_index + 1, reset=False, success=False)
            return
        core.deliver(
            peer_id,
            {
                "type": "append_entries",
                "term": message["term"],
                "commit_index": message["commit_index"],
                "prevLogIdx": new.previous,
                "prevLogTerm": new.previous_term,
                "entries": new.entries,
            },
        )

    # --- as leader

    def _on_acknowledgement(self, peer_id: str, message: Message) -> None:
        core = self._core
        if not core.is_leader or message["term"] != core.term:
            self.seen["acknowledgements of another term"] += 1
            return
        if peer_id not in core.others and peer_id not in core.catching_up:
            return
        echo, next_index, reset = message["echo"], message["next_node_idx"], message["reset"]
        if reset and echo < self._reset_floor.get(peer_id, 0):
            # It answers an append that was sent before the last reset was heeded.
            self.seen["stale resets"] += 1
            reset = False
        elif reset:
            self._reset_floor[peer_id] = core.sequence + 1
        self.acknowledged[peer_id] = max(self.acknowledged.get(peer_id, 0), echo)
        if message["success"] and next_index > core.journal.last_index + 1:
            self._fail(f"{peer_id} acknowledges entry {next_index - 1}, this leader has {core.journal.last_index}")
        self._count(peer_id, next_index, reset, message["success"])
        if reset or message["success"]:
            core.acknowledged(peer_id, next_index, reset)

    def _count(self, peer_id: str, next_index: int, reset: bool, success: bool) -> None:
        """A follower's copy counts as far as the leader's own is durable: the core takes the leader's for granted."""
        limit = self._core.journal.durable_index + 1
        if success and next_index > limit:
            self._early[peer_id] = max(self._early.get(peer_id, 0), next_index)
            next_index = limit
        self._core.deliver(
            peer_id, {"type": "next_node_idx", "next_node_idx": next_index, "reset": reset, "success": success}
        )

    def synced(self) -> None:
        """The disk has caught up: promises go out, and followers' copies count that were ahead of it."""
        self._outbox.release()
        early, self._early = self._early, {}
        for peer_id, next_index in early.items():
            if self._core.is_leader and (peer_id in self._core.others or peer_id in self._core.catching_up):
                self._count(peer_id, next_index, reset=False, success=True)

    def term_began(self) -> None:
        """What followers said in another term says nothing about this one."""
        self._early.clear()
        self.acknowledged.clear()

    def disconnected(self, peer_id: str) -> None:
        self._outbox.drop(peer_id)
