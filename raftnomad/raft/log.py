"""The replicated log as everything above it sees it; `raft/node.py` is the real one.

Index and epoch in this file are those of users and of `fsm.State`; raft's own index never leaves this package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from raftnomad.fsm.outcome import Outcome


@dataclass(frozen=True, kw_only=True)
class Member:
    """A server of the cluster. `id` is a UUID made with its data directory; addresses are `host:port`."""

    id: str
    name: str
    rpc_address: str
    voter: bool = True


class Machine(Protocol):
    """What the log drives: `fsm.machine.StateMachine`."""

    def apply(self, proposals: Sequence[bytes]) -> list[Outcome]:
        """Apply one committed entry: its proposals in order, one outcome each. Total: never raises."""

    def open_dump(self) -> Dump:
        """The state as of now, as a stream of chunks; apply may go on while it is read."""

    def begin_restore(self) -> Restore:
        """Build another state aside, from a dump's chunks; nothing changes until `finish`."""


class Dump(Protocol):
    def next_chunk(self) -> bytes | None:
        """At most 1 MiB and a few milliseconds of work; None after the last."""

    def close(self) -> None: ...


class Restore(Protocol):
    def feed(self, chunk: bytes) -> None: ...

    def finish(self) -> None:
        """Swap the new state in. Raises DataDirectoryError when the dump is incomplete or damaged."""


class Log(Protocol):
    """Propose, wait, read. Every method may be called on any server."""

    async def propose(self, proposal: bytes, timeout_s: float = 30.0) -> Outcome:
        """Commit one encoded proposal (`fsm.codec.encode`) and return what the state made of it.

        Forwarded to the leader when this server is not it, retried under the same identifier while that is safe.
        When it returns, this server's own state is at least as new as the outcome's index.
        Raises NoLeader (nothing was written), Overloaded (nothing was written), OutcomeUnknown.
        """

    async def consistent_read(self, timeout_s: float = 5.0) -> None:
        """Return when this server's state holds every write acknowledged anywhere before the call (ReadIndex).

        Raises NoLeader.
        """

    @property
    def server_id(self) -> str: ...

    @property
    def is_leader(self) -> bool:
        """A guess, for deciding what to try; the epoch in each command is what decides."""

    @property
    def leader(self) -> Member | None: ...

    @property
    def members(self) -> tuple[Member, ...]: ...

    @property
    def last_contact_ms(self) -> int:
        """Since this server last heard from a leader; 0 on the leader."""

    def on_leadership(self, callback: Callable[[bool], None]) -> None:
        """`callback(True)` when this server's leadership is usable (its term's first entry is applied),
        `callback(False)` when it ends."""

    def statistics(self) -> dict[str, str]:
        """For `agent/self` and metrics: term, commit index, applied index, log sizes, snapshot, peers."""

    async def transfer_leadership(self, server_id: str | None = None) -> Member:
        """Hand over to that server, or to the one that is furthest; returns it when it leads."""

    async def add_server(self, member: Member) -> None: ...

    async def remove_server(self, server_id: str) -> None: ...
