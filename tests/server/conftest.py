"""A server without a network: its log applies what is proposed at once, its scheduler is a direct call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest

from raftnomad.fsm.machine import StateMachine
from raftnomad.fsm.outcome import Outcome
from raftnomad.raft.log import Member
from raftnomad.scheduler.process import InlineScheduler
from raftnomad.server.server import Server
from raftnomad.server.settings import ServerSettings


class LocalLog:
    """The replicated log of a cluster of one, without the log."""

    def __init__(self, machine: StateMachine) -> None:
        self.machine = machine
        self.is_leader = False
        self.last_contact_ms = 0
        self.callbacks: list[Callable[[bool], None]] = []
        self.members = (Member(id="server-1", name="server1.global", rpc_address="127.0.0.1:4647"),)

    @property
    def server_id(self) -> str:
        return "server-1"

    @property
    def leader(self) -> Member | None:
        return self.members[0] if self.is_leader else None

    async def propose(self, proposal: bytes, timeout_s: float = 30.0) -> Outcome:
        await asyncio.sleep(0)
        return self.machine.apply([proposal])[0]

    async def consistent_read(self, timeout_s: float = 5.0) -> None:
        await asyncio.sleep(0)

    def on_leadership(self, callback: Callable[[bool], None]) -> None:
        self.callbacks.append(callback)

    def lead(self, leads: bool = True) -> None:
        self.is_leader = leads
        for callback in self.callbacks:
            callback(leads)

    def statistics(self) -> dict[str, str]:
        return {}


class StepClock:
    """A clock that a test moves; sleeping is real but short, so that loops go round quickly."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.wall_ns = 1_800_000_000_000_000_000

    def now_ns(self) -> int:
        return self.wall_ns + int((self.now_s - 1000.0) * 1_000_000_000)

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.005))


@pytest.fixture
def clock() -> StepClock:
    return StepClock()


@pytest.fixture
async def server(clock: StepClock) -> AsyncIterator[Server]:
    machine = StateMachine()
    log = LocalLog(machine)
    crashes: list[BaseException] = []
    server = Server(
        log=log,  # type: ignore[arg-type]
        machine=machine,
        clock=clock,
        scheduling=InlineScheduler(),
        settings=ServerSettings(name="server1"),
        random_bytes=Random(1).randbytes,
        on_crash=crashes.append,
    )
    await server.start()
    log.lead()
    yield server
    await server.stop()
    assert crashes == []
