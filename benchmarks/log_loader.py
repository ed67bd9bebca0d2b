"""The process that writes, and waits for each write's acknowledgement: the same loops over ours and over etcd.

    python -m benchmarks.log_loader ours IN_FLIGHT SECONDS LEADER_ID LEADER_ADDRESS
    python -m benchmarks.log_loader etcd IN_FLIGHT SECONDS PORT

To ours it speaks the frames of a follower that forwards what it was asked: what waits goes out together, at most two
messages are on their way. To etcd it speaks HTTP to the JSON gateway, one connection for each write in flight, with
requests as bare as they can be, so that little of what is measured is this process. Prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from benchmarks.etcd_cluster import free_ports, throughput
from benchmarks.log_server import KEY_BYTES, a_hello, a_write
from raftnomad.fsm.outcome import Applied, Rejected
from raftnomad.raft.network import Message
from raftnomad.raft.rpc_port import RpcPort
from raftnomad.raft.transport import TcpNetwork

MESSAGES_IN_FLIGHT = 2


class Forwarder:
    """A `NetworkListener` that proposes as a follower does."""

    def __init__(self, network: TcpNetwork, leader_id: str) -> None:
        self._network = network
        self._leader_id = leader_id
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._sent: dict[int, list[asyncio.Future[None]]] = {}
        self._number = time.time_ns()
        self._due = False
        self._decoder = msgspec.msgpack.Decoder(list[Applied | Rejected | None])
        self.connected = asyncio.Event()

    async def write(self, number: int) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((a_write(number), future))
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._pump)
        await future

    def _pump(self) -> None:
        self._due = False
        if not self._waiting or len(self._sent) >= MESSAGES_IN_FLIGHT:
            return
        batch, self._waiting = self._waiting, []
        self._number += 1
        self._sent[self._number] = [future for _, future in batch]
        message = {"type": "forward", "id": self._number, "proposals": [proposal for proposal, _ in batch]}
        assert self._network.send(self._leader_id, message)

    def on_message(self, peer_id: str, message: Message) -> None:
        if message["type"] != "forwarded":
            return
        futures = self._sent.pop(message["id"], [])
        outcomes = self._decoder.decode(message["outcomes"])
        for future, outcome in zip(futures, outcomes, strict=False):
            if isinstance(outcome, Applied):
                future.set_result(None)
            else:
                future.set_exception(RuntimeError(f"not written: {message['verdict']}"))
        self._pump()

    def on_connected(self, peer_id: str) -> None:
        self.connected.set()

    def on_disconnected(self, peer_id: str) -> None:
        for futures in self._sent.values():
            for future in futures:
                future.set_exception(ConnectionResetError(f"{peer_id} has gone"))
        self._sent.clear()

    async def begin(self) -> None:
        """Until a first write is answered: before the leader has dialled back, its answer is lost."""
        await self.connected.wait()
        while True:
            try:
                async with asyncio.timeout(0.3):
                    await self.write(0)
                    return
            except TimeoutError:
                self._sent.clear()


class Connection(asyncio.Protocol):
    """One connection to etcd's JSON gateway, one write on it at a time."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[None] | None = None
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    async def put(self, number: int) -> None:
        write = a_write(number)
        key, value = base64.b64encode(write[:KEY_BYTES]), base64.b64encode(write[KEY_BYTES:])
        body = b'{"key":"%b","value":"%b"}' % (key, value)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(
            b"POST /v3/kv/put HTTP/1.1\r\nHost: e\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        await self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        assert self._answer is not None
        self._received = body[length:]
        if head.startswith(b"HTTP/1.1 200"):
            self._answer.set_result(None)
        else:
            self._answer.set_exception(RuntimeError(head.decode()))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError())

    def close(self) -> None:
        self._transport.close()


async def measure(write: Callable[[int], Awaitable[None]], in_flight: int, seconds: float) -> dict[str, float]:
    latencies: list[float] = []

    async def timed(number: int) -> None:
        begun = time.perf_counter()
        await write(number)
        latencies.append(time.perf_counter() - begun)

    cpu_s, begun = time.process_time(), time.perf_counter()
    rate = await throughput(timed, in_flight, seconds)
    busy = (time.process_time() - cpu_s) / (time.perf_counter() - begun)
    latencies.sort()
    return {
        "writes": len(latencies),
        "rate": rate,
        "median_ms": 1000 * latencies[len(latencies) // 2],
        "p99_ms": 1000 * latencies[len(latencies) * 99 // 100],
        "loader_busy": busy,
    }


async def ours(in_flight: int, seconds: float, leader_id: str, leader_address: str) -> dict[str, float]:
    (port,) = free_ports(1)
    own = a_hello(f"loader-{uuid.uuid4()}", f"127.0.0.1:{port}")
    network = TcpNetwork(own)
    forwarder = Forwarder(network, leader_id)
    network.listen(forwarder)
    rpc_port = RpcPort("127.0.0.1", port, region="global", raft_protocol_factory=network.accept)
    await network.start()
    await rpc_port.start()
    network.set_peers({leader_id: leader_address})
    async with asyncio.timeout(10):
        await forwarder.begin()
    try:
        return await measure(forwarder.write, in_flight, seconds)
    finally:
        await network.stop()
        await rpc_port.stop()


async def etcd(in_flight: int, seconds: float, port: int) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    connections = [(await loop.create_connection(Connection, "127.0.0.1", port))[1] for _ in range(in_flight)]

    async def write(number: int) -> None:
        await connections[number % in_flight].put(number)

    try:
        return await measure(write, in_flight, seconds)
    finally:
        for connection in connections:
            connection.close()


def main() -> None:
    what, in_flight, seconds, *rest = sys.argv[1:]
    chosen: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours(int(in_flight), float(seconds), rest[0], rest[1]),
        "etcd": lambda: etcd(int(in_flight), float(seconds), int(rest[0])),
    }
    print(json.dumps(asyncio.run(chosen[what]())))


if __name__ == "__main__":
    main()
