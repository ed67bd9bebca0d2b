from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web

from raftnomad.errors import ConfigurationError, PeerError
from raftnomad.raft.hello import Hello, Purpose
from raftnomad.raft.listener import Arrival, PortLimits
from raftnomad.raft.rpc_port import RpcPort, is_raft
from raftnomad.raft.transport import TcpNetwork


def an_arrival(**fields: object) -> Arrival:
    values: dict[str, object] = {"remote": "r", "encrypted": False, "alpn": None, "names": (), "first_byte": b""}
    return Arrival(**(values | fields))  # type: ignore[arg-type]


def test_raft_and_http_are_told_apart() -> None:
    assert is_raft(an_arrival(first_byte=b"\0"))
    assert not is_raft(an_arrival(first_byte=b"G"))
    assert is_raft(an_arrival(encrypted=True, alpn="raftnomad-raft/1"))
    assert not is_raft(an_arrival(encrypted=True, alpn="http/1.1"))
    assert not is_raft(an_arrival(encrypted=True, alpn=None))
    with pytest.raises(PeerError, match="speaks TLS"):
        is_raft(an_arrival(first_byte=b"\x16"))
    with pytest.raises(PeerError, match="neither raft nor HTTP"):
        is_raft(an_arrival(first_byte=b"\x80"))


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"raft" + data)  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def a_port(limits: PortLimits | None = None) -> AsyncIterator[RpcPort]:
    async def hello(request: web.BaseRequest) -> web.Response:
        return web.Response(text=f"{request.method} {request.path} {len(await request.read())}")

    http = web.Server(hello)
    port = RpcPort(
        "127.0.0.1", 0, region="global", raft_protocol_factory=Echo, http_protocol_factory=http, limits=limits
    )
    await port.start()
    try:
        yield port
    finally:
        await port.stop()
        await http.shutdown(0.1)


async def test_http_is_served_by_the_http_server_and_raft_by_raft() -> None:
    async with a_port() as port:
        async with (
            ClientSession() as session,
            session.put(f"http://{port.address}/v1/x", data=bytes(500_000)) as answer,
        ):
            assert await answer.text() == "PUT /v1/x 500000"
        reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
        writer.write(b"\0\0\0\1x")
        assert await reader.readexactly(9) == b"raft\0\0\0\1x"
        writer.close()


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(5):
            return await reader.read(100) == b""
    except ConnectionError:
        return True


async def test_connections_of_one_address_are_limited_and_counted_down_again() -> None:
    async with a_port(PortLimits(connections_per_address=3)) as port:
        held = [await asyncio.open_connection("127.0.0.1", port.port) for _ in range(3)]
        reader, _ = await asyncio.open_connection("127.0.0.1", port.port)
        assert await is_closed(reader)
        held[0][1].close()
        await held[0][1].wait_closed()
        async with asyncio.timeout(5):
            while True:
                reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
                writer.write(b"\0")
                with contextlib.suppress(ConnectionError):
                    if await reader.read(5) == b"raft\0":
                        break
        for _, writer in held:
            writer.close()


async def test_the_oldest_undecided_connection_makes_room_for_a_newer() -> None:
    async with a_port(PortLimits(undecided=2)) as port:
        held = [await asyncio.open_connection("127.0.0.1", port.port) for _ in range(3)]
        assert await is_closed(held[0][0])
        for reader, writer in held[1:]:
            writer.write(b"\0")
            assert await reader.read(5) == b"raft\0"
        more = [await asyncio.open_connection("127.0.0.1", port.port) for _ in range(2)]
        assert len(port.undecided) == 2
        for _, writer in [*held, *more]:
            writer.close()


async def test_a_silent_connection_is_closed() -> None:
    async with a_port(PortLimits(first_byte_timeout_s=0.1)) as port:
        reader, _ = await asyncio.open_connection("127.0.0.1", port.port)
        assert await is_closed(reader)


async def test_http_and_raft_that_are_not_served_are_turned_away() -> None:
    port = RpcPort("127.0.0.1", 0, region="global", raft_protocol_factory=None)
    await port.start()
    for first in (b"\0", b"GET / HTTP/1.1\r\n\r\n", b"\x80garbage", b"\x16\x03\x01"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
        writer.write(first)
        assert await is_closed(reader)
    await port.stop()


async def test_a_port_in_use_is_named() -> None:
    async with a_port() as port:
        other = RpcPort("127.0.0.1", port.port, region="global", raft_protocol_factory=Echo)
        with pytest.raises(ConfigurationError, match=f"can't listen on 127.0.0.1:{port.port} for rpc"):
            await other.start()


async def test_a_network_that_has_not_started_is_not_served() -> None:
    own = Hello(purpose=Purpose.RAFT, cluster_id="c", server_id="id-a", name="a", region="global")
    network = TcpNetwork(own)
    port = RpcPort("127.0.0.1", 0, region="global", raft_protocol_factory=network.accept)
    await port.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
    writer.write(b"\0\0")
    assert await is_closed(reader)
    await port.stop()
