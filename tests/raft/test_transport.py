"""Real sockets on loopback; every port is one that the operating system gave."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from raftnomad.errors import ConfigurationError
from raftnomad.raft.connection import Limits
from raftnomad.raft.hello import Hello, Purpose
from raftnomad.raft.network import Message
from raftnomad.raft.rpc_port import RpcPort
from raftnomad.raft.transport import TcpNetwork


def a_hello(name: str, **fields: object) -> Hello:
    values: dict[str, object] = {
        "purpose": Purpose.RAFT,
        "cluster_id": "cluster",
        "server_id": f"id-{name}",
        "name": name,
        "region": "global",
    }
    return Hello(**(values | fields))  # type: ignore[arg-type]


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Message]] = []
        self.connections: list[tuple[str, bool]] = []

    def on_message(self, peer_id: str, message: Message) -> None:
        self.messages.append((peer_id, message))

    def on_connected(self, peer_id: str) -> None:
        self.connections.append((peer_id, True))

    def on_disconnected(self, peer_id: str) -> None:
        self.connections.append((peer_id, False))


class Server:
    def __init__(self, name: str, **fields: object) -> None:
        self.limits = fields.pop("limits", None)
        self.admit = fields.pop("admit", lambda hello: False)
        self.hello = a_hello(name, **fields)
        self.id = self.hello.server_id
        self.heard = Heard()

    async def start(self) -> None:
        self.port = RpcPort("127.0.0.1", 0, region="global", raft_protocol_factory=lambda: self.network.accept())
        await self.port.start()
        self.address = self.port.address
        self.hello = a_hello(
            self.hello.name,
            cluster_id=self.hello.cluster_id,
            region=self.hello.region,
            server_id=self.id,
            rpc_address=self.address,
        )
        self.network = TcpNetwork(self.hello, limits=self.limits, admit=self.admit)  # type: ignore[arg-type]
        self.network.listen(self.heard)
        await self.network.start()

    async def stop(self) -> None:
        await self.network.stop()
        await self.port.stop()

    def know(self, *others: Server) -> None:
        self.network.set_peers({other.id: other.address for other in others})


@contextlib.asynccontextmanager
async def servers(*wanted: Server) -> AsyncIterator[tuple[Server, ...]]:
    for server in wanted:
        await server.start()
    try:
        yield wanted
    finally:
        for server in wanted:
            await server.stop()


async def until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


async def test_messages_arrive_in_order_from_the_server_that_sent_them() -> None:
    async with servers(Server("a"), Server("b")) as (a, b):
        a.know(b)
        b.know(a)
        await until(lambda: a.network.connected(b.id) and b.network.connected(a.id))
        for number in range(1000):
            assert a.network.send(b.id, {"type": "n", "number": number, "body": b"x" * number})
        await until(lambda: len(b.heard.messages) == 1000)
        assert [message["number"] for _, message in b.heard.messages] == list(range(1000))
        assert {sender for sender, _ in b.heard.messages} == {a.id}
        assert a.heard.connections == [(b.id, True)]


async def test_an_entry_of_eight_mebibytes_passes_and_a_larger_one_is_not_sent() -> None:
    async with servers(Server("a"), Server("b")) as (a, b):
        a.know(b)
        b.know(a)
        await until(lambda: a.network.connected(b.id))
        assert a.network.send(b.id, {"type": "entry", "body": bytes(8 * 1024 * 1024)})
        assert not a.network.send(b.id, {"type": "entry", "body": bytes(9 * 1024 * 1024)})
        assert a.network.send(b.id, {"type": "after"})
        await until(lambda: len(b.heard.messages) == 2)
        assert len(b.heard.messages[0][1]["body"]) == 8 * 1024 * 1024


async def test_a_server_that_comes_back_is_connected_again() -> None:
    async with servers(Server("a"), Server("b")) as (a, b):
        a.know(b)
        b.know(a)
        await until(lambda: a.network.connected(b.id) and b.network.connected(a.id))
        await b.network.stop()
        await until(lambda: not a.network.connected(b.id))
        assert not a.network.send(b.id, {"type": "lost"})
        await b.network.start()
        b.know(a)
        await until(lambda: a.network.connected(b.id) and b.network.connected(a.id))
        assert a.heard.connections == [(b.id, True), (b.id, False), (b.id, True)]


async def test_a_peer_that_goes_silent_is_noticed() -> None:
    """A server that accepts, says hello and then nothing more, as behind a network that drops packets."""
    async with servers(Server("a", limits=Limits(beat_s=0.05, idle_timeout_s=0.2))) as (a,):

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_frame(reader)
            writer.write(a_frame(a_hello("b").to_message()))
            await asyncio.sleep(60)

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        a.network.set_peers({"id-b": f"127.0.0.1:{server.sockets[0].getsockname()[1]}"})
        await until(lambda: (("id-b", True)) in a.heard.connections)
        await until(lambda: (("id-b", False)) in a.heard.connections)
        server.close()


async def test_a_caller_that_goes_silent_is_closed() -> None:
    """The other direction: what this server hears on a connection that it accepted."""
    async with servers(Server("a", limits=Limits(beat_s=0.05, idle_timeout_s=0.2))) as (a,):
        a.network.set_peers({"id-b": "127.0.0.1:1"})
        reader, _ = await introduce(a, "b")
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(5):
                while await reader.read(1000):
                    pass


async def test_places_are_not_held_against_honest_servers() -> None:
    async with servers(Server("a"), Server("b")) as (a, b):
        held = [await dial(a) for _ in range(70)]
        for _, writer in held:
            writer.write(b"\0")
        a.know(b)
        b.know(a)
        await until(lambda: b.network.connected(a.id))
        for _, writer in held:
            writer.close()


async def test_a_quiet_connection_stays_open() -> None:
    limits = Limits(beat_s=0.05, idle_timeout_s=0.5)
    async with servers(Server("a", limits=limits), Server("b", limits=limits)) as (a, b):
        a.know(b)
        b.know(a)
        await until(lambda: a.network.connected(b.id) and b.network.connected(a.id))
        await asyncio.sleep(1.2)
        assert a.heard.connections == [(b.id, True)]
        assert b.heard.connections == [(a.id, True)]


async def test_a_peer_that_does_not_read_is_not_writable_until_it_reads_again() -> None:
    limits = Limits(write_buffer_bytes=100_000, write_buffer_bytes_max=1_000_000, idle_timeout_s=60)
    async with servers(Server("a", limits=limits)) as (a,):
        may_read = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_frame(reader)
            writer.write(a_frame(a_hello("b").to_message()))
            await may_read.wait()
            while await reader.read(1 << 20):
                pass

        server = await asyncio.start_server(slow, "127.0.0.1", 0)
        again: list[str] = []
        a.network.on_writable(again.append)
        a.network.set_peers({"id-b": f"127.0.0.1:{server.sockets[0].getsockname()[1]}"})
        await until(lambda: a.network.connected("id-b"))
        assert a.network.writable("id-b")
        for _ in range(200):
            # The kernel's own buffers take some megabytes first.
            a.network.send("id-b", {"type": "bulk", "body": bytes(50_000)})
            await asyncio.sleep(0)
        assert not a.network.writable("id-b")
        for _ in range(100):
            a.network.send("id-b", {"type": "bulk", "body": bytes(50_000)})
        assert not a.network.send("id-b", {"type": "bulk", "body": b""})
        assert again == []
        may_read.set()
        await until(lambda: again)
        assert a.network.writable("id-b")
        server.close()


async def test_a_server_that_is_no_member_is_refused() -> None:
    async with servers(Server("a"), Server("b")) as (a, b):
        b.know(a)
        await until(lambda: a.network.counts.refused >= 2)
        assert not b.network.connected(a.id)
        a.know(b)
        await until(lambda: b.network.connected(a.id))


@pytest.mark.parametrize("fields", [{"cluster_id": "other"}, {"region": "eu"}])
async def test_a_server_of_another_cluster_or_region_is_refused(fields: dict[str, object]) -> None:
    async with servers(Server("a"), Server("b", **fields)) as (a, b):
        a.know(b)
        b.know(a)
        await until(lambda: a.network.counts.refused >= 2 and b.network.counts.refused >= 2)
        assert a.heard.connections == [] and b.heard.connections == []


async def test_another_server_at_a_members_address_is_refused() -> None:
    async with servers(Server("a"), Server("b")) as (a, b):
        b.know(a)
        a.network.set_peers({"id-c": b.address, "id-b": b.address})
        await until(lambda: a.network.connected("id-b"))
        assert not a.network.connected("id-c")


async def test_an_admitted_stranger_is_dialled_back_while_it_is_connected() -> None:
    async with servers(Server("a", admit=lambda hello: hello.name == "b"), Server("b")) as (a, b):
        b.know(a)
        await until(lambda: a.network.connected(b.id) and b.network.connected(a.id))
        assert a.network.send(b.id, {"type": "answer"})
        await until(lambda: b.heard.messages)
        a.know()
        assert a.network.connected(b.id)
        b.know()
        await until(lambda: not a.network.connected(b.id))


async def test_members_that_were_removed_are_disconnected() -> None:
    async with servers(Server("a"), Server("b")) as (a, b):
        a.know(b)
        b.know(a)
        await until(lambda: a.network.connected(b.id) and b.network.connected(a.id))
        a.know()
        await until(lambda: not b.network.connected(a.id))
        assert a.heard.connections == [(b.id, True), (b.id, False)]


async def test_a_second_connection_of_a_server_replaces_the_first() -> None:
    async with servers(Server("a")) as (a,):
        a.network.set_peers({"id-b": "127.0.0.1:1"})
        first, second = [await introduce(a, "b") for _ in range(2)]
        second[1].write(a_frame({"type": "m"}))
        await until(lambda: a.heard.messages)
        with contextlib.suppress(ConnectionError):
            while await first[0].read(1000):
                pass
        assert a.heard.messages == [("id-b", {"type": "m"})]


async def test_a_copy_of_a_connected_server_is_turned_away() -> None:
    async with servers(Server("a"), Server("b"), Server("b", server_id="id-b")) as (a, b, copy):
        a.know(b)
        b.know(a)
        await until(lambda: a.network.connected(b.id) and b.network.connected(a.id))
        copy.know(a)
        await until(lambda: a.network.counts.refused)
        assert a.network.connected(b.id) and not copy.network.connected(a.id)


async def test_messages_before_the_hello_are_not_delivered() -> None:
    async with servers(Server("a")) as (a,):
        a.network.set_peers({"id-b": "127.0.0.1:1"})
        reader, writer = await dial(a)
        writer.write(a_frame({"type": "append_entries"}))
        assert b"refused" in await reader.read()
        writer.close()
        assert a.heard.messages == []


async def test_a_connection_that_never_says_hello_is_closed() -> None:
    async with servers(Server("a", limits=Limits(hello_timeout_s=0.1))) as (a,):
        reader, writer = await dial(a)
        writer.write(b"\0")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        assert a.network.counts.refused == 1


async def test_beyond_loopback_needs_certificates() -> None:
    network = TcpNetwork(a_hello("a"))
    with pytest.raises(ConfigurationError, match=r"raftnomad tls ca create.*raftnomad tls cert create"):
        network.set_peers({"id-b": "10.0.0.2:4647"})


def a_frame(message: Message) -> bytes:
    import msgpack

    payload = msgpack.packb(message)
    return struct.pack(">I", len(payload)) + payload


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">I", await reader.readexactly(4))
    return await reader.readexactly(size)


async def dial(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.port.port)


async def introduce(server: Server, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await dial(server)
    writer.write(a_frame(a_hello(name).to_message()))
    await read_frame(reader)
    return reader, writer
