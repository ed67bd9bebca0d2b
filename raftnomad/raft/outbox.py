"""Promises wait here until the disk holds what they promise."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from raftnomad.raft.journal import Journal
from raftnomad.raft.network import Message


class Outbox:
    """Acknowledgements and votes, each held until everything that was in the journal when it was made is durable."""

    def __init__(self, journal: Journal, send: Callable[[str, Message], bool]) -> None:
        self._journal = journal
        self._send = send
        self._held: deque[tuple[int, str, Message]] = deque()

    def promise(self, peer_id: str, message: Message) -> None:
        position = self._journal.position
        if position <= self._journal.synced:
            self._send(peer_id, message)
        else:
            self._held.append((position, peer_id, message))

    def release(self) -> None:
        """The disk has caught up."""
        while self._held and self._held[0][0] <= self._journal.synced:
            _, peer_id, message = self._held.popleft()
            self._send(peer_id, message)

    def drop(self, peer_id: str) -> None:
        """The connection is gone, and with it whoever waited for these."""
        self._held = deque(held for held in self._held if held[1] != peer_id)
