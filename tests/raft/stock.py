"""Unmodified pysyncobj 0.3.17 under the same schedules, with its own journal and dump files: what the log's own layer
is there for. Only its clock, its chance and its sockets are replaced, in a private copy of the module. Its files live
through every "power cut", since it never syncs any."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pysyncobj
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from raftnomad import errors
from raftnomad.fsm.outcome import Outcome
from raftnomad.raft.network import Message
from tests.raft.fuzz import STORM_S, Report, story
from tests.raft.registers import Registers
from tests.raft.simulated_cluster import SimulatedCluster, SimulatedServer
from tests.raft.simulated_network import Port
from tests.raft.virtual_time import VirtualLoop, run

_TICK_S = (0.02, 0.05)


class StockMachine(Registers):
    """Pickled into pysyncobj's dump, but for the function that tells the simulation."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_on_apply": None}


class OrderedNode(Node):  # type: ignore[misc]
    """A seed repeats a run only if sets of nodes have one order."""

    def __hash__(self) -> int:
        return int(self.id.replace("-", "")[:12], 16)


class PortTransport(Transport):  # type: ignore[misc]
    def __init__(self, port: Port) -> None:
        super().__init__(None, None, [])
        self._port = port

    def send(self, node: Node, message: Message) -> bool:
        return self._port.send(node.id, message)


class StockNode:
    """What `RaftNode` offers, as far as pysyncobj has it."""

    def __init__(
        self, cluster: StockCluster, server: SimulatedServer, port: Port, on_apply: Callable[[int, bytes], None]
    ) -> None:
        self.paused = False
        self._backlog: list[tuple[str, Message]] = []
        self._cluster = cluster
        self._server = server
        self._port = port
        self._on_apply = on_apply
        self._alive = True
        self._led = False
        self._listeners: list[Callable[[bool], None]] = []
        port.listen(self)
        port.set_peers({other: "" for other in cluster.servers if other != server.id})
        port.started = True
        module = load_stock(cluster.loop, random.Random(cluster.chance.random()))
        self._transport = PortTransport(port)
        self.raft = stock_class(module)(
            OrderedNode(server.id),
            [OrderedNode(other) for other in cluster.servers if other != server.id],
            cluster.configuration(module, server.id),
            nodeClass=OrderedNode,
            transport=self._transport,
        )
        self.raft.machine = StockMachine(on_apply)
        self._tick()

    def _tick(self) -> None:
        if not self._alive:
            return
        if not self.paused:
            self._guarded(lambda: self.raft.doTick(0))
            machine = self.raft.machine
            machine._on_apply = self._on_apply
            self._server.machine = machine
        self._cluster.loop.call_later(self._cluster.chance.uniform(*_TICK_S), self._tick)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Its own loop logs whatever is raised and goes on; so does this one."""
        try:
            work()
        except Exception as error:
            self._cluster.violations[f"exception inside pysyncobj: {type(error).__name__}"] += 1

    # --- network

    def on_message(self, peer_id: str, message: Message) -> None:
        if self.paused:
            self._backlog.append((peer_id, message))
        elif self._alive:
            self._guarded(lambda: self._transport._onMessageReceived(OrderedNode(peer_id), message))

    def on_connected(self, peer_id: str) -> None:
        self._transport._onNodeConnected(OrderedNode(peer_id))

    def on_disconnected(self, peer_id: str) -> None:
        self._transport._onNodeDisconnected(OrderedNode(peer_id))

    # --- Log

    async def propose(self, proposal: bytes, timeout_s: float = 30.0) -> Outcome:
        future: asyncio.Future[tuple[Any, int]] = asyncio.get_running_loop().create_future()

        def done(result: Any, reason: int) -> None:
            if not future.done():
                future.set_result((result, reason))

        self.raft.op(proposal, callback=done)
        try:
            async with asyncio.timeout(timeout_s):
                outcome, reason = await future
        except TimeoutError:
            raise errors.OutcomeUnknown("no answer") from None
        fail = pysyncobj.FAIL_REASON
        if reason == fail.SUCCESS:
            result: Outcome = outcome
            return result
        if reason in (fail.QUEUE_FULL, fail.MISSING_LEADER, fail.REQUEST_DENIED, fail.NOT_LEADER, fail.DISCARDED):
            raise errors.NoLeader
        raise errors.OutcomeUnknown(str(reason))

    async def consistent_read(self, timeout_s: float = 5.0) -> None:
        """The nearest that pysyncobj has: to ask whoever says that it leads."""
        if not self.raft._isLeader():
            raise errors.NoLeader

    @property
    def is_leader(self) -> bool:
        return bool(self.raft._isLeader())

    def statistics(self) -> dict[str, str]:
        raft = self.raft
        log = raft._SyncObj__raftLog
        return {
            "state": "Leader" if raft._isLeader() else "Follower",
            "term": str(raft.raftCurrentTerm),
            "last_log_index": str(log[-1][1] if len(log) else 0),  # It can lose all of it.
            "applied_index": str(raft.raftLastApplied),
            "commit_index": str(raft.raftCommitIndex),
        }

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        backlog, self._backlog = self._backlog, []
        for peer_id, message in backlog:
            self.on_message(peer_id, message)

    def kill(self) -> None:
        """Whatever it wrote is in the page cache and stays."""
        self._alive = False
        self.raft._SyncObj__raftLog._destroy()


def load_stock(loop: VirtualLoop, chance: random.Random) -> ModuleType:
    path = os.path.join(os.path.dirname(pysyncobj.__file__), "syncobj.py")
    spec = importlib.util.spec_from_file_location("pysyncobj.syncobj_of_the_tests", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def monotonic() -> float:
        # Some of its loops end only when time passes.
        loop.now_s += 1e-6
        return loop.now_s

    module.monotonicTime = monotonic  # type: ignore[attr-defined]
    module.random = chance  # type: ignore[attr-defined]
    module.createPoller = lambda kind: _NoPoller()  # type: ignore[attr-defined]
    module.PIPE_NOTIFIER_ENABLED = False  # type: ignore[attr-defined]
    return module


class _NoPoller:
    def poll(self, timeout_s: float) -> None: ...


def stock_class(module: ModuleType) -> Any:
    class Stock(module.SyncObj):  # type: ignore[misc, name-defined]
        @module.replicated  # type: ignore[misc]
        def op(self, proposal: bytes) -> Outcome:
            return self.machine.apply([proposal])[0]

    return Stock


class StockCluster(SimulatedCluster):
    def __init__(self, loop: VirtualLoop, seed: int, servers: int, leader_fallback_s: float = 2.0) -> None:
        self._leader_fallback_s = leader_fallback_s
        self.directory = tempfile.mkdtemp(prefix="stock-")
        self._compact_at = random.Random(seed).choice([20, 60, 10**9])
        super().__init__(loop, seed, servers)

    def configuration(self, module: ModuleType, server_id: str) -> Any:
        return module.SyncObjConf(  # type: ignore[attr-defined]
            autoTick=False,
            appendEntriesUseBatch=False,
            commandsWaitLeader=False,
            journalFile=os.path.join(self.directory, f"journal-{server_id}"),
            fullDumpFile=os.path.join(self.directory, f"dump-{server_id}"),
            useFork=False,
            logCompactionMinEntries=self._compact_at,
            logCompactionMinTime=10**9,
            raftMinTimeout=0.5,
            raftMaxTimeout=1.0,
            leaderFallbackTimeout=self._leader_fallback_s,
        )

    def remove_files(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    async def start(self, server_id: str) -> None:
        server = self.servers[server_id]
        server.disk.begin()
        port = self.network.port(server_id)
        node: Any = StockNode(self, server, port, lambda index, proposal: self._applied(server, index, proposal))
        server.node = node


def run_seed(seed: int, servers: int, storm_s: float = STORM_S) -> Report:
    loop = VirtualLoop()
    cluster = StockCluster(loop, seed, servers)
    try:
        return run(story(cluster, seed, storm_s), loop)
    finally:
        cluster.remove_files()
