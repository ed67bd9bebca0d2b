"""A log for a cluster of one: what is proposed is applied at once, by the real codec and the real state machine."""

from __future__ import annotations

from collections.abc import Callable

from raftnomad.errors import NoLeader
from raftnomad.fsm.machine import StateMachine
from raftnomad.fsm.outcome import Outcome
from raftnomad.raft.log import Member


class LocalLog:
    """`leading = False` makes it a server that has lost its leader."""

    def __init__(self, machine: StateMachine, server_id: str = "11111111-1111-4111-8111-111111111111") -> None:
        self.machine = machine
        self.server_id = server_id
        self.leading = True
        self.last_contact_ms = 0
        self._member = Member(id=server_id, name="server1", rpc_address="127.0.0.1:4647")
        self._callbacks: list[Callable[[bool], None]] = []

    async def propose(self, proposal: bytes, timeout_s: float = 30.0) -> Outcome:
        if not self.leading:
            raise NoLeader
        (outcome,) = self.machine.apply([proposal])
        return outcome

    async def consistent_read(self, timeout_s: float = 5.0) -> None:
        if not self.leading:
            raise NoLeader

    @property
    def is_leader(self) -> bool:
        return self.leading

    @property
    def leader(self) -> Member | None:
        return self._member if self.leading else None

    @property
    def members(self) -> tuple[Member, ...]:
        return (self._member,)

    def on_leadership(self, callback: Callable[[bool], None]) -> None:
        self._callbacks.append(callback)
        callback(self.leading)

    def statistics(self) -> dict[str, str]:
        return {"state": "Leader" if self.leading else "Follower"}

    async def transfer_leadership(self, server_id: str | None = None) -> Member:
        return self._member

    async def add_server(self, member: Member) -> None:
        raise NotImplementedError

    async def remove_server(self, server_id: str) -> None:
        raise NotImplementedError
