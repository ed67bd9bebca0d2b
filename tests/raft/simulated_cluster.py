"""A cluster of log nodes in one process on virtual time, and what its servers did, for the checks."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from raftnomad.raft.data_directory import identify
from raftnomad.raft.log import Member
from raftnomad.raft.network import Message
from raftnomad.raft.node import RaftNode
from raftnomad.raft.settings import RaftSettings
from tests.raft.registers import Registers
from tests.raft.simulated_disk import Crash, SimulatedDisk
from tests.raft.simulated_network import SimulatedNetwork
from tests.raft.virtual_time import VirtualClock, VirtualLoop

DIRECTORY = "/data/server/raft"


class PausableNode(RaftNode):
    """A node whose process can be stopped for a while (SIGSTOP): it neither ticks nor reads, and time goes on."""

    paused = False
    _backlog: list[tuple[str, Message]]

    def pause(self) -> None:
        self.paused = True
        self._backlog = []

    def resume(self) -> None:
        self.paused = False
        backlog, self._backlog = self._backlog, []
        for peer_id, message in backlog:
            self.on_message(peer_id, message)
        self._kick()

    def on_message(self, peer_id: str, message: Message) -> None:
        if self.paused:
            self._backlog.append((peer_id, message))
        else:
            super().on_message(peer_id, message)

    def _tick(self) -> None:
        if self.paused:
            self._scheduled = False
        else:
            super()._tick()


@dataclass(eq=False)
class SimulatedServer:
    id: str
    disk: SimulatedDisk
    clock_offset_s: float
    node: PausableNode | None = None
    machine: Registers = field(default_factory=Registers)
    starting: bool = False
    leads: list[bool] = field(default_factory=list)


class SimulatedCluster:
    def __init__(
        self,
        loop: VirtualLoop,
        seed: int,
        servers: int = 3,
        *,
        sync_s: tuple[float, float] = (0.0002, 0.005),
        **settings: float,
    ) -> None:
        self.loop = loop
        self.chance = random.Random(seed)
        self.network = SimulatedNetwork(random.Random(seed + 1))
        self.settings = settings
        self.sync_s = sync_s
        self.servers: dict[str, SimulatedServer] = {}
        self.applied: dict[int, bytes] = {}
        self.violations: Counter[str] = Counter()
        self.leaders: dict[int, set[str]] = {}
        self.crashes = 0
        self.failures: list[str] = []
        self.changes_members = False
        self.members_changed = 0
        self.changes: list[asyncio.Future[None]] = []
        self.first_members: tuple[Member, ...] = ()
        self.allow_damage = False
        first = [self.add_machine() for _ in range(servers)]
        self.first_members = tuple(self.member(server.id) for server in first)
        loop.set_exception_handler(self._on_loop_error)

    def add_machine(self) -> SimulatedServer:
        """A new computer with an empty disk; it is told of no members but the first."""
        disk = SimulatedDisk(random.Random(self.chance.random()), lambda: self.kill(identity.server_id), self.sync_s)
        identity = identify(DIRECTORY, disk.begin(), self.chance.randbytes)
        server = SimulatedServer(identity.server_id, disk, self.chance.uniform(0, 1e6))
        self.servers[server.id] = server
        return server

    def member(self, server_id: str) -> Member:
        name = f"server-{list(self.servers).index(server_id) + 1}"
        return Member(id=server_id, name=name, rpc_address=f"{name}:4647")

    # --- processes

    async def start(self, server_id: str) -> None:
        server = self.servers[server_id]
        assert server.node is None and not server.starting
        server.starting = True
        server.machine = Registers(lambda index, proposal: self._applied(server, index, proposal))
        server.leads = []
        settings = RaftSettings(
            server_id=server_id,
            cluster_id="cluster",
            first_members=self.first_members if server_id in [m.id for m in self.first_members] else (),
            directory=DIRECTORY,
            **self.settings,  # type: ignore[arg-type]
        )
        disk = server.disk.begin()
        node = PausableNode(
            settings,
            server.machine,
            self.network.port(server_id),
            disk,
            VirtualClock(self.loop, server.clock_offset_s),
            random.Random(self.chance.random()),
            lambda reason: self._failed(server, reason),
        )
        node.on_leadership(server.leads.append)
        server.node = node
        try:
            await node.start()
        except Crash:
            server.node = None
        except Exception as error:
            self._failed(server, f"does not start: {error}")
            server.node = None
        finally:
            server.starting = False

    async def start_all(self) -> None:
        for server_id, server in self.servers.items():
            if server.node is None and not server.starting:
                await self.start(server_id)
        self.network.connect()

    def kill(self, server_id: str, power: bool = False) -> None:
        server = self.servers[server_id]
        if server.node is not None:
            self.crashes += 1
            self.network.unplug(server_id)
            server.node.kill()
            server.node = None
        server.disk.end()
        if power:
            server.disk.lose_power()

    def _failed(self, server: SimulatedServer, reason: str) -> None:
        self.failures.append(reason)
        if not self.allow_damage:
            self.violations[f"a server stopped itself: {reason[:120]}"] += 1
        self.loop.call_soon(self.kill, server.id)

    # --- what happens

    def _applied(self, server: SimulatedServer, index: int, proposal: bytes) -> None:
        if self.applied.setdefault(index, proposal) != proposal:
            self.violations["servers applied different proposals at one index"] += 1

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if not isinstance(error, Crash):
            self.violations[f"exception: {error!r} {context.get('message')}"[:200]] += 1

    async def watch(self) -> None:
        """Connect who wants to be, and note who leads."""
        while True:
            self.network.connect()
            for server in self.live():
                if server.machine.went_back:
                    self.violations["a server's state went back"] += 1
                figures = server.node.statistics() if server.node is not None else {}
                if figures.get("state") == "Leader":
                    self.leaders.setdefault(int(figures["term"]), set()).add(server.id)
            await asyncio.sleep(0.05)

    def live(self) -> list[SimulatedServer]:
        return [server for server in self.servers.values() if server.node is not None and not server.starting]

    def leader(self) -> SimulatedServer | None:
        leaders = [server for server in self.live() if server.node is not None and server.node.is_leader]
        return leaders[0] if len(leaders) == 1 else None

    async def until(self, holds: Callable[[], bool], timeout_s: float = 30.0) -> bool:
        deadline_s = self.loop.time() + timeout_s
        while not holds():
            if self.loop.time() > deadline_s:
                return False
            await asyncio.sleep(0.02)
        return True

    def heal(self) -> None:
        """Every link and disk works again; paused processes go on."""
        self.network.cut.clear()
        self.network.deaf.clear()
        self.network.delay_s.clear()
        self.network.duplicates = 0.0
        for server in self.servers.values():
            server.disk.full = False
            server.disk.crash_in = None
            if server.node is not None and server.node.paused:
                self.loop.call_soon(server.node.resume)

    def has_converged(self) -> bool:
        """All servers run, one leads, and all have applied the same."""
        if len(self.live()) < len(self.servers) or self.leader() is None:
            return False
        figures = [server.node.statistics() for server in self.live() if server.node is not None]
        same = {(f["last_log_index"], f["applied_index"], f["commit_index"], f["term"]) for f in figures}
        return len(same) == 1 and len({server.machine.index for server in self.live()}) == 1
