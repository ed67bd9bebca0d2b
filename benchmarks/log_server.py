"""One server of the log alone, with a small key-value machine on top: what `benchmarks/log.py` measures.

It obeys lines on its standard input and answers each with one on its standard output: `leads`, `count`, and
`load IN_FLIGHT SECONDS`, which writes from within this very process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.etcd_cluster import throughput
from raftnomad.clock import SystemClock
from raftnomad.fsm.outcome import Applied, Outcome
from raftnomad.raft.disk import SystemDisk
from raftnomad.raft.hello import Hello, Purpose
from raftnomad.raft.log import Member
from raftnomad.raft.node import RaftNode
from raftnomad.raft.rpc_port import RpcPort
from raftnomad.raft.settings import RaftSettings
from raftnomad.raft.transport import TcpNetwork

CLUSTER = "benchmark"
KEY_BYTES, VALUE_BYTES = 16, 100


def a_write(number: int) -> bytes:
    """16 bytes of key, 100 bytes of value."""
    return b"%016d" % number + b"v" * VALUE_BYTES


def a_hello(server_id: str, address: str) -> Hello:
    return Hello(
        purpose=Purpose.RAFT,
        cluster_id=CLUSTER,
        server_id=server_id,
        name=server_id,
        region="global",
        rpc_address=address,
    )


class KeyValues:
    """Implements `raft.log.Machine`: the last value of each key."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.index = 0

    def apply(self, proposals: Sequence[bytes]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for proposal in proposals:
            self.index += 1
            self.values[proposal[:KEY_BYTES]] = proposal[KEY_BYTES:]
            outcomes.append(Applied(index=self.index))
        return outcomes

    def open_dump(self) -> Whole:
        return Whole(msgspec.msgpack.encode((self.index, self.values)))

    def begin_restore(self) -> Restoring:
        return Restoring(self)


class Whole:
    """A dump that is taken at once: small enough here."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def next_chunk(self) -> bytes | None:
        chunk, self._data = self._data[: 1 << 20], self._data[1 << 20 :]
        return chunk or None

    def close(self) -> None:
        self._data = b""


class Restoring:
    def __init__(self, machine: KeyValues) -> None:
        self._machine, self._data = machine, b""

    def feed(self, chunk: bytes) -> None:
        self._data += chunk

    def finish(self) -> None:
        self._machine.index, self._machine.values = msgspec.msgpack.decode(
            self._data, type=tuple[int, dict[bytes, bytes]]
        )


async def serve(directory: Path, own: str, addresses: dict[str, str]) -> None:
    """Until standard input ends."""
    network = TcpNetwork(a_hello(own, addresses[own]), admit=lambda _hello: True)
    host, _, port = addresses[own].rpartition(":")
    rpc_port = RpcPort(host, int(port), region="global", raft_protocol_factory=network.accept)
    machine = KeyValues()
    members = tuple(Member(id=name, name=name, rpc_address=address) for name, address in addresses.items())
    node = RaftNode(
        RaftSettings(server_id=own, cluster_id=CLUSTER, first_members=members, directory=str(directory)),
        machine,
        network,
        SystemDisk(),
        SystemClock(),
        random.Random(),
        sys.exit,
    )
    await node.start()
    await rpc_port.start()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().split():
        print(json.dumps(await obey(line, node, machine)), flush=True)
    await node.stop()
    await rpc_port.stop()


async def obey(line: list[str], node: RaftNode, machine: KeyValues) -> object:
    match line:
        case ["leads"]:
            return node.is_leader
        case ["count"]:
            return machine.index
        case ["load", in_flight, seconds]:

            async def write(number: int) -> None:
                await node.propose(a_write(number))

            return await throughput(write, int(in_flight), float(seconds))
        case _:
            raise ValueError(f"unknown: {line}")


def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    directory, own, *pairs = sys.argv[1:]
    addresses = dict(pair.split("=") for pair in pairs)
    asyncio.run(serve(Path(directory), own, addresses))


if __name__ == "__main__":
    main()
