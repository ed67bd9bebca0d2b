"""The serf port, the rpc port and the log together, as a server puts them together, in one process."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from raftnomad.clock import SystemClock
from raftnomad.fsm.outcome import Applied, Outcome
from raftnomad.members.record import Identity
from raftnomad.members.service import Founding, Members, Pace
from raftnomad.raft.disk import SystemDisk
from raftnomad.raft.hello import Hello, Purpose
from raftnomad.raft.log import Dump, Restore
from raftnomad.raft.node import RaftNode
from raftnomad.raft.rpc_port import RpcPort
from raftnomad.raft.settings import RaftSettings
from raftnomad.raft.transport import TcpNetwork


class Listing:
    """A state machine that keeps what it is given."""

    def __init__(self) -> None:
        self.applied: list[bytes] = []

    def apply(self, proposals: Sequence[bytes]) -> list[Outcome]:
        self.applied += proposals
        return [Applied(len(self.applied))] * len(proposals)

    def open_dump(self) -> Dump:
        raise NotImplementedError

    def begin_restore(self) -> Restore:
        raise NotImplementedError


class Server:
    def __init__(self, name: str, directory: Path) -> None:
        self.id, self.name, self.directory = f"id-{name}", name, directory / name
        self.machine = Listing()
        self.network: Any = None
        self.node: Any = None

    async def start(self, join: str = "") -> None:
        self.port = RpcPort("127.0.0.1", 0, region="global", raft_protocol_factory=lambda: self.network.accept())
        await self.port.start()
        self.members = Members(
            Identity(id=self.id, name=self.name, expect=3, rpc_address=self.port.address),
            "127.0.0.1",
            0,
            self.directory,
            pace=Pace(hurried_s=0.05, usual_s=0.1),
        )
        await self.members.start()
        if join:
            await self.members.join([join])

    async def run(self) -> None:
        agreed = await self.members.bootstrap()
        first = agreed.first_members if isinstance(agreed, Founding) else agreed.members
        own = Hello(
            purpose=Purpose.RAFT,
            cluster_id=agreed.cluster_id,
            server_id=self.id,
            name=self.name,
            region="global",
            rpc_address=self.port.address,
        )
        self.network = TcpNetwork(own, admit=self.members.admits)
        settings = RaftSettings(
            server_id=self.id,
            cluster_id=agreed.cluster_id,
            first_members=first,
            directory=str(self.directory / "raft"),
            segment_bytes=1 << 20,
        )
        self.node = RaftNode(
            settings, self.machine, self.network, SystemDisk(), SystemClock(), random.Random(self.name), pytest.fail
        )
        await self.node.start()

    async def stop(self) -> None:
        await self.members.stop()
        await self.node.stop()
        await self.port.stop()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[list[Server]]:
    servers = [Server(name, tmp_path) for name in "abc"]
    for server in servers:
        await server.start("" if server is servers[0] else servers[0].members.address)
    await asyncio.gather(*(server.run() for server in servers))
    yield servers
    for server in servers:
        await server.stop()


async def test_three_servers_found_a_cluster_and_write_to_it(servers: list[Server]) -> None:
    outcomes = await asyncio.gather(
        *(servers[number % 3].node.propose(b"%d" % number, timeout_s=20) for number in range(300))
    )
    assert all(isinstance(outcome, Applied) for outcome in outcomes)
    await until(lambda: all(len(server.machine.applied) == 300 for server in servers))
    assert servers[0].machine.applied == servers[1].machine.applied == servers[2].machine.applied


async def test_a_fourth_joins_and_the_cluster_outlives_its_leader(servers: list[Server], tmp_path: Path) -> None:
    await servers[0].node.propose(b"before", timeout_s=20)
    leader = next(server for server in servers if server.node.is_leader)
    await leader.members.publish_cluster(leader.node.members, 1)
    newcomer = Server("d", tmp_path)
    await newcomer.start(servers[1].members.address)
    await newcomer.run()
    servers.append(newcomer)
    await until(leader.members.servers_to_add)
    for member in leader.members.servers_to_add():
        await leader.node.add_server(member)
    await until(lambda: newcomer.machine.applied == [b"before"])
    servers.remove(leader)
    await leader.stop()
    await newcomer.node.propose(b"after", timeout_s=20)
    await until(lambda: all(server.machine.applied == [b"before", b"after"] for server in servers))
    await until(lambda: [str(entry.status) for entry in newcomer.members.entries()].count("failed") == 1)
