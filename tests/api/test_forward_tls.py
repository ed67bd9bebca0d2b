"""Agents that call each other with certificates: a server at its rpc port, a node at its http port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from raftnomad.agent.agent import forwarder
from raftnomad.api.api import Api, LocalClient
from raftnomad.api.serve import HttpServer
from raftnomad.certificates import settings as certificates
from raftnomad.certificates.settings import TlsSettings
from raftnomad.client.servers import Servers
from raftnomad.fsm.commands import RegisterNode
from raftnomad.raft.rpc_port import RpcPort
from raftnomad.web import Answer, Request, Response, Route
from tests.api.conftest import Asked
from tests.certificate_files import Certificates
from tests.makers import a_node

NODE_ID = a_node().id


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[..., TlsSettings]:
    made = Certificates(tmp_path)

    def settings(role: str, **kind: str) -> TlsSettings:
        one = replace(made.settings(role, **kind), http=True, verify_server_hostname=True, verify_https_client=True)
        return replace(one, ca_file=str(Path(one.cert_file).with_name("nomad-agent-ca.pem")))

    return settings


@pytest.fixture
async def rpc_port(ask: Asked) -> AsyncIterator[Callable[[TlsSettings], Awaitable[str]]]:
    """Opens a server's rpc port with a certificate; its address."""
    async with AsyncExitStack() as stack:

        async def opened(tls: TlsSettings) -> str:
            http = HttpServer(ask.api.handle)
            port = RpcPort(
                "127.0.0.1",
                0,
                region="global",
                raft_protocol_factory=None,
                http_protocol_factory=http.protocol_factory,
                tls=certificates.rpc_server_context(tls),
            )
            await port.start()
            stack.push_async_callback(port.stop)
            stack.push_async_callback(http.stop, 0)
            return f"127.0.0.1:{port.port}"

        yield opened


async def asked_through(tls: TlsSettings, server: str, path: str) -> tuple[int, str]:
    """What a client agent with this certificate answers when that is its only server."""
    client = LocalClient(routes=(), node_id=lambda: "", has_allocation=lambda _: False)
    api = Api(client=client, servers=Servers([server]), forwarder=forwarder(tls, "global"))
    answer = await api.handle(Request(method="GET", path=path))
    await api.close()
    assert isinstance(answer, Response)
    return answer.status, answer.body.decode()


async def test_a_client_agent_asks_a_server_at_its_rpc_port(certificate, rpc_port) -> None:
    server = await rpc_port(certificate("server"))
    assert await asked_through(certificate("client"), server, "/v1/jobs") == (200, "[]")


@pytest.mark.parametrize(
    ("role", "kind"), [("client", {}), ("server", {"region": "west"}), ("server", {"kind": "theirs"})]
)
async def test_whoever_is_no_server_of_the_region_is_not_asked(certificate, rpc_port, role, kind) -> None:
    server = await rpc_port(certificate(role, **kind))
    status, text = await asked_through(certificate("client"), server, "/v1/jobs")
    assert (status, text) == (500, "No servers are reachable from this client agent")


async def test_a_servers_name_is_checked_without_verify_server_hostname_too(certificate, rpc_port) -> None:
    server = await rpc_port(certificate("client"))
    trusting = replace(certificate("client"), verify_server_hostname=False)
    status, text = await asked_through(trusting, server, "/v1/jobs")
    assert (status, text) == (500, "No servers are reachable from this client agent")


@pytest.mark.parametrize(
    ("role", "kind", "told"),
    [
        ("client", {}, (200, "here")),
        ("server", {}, (200, "here")),
        ("cli", {}, (404, "No path to node")),
        ("client", {"kind": "theirs"}, (404, "No path to node")),
    ],
)
async def test_a_server_asks_a_node_at_its_http_port(ask: Asked, certificate, role, kind, told) -> None:
    async def here(_request: Request) -> Answer:
        return Response(body=b"here")

    routes = (Route(("GET",), "/v1/client/stats", here, "node:read"),)
    local = LocalClient(routes=routes, node_id=lambda: NODE_ID, has_allocation=lambda _: False)
    node = Api(client=local, servers=Servers([]))
    http = HttpServer(node.handle)
    port = await http.listen_on("127.0.0.1", 0, certificates.http_server_context(certificate(role, **kind)))
    await ask.propose(RegisterNode(node=a_node(http_addr=f"127.0.0.1:{port}", tls_enabled=True)))
    server = Api(server=ask.server, forwarder=forwarder(certificate("server"), "global"))
    answer = await server.handle(
        Request(method="GET", path="/v1/client/stats", query=(("node_id", NODE_ID),), raw_query=f"node_id={NODE_ID}")
    )
    for end in (server.close(), http.stop(0), node.close()):
        await end
    assert isinstance(answer, Response)
    assert (answer.status, answer.body.decode()) == told
