"""Short stories over a simulated cluster, and puppets: servers of it that say whatever a test wants them to say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from raftnomad.raft.network import Message
from tests.raft.simulated_cluster import SimulatedCluster, SimulatedServer
from tests.raft.virtual_time import VirtualLoop, run

T = TypeVar("T")


def simulate(
    story: Callable[[Any], Awaitable[T]],
    servers: int = 3,
    *,
    started: int | None = None,
    make: Callable[[VirtualLoop], SimulatedCluster] | None = None,
    violations: bool = False,
    **settings: float,
) -> T:
    """Run a story on virtual time over a cluster of which `started` servers (all, unless told) are started. Nothing
    that must never happen may have happened, unless the story is about it."""
    loop = VirtualLoop()
    cluster = make(loop) if make is not None else SimulatedCluster(loop, 1, servers, **settings)

    async def whole() -> T:
        watch = asyncio.ensure_future(cluster.watch())
        for server_id in list(cluster.servers)[: len(cluster.servers) if started is None else started]:
            await cluster.start(server_id)
        result = await story(cluster)
        watch.cancel()
        for server in cluster.live():
            cluster.kill(server.id)
        return result

    result = run(whole(), loop)
    if not violations:
        assert not cluster.violations, dict(cluster.violations)
    return result


async def elected(cluster: SimulatedCluster) -> SimulatedServer:
    assert await cluster.until(lambda: cluster.leader() is not None), "nobody was elected"
    leader = cluster.leader()
    assert leader is not None
    return leader


def followers(cluster: SimulatedCluster) -> list[SimulatedServer]:
    return [server for server in cluster.live() if server is not cluster.leader()]


def figure(server: SimulatedServer, name: str) -> int:
    assert server.node is not None
    return int(server.node.statistics()[name])


class Puppet:
    """Takes the place of one server on the network, and does nothing by itself."""

    def __init__(self, cluster: SimulatedCluster, server_id: str) -> None:
        self.id = server_id
        self.received: list[Message] = []
        self._port = cluster.network.port(server_id)
        self._port.listen(self)
        self._port.set_peers({other: "" for other in cluster.servers if other != server_id})
        self._port.started = True
        cluster.network.connect()

    def on_message(self, peer_id: str, message: Message) -> None:
        self.received.append(message)

    def on_connected(self, peer_id: str) -> None: ...

    def on_disconnected(self, peer_id: str) -> None: ...

    def take(self, kind: str) -> list[Message]:
        """What has come of this kind since the last time."""
        taken = [message for message in self.received if message["type"] == kind]
        self.received = [message for message in self.received if message["type"] != kind]
        return taken

    async def say(self, target: str, message: Message, wait_s: float = 0.05) -> None:
        assert self._port.send(target, message)
        await asyncio.sleep(wait_s)


def append(term: int, previous: tuple[int, int], entries: list[tuple[int, int]], commit: int, seq: int = 1) -> Message:
    """An append as this layer sends it; entries are (index, term) and mean nothing."""
    return {**stock_append(term, previous, entries, commit), "seq": seq}


def stock_append(term: int, previous: tuple[int, int], entries: list[tuple[int, int]], commit: int) -> Message:
    """The same as pysyncobj itself sends it."""
    return {
        "type": "append_entries",
        "term": term,
        "commit_index": commit,
        "prevLogIdx": previous[0],
        "prevLogTerm": previous[1],
        "entries": [(b"\x01", index, entry_term) for index, entry_term in entries],
    }
