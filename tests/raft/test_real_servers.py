"""Three servers in one process, on real disks and over real sockets."""

import asyncio
import os
import random
from collections.abc import AsyncIterator

import pytest

from raftnomad.clock import SystemClock
from raftnomad.raft.data_directory import identify
from raftnomad.raft.disk import SystemDisk
from raftnomad.raft.hello import Hello, Purpose
from raftnomad.raft.log import Member
from raftnomad.raft.node import RaftNode
from raftnomad.raft.rpc_port import RpcPort
from raftnomad.raft.settings import RaftSettings
from raftnomad.raft.transport import TcpNetwork
from tests.raft.registers import Registers, write


class RealServer:
    def __init__(self, name: str, directory: str) -> None:
        self.name = name
        self.directory = directory
        self.disk = SystemDisk()
        self.id = identify(directory, self.disk, os.urandom).server_id
        self.machine = Registers()
        self.failures: list[str] = []

    async def listen(self) -> Member:
        self.port = RpcPort("127.0.0.1", 0, region="global", raft_protocol_factory=lambda: self.network.accept())
        await self.port.start()
        return Member(id=self.id, name=self.name, rpc_address=self.port.address)

    async def start(self, members: tuple[Member, ...]) -> None:
        self.machine = Registers()
        self.network = TcpNetwork(
            Hello(
                purpose=Purpose.RAFT,
                cluster_id="cluster",
                server_id=self.id,
                name=self.name,
                region="global",
                rpc_address=self.port.address,
            )
        )
        self.node = RaftNode(
            RaftSettings(
                server_id=self.id,
                cluster_id="cluster",
                first_members=members,
                directory=self.directory,
                segment_bytes=1 << 20,
                snapshot_entries=50,
                trailing_entries=0,
            ),
            self.machine,
            self.network,
            self.disk,
            SystemClock(),
            random.Random(),
            self.failures.append,
        )
        await self.node.start()


@pytest.fixture
async def servers(tmp_path: os.PathLike[str]) -> AsyncIterator[list[RealServer]]:
    servers = [RealServer(name, os.path.join(tmp_path, name)) for name in "abc"]
    members = tuple([await server.listen() for server in servers])
    for server in servers:
        await server.start(members)
    yield servers
    for server in servers:
        await server.node.stop()
        await server.port.stop()
        server.disk.close()
        assert server.failures == []


async def leader_of(servers: list[RealServer]) -> RealServer:
    async with asyncio.timeout(30):
        while True:
            for server in servers:
                if server.node.is_leader:
                    return server
            await asyncio.sleep(0.02)


async def test_proposals_from_everywhere_reach_everybody(servers: list[RealServer]) -> None:
    await leader_of(servers)
    await asyncio.gather(
        *(
            server.node.propose(write(f"{server.name}{number}", f"k{number}", number))
            for server in servers
            for number in range(300)
        )
    )
    for server in servers:
        await server.node.consistent_read()
    assert {server.machine.index for server in servers} == {900}
    assert len({server.machine.dump() for server in servers}) == 1


async def test_a_follower_that_was_away_comes_back_by_snapshot(servers: list[RealServer]) -> None:
    leader = await leader_of(servers)
    late = next(server for server in servers if server is not leader)
    members = leader.node.members
    await late.node.stop()
    for number in range(200):
        await leader.node.propose(write(str(number), "k", number))
    await late.start(members)
    await late.node.consistent_read(timeout_s=30)
    assert late.machine.dump() == leader.machine.dump()
    assert int(late.node.statistics()["last_snapshot_index"]) > 100


async def test_leadership_moves_and_proposals_go_on(servers: list[RealServer]) -> None:
    leader = await leader_of(servers)
    calls = [asyncio.ensure_future(leader.node.propose(write(str(n), "k", n))) for n in range(200)]
    heir = await leader.node.transfer_leadership()
    await asyncio.gather(*calls)
    assert (await leader_of(servers)).id == heir.id
    assert leader.machine.index == 200
