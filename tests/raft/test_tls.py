"""Who gets through to what, by certificate: the rpc port's raft and HTTP, and the serf port."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession, TCPConnector, web

from raftnomad.certificates import roles
from raftnomad.certificates.settings import TlsSettings, rpc_client_context, rpc_server_context
from raftnomad.members.record import Identity
from raftnomad.members.service import Members
from raftnomad.raft.frames import encode
from raftnomad.raft.hello import Hello, Purpose
from raftnomad.raft.listener import PortLimits
from raftnomad.raft.rpc_port import RpcPort
from raftnomad.raft.transport import TcpNetwork
from tests.certificate_files import Certificates

HELLO = Hello(purpose=Purpose.RAFT, cluster_id="c", server_id="id-b", name="b", region="global")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


class Counting:
    """A raft listener that is only asked what it heard."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def on_message(self, peer_id: str, message: object) -> None:
        self.heard.append(message)

    def on_connected(self, peer_id: str) -> None: ...

    def on_disconnected(self, peer_id: str) -> None: ...


class Server:
    def __init__(self, name: str, settings: TlsSettings) -> None:
        self.listener = Counting()
        self.own = Hello(purpose=Purpose.RAFT, cluster_id="c", server_id=f"id-{name}", name=name, region="global")
        self.network = TcpNetwork(self.own, tls=rpc_client_context(settings))
        self.network.listen(self.listener)
        self.http = web.Server(self.answer)
        self.port = RpcPort(
            "127.0.0.1",
            0,
            region="global",
            raft_protocol_factory=self.network.accept,
            http_protocol_factory=self.http,
            tls=rpc_server_context(settings),
        )

    @staticmethod
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(text="served")

    async def start(self) -> None:
        await self.port.start()
        await self.network.start()

    async def stop(self) -> None:
        await self.network.stop()
        await self.port.stop()
        await self.http.shutdown(0.1)


@pytest.fixture
async def server(made: Certificates) -> AsyncIterator[Server]:
    server = Server("a", made.settings())
    await server.start()
    server.network.set_peers({"id-b": "127.0.0.1:1"})
    yield server
    await server.stop()


def a_context(made: Certificates, kind: str) -> ssl.SSLContext:
    """A caller's, made without any of the checks that would keep an honest caller from calling."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    files = {
        "none": None,
        "wrong-ca": made.settings(kind="theirs"),
        "expired": made.settings(kind="expired"),
        "client": made.settings("client"),
        "cli": made.settings("cli"),
        "other-region": made.settings(region="eu"),
        "server": made.settings(),
    }[kind]
    if files is not None:
        context.load_cert_chain(files.cert_file, files.key_file)
    return context


KINDS = ["none", "wrong-ca", "expired", "client", "cli", "other-region", "server"]


async def says_hello(port: int, context: ssl.SSLContext, alpn: str) -> bytes:
    context.set_alpn_protocols([alpn])
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.write(encode(HELLO.to_message()) + encode({"type": "m"}))
            answer = await reader.read(1000)
            await asyncio.sleep(0.05)
            writer.close()
            return answer
    except (ssl.SSLError, ConnectionError):
        return b""


@pytest.mark.parametrize("kind", KINDS)
async def test_only_a_servers_certificate_of_the_region_reaches_raft(
    made: Certificates, server: Server, kind: str
) -> None:
    answer = await says_hello(server.port.port, a_context(made, kind), "raftnomad-raft/1")
    if kind == "server":
        assert b"hello" in answer
        assert server.listener.heard == [{"type": "m"}]
    else:
        assert answer == b""
        assert server.listener.heard == []


@pytest.mark.parametrize("kind", KINDS)
async def test_only_a_servers_or_clients_certificate_of_the_region_reaches_http(
    made: Certificates, server: Server, kind: str
) -> None:
    async with ClientSession(connector=TCPConnector(ssl=a_context(made, kind))) as session:
        try:
            async with session.get(f"https://{server.port.address}/") as response:
                reached = await response.text() == "served"
        except (ClientError, ConnectionError):
            reached = False
    assert reached == (kind in ("server", "client"))


async def test_the_clear_is_not_spoken_on_an_encrypted_port(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port.port)
    writer.write(encode(HELLO.to_message()))
    try:
        assert b"hello" not in await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        pass
    writer.close()


async def test_two_servers_talk_through_tls(made: Certificates) -> None:
    a, b = Server("a", made.settings()), Server("b", made.settings())
    await a.start()
    await b.start()
    a.network.set_peers({"id-b": b.port.address})
    b.network.set_peers({"id-a": a.port.address})
    await until(lambda: a.network.send("id-b", {"type": "m", "body": b"x" * 3_000_000}))
    await until(lambda: b.listener.heard)
    assert a.network.connected("id-b")
    await a.stop()
    await b.stop()


async def test_a_caller_turns_away_from_what_is_no_server_of_its_region(made: Certificates) -> None:
    """A client's certificate at a server's address: the caller sends nothing at all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = made.settings("client")
    context.load_cert_chain(files.cert_file, files.key_file)
    context.set_alpn_protocols(["raftnomad-raft/1"])
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(1000))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    a = Server("a", made.settings())
    await a.start()
    a.network.set_peers({"id-b": f"127.0.0.1:{server.sockets[0].getsockname()[1]}"})
    await asyncio.sleep(0.5)
    assert received == [] and not a.network.connected("id-b")
    await a.stop()
    server.close()


async def test_a_handshake_that_is_not_finished_is_closed(made: Certificates) -> None:
    port = RpcPort(
        "127.0.0.1",
        0,
        region="global",
        raft_protocol_factory=None,
        tls=rpc_server_context(made.settings()),
        limits=PortLimits(first_byte_timeout_s=0.2, undecided=2),
    )
    await port.start()
    held = [await asyncio.open_connection("127.0.0.1", port.port) for _ in range(2)]
    third, _ = await asyncio.open_connection("127.0.0.1", port.port)
    for reader, _ in [(third, None), *held]:
        try:
            assert await asyncio.wait_for(reader.read(), 5) == b""
        except ConnectionError:
            pass
    assert not port.undecided
    await port.stop()


def a_member(made: Certificates, directory: Path, name: str, role: str = "server") -> Members:
    settings = made.settings(role)
    return Members(
        Identity(id=f"id-{name}", name=name, expect=2, rpc_address="127.0.0.1:1"),
        "127.0.0.1",
        0,
        directory / name,
        server_tls=rpc_server_context(settings),
        client_tls=rpc_client_context(settings),
    )


async def test_servers_found_a_cluster_through_tls(made: Certificates, tmp_path: Path) -> None:
    a, b = a_member(made, tmp_path, "a"), a_member(made, tmp_path, "b")
    await a.start()
    await b.start()
    assert (await a.join([b.address])).count == 1
    first, second = await asyncio.wait_for(asyncio.gather(a.bootstrap(), b.bootstrap()), 10)
    assert first == second
    await a.stop()
    await b.stop()


@pytest.mark.parametrize("kind", KINDS)
async def test_only_a_servers_certificate_of_the_region_reaches_the_serf_port(
    made: Certificates, tmp_path: Path, kind: str
) -> None:
    a = a_member(made, tmp_path, "a")
    await a.start()
    _, _, port = a.address.rpartition(":")
    answer = await says_hello(int(port), a_context(made, kind), "raftnomad-serf/1")
    # The hello is that of a raft connection, which the right certificate is told.
    assert (b"this is the serf port" in answer) == (kind == "server")
    await a.stop()


def test_a_wildcard_gives_no_role() -> None:
    assert roles.role_refusal(("*.global.nomad",), roles=("server",), region="global") != ""
    assert roles.role_refusal(("server.global.nomad.evil",), roles=("server",), region="global") != ""
    assert roles.role_refusal(("localhost", "server.global.nomad"), roles=("server",), region="global") == ""
