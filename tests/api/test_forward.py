"""A cluster of three agents on loopback: a server, a node's agent, and a client agent that is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import aiohttp
import pytest

from raftnomad.api.api import Api, LocalClient
from raftnomad.api.forward import HOPS_HEADER
from raftnomad.api.serve import HttpServer
from raftnomad.client.servers import Servers
from raftnomad.errors import RaftnomadError
from raftnomad.fsm.commands import RegisterNode
from raftnomad.web import Answer, Request, Response, Route, Stream
from tests.api.conftest import Asked, request_job
from tests.api.test_client_agents import placed
from tests.makers import a_job, a_node, an_id

NODE_ID = a_node().id


class Cluster(NamedTuple):
    ask: Asked
    server: str
    node: str
    client: str
    alloc: str


async def where(request: Request) -> Answer:
    return Response(body=f"{request.method} {request.path} on the node {request.query}".encode())


async def logs(_request: Request) -> Answer:
    async def frames() -> AsyncIterator[bytes]:
        for i in range(3):
            yield b'{"Offset":%d}' % i
            await asyncio.sleep(0.01)

    return Stream(frames=frames())


async def missing_file(_request: Request) -> Answer:
    raise RaftnomadError("no such file")


NODE_ROUTES = (
    Route(("GET",), "/v1/client/allocation/{id}/stats", where, "namespace:read-job"),
    Route(("GET",), "/v1/client/fs/logs/{id}", logs, "namespace:read-logs"),
    Route(("GET",), "/v1/client/fs/cat/{id}", missing_file, "namespace:read-fs"),
    Route(("GET",), "/v1/client/stats", where, "node:read"),
)


@pytest.fixture
async def cluster(ask: Asked) -> AsyncIterator[Cluster]:
    servers, apis, urls = [], [], []

    async def listen(api: Api) -> str:
        http = HttpServer(api.handle)
        port = await http.listen_on("127.0.0.1", 0)
        servers.append(http)
        apis.append(api)
        urls.append(f"127.0.0.1:{port}")
        return urls[-1]

    server = await listen(ask.api)
    allocations: set[str] = set()
    holder = LocalClient(routes=NODE_ROUTES, node_id=lambda: NODE_ID, has_allocation=allocations.__contains__)
    idle = LocalClient(routes=(), node_id=lambda: a_node(2).id, has_allocation=lambda _: False)
    node = await listen(Api(client=holder, servers=Servers([server])))
    client = await listen(Api(client=idle, servers=Servers(["127.0.0.1:1", server])))
    await ask.propose(RegisterNode(node=a_node(http_addr=node)))
    alloc = await placed(ask)
    allocations.add(alloc)
    yield Cluster(ask, f"http://{server}", f"http://{node}", f"http://{client}", alloc)
    for http in servers:
        await http.stop(0)
    for api in apis[1:]:
        await api.close()


async def get(url: str, method: str = "GET", **options: object) -> tuple[int, str, dict[str, str]]:
    async with aiohttp.ClientSession() as session, session.request(method, url, **options) as answer:  # type: ignore[arg-type]
        return answer.status, await answer.text(), dict(answer.headers)


@pytest.mark.parametrize("agent", ["server", "node", "client"])
async def test_every_agent_answers_about_an_allocation_wherever_it_is(cluster: Cluster, agent: str) -> None:
    path = f"/v1/client/allocation/{cluster.alloc}/stats"
    status, text, _ = await get(getattr(cluster, agent) + path + "?task=a%20b")
    assert (status, text) == (200, f"GET {path} on the node (('task', 'a b'),)")


@pytest.mark.parametrize("agent", ["server", "node", "client"])
async def test_streams_stay_streams_on_their_way(cluster: Cluster, agent: str) -> None:
    status, text, _ = await get(f"{getattr(cluster, agent)}/v1/client/fs/logs/{cluster.alloc}?task=t")
    assert (status, text) == (200, '{"Offset":0}{"Offset":1}{"Offset":2}')


async def test_a_client_agent_answers_the_whole_api_by_asking_a_server(cluster: Cluster) -> None:
    status, _, _ = await get(f"{cluster.client}/v1/jobs", "PUT", data=_json(a_job(id="api")))
    assert status == 200
    status, text, headers = await get(f"{cluster.client}/v1/job/api?pretty")
    assert status == 200
    assert text.startswith('{\n    "')
    assert headers["X-Nomad-Index"] == str(cluster.ask.server.state.jobs["default", "api"].modify_index)
    status, text, headers = await get(f"{cluster.client}/v1/job/nope")
    assert (status, text, headers["Content-Type"]) == (404, "job not found", "text/plain; charset=utf-8")


def _json(job: object) -> bytes:
    from raftnomad.model import wire

    return wire.encode(request_job(job))  # type: ignore[arg-type]


async def test_what_nobody_knows_is_not_found_and_goes_in_no_circle(cluster: Cluster) -> None:
    unknown = an_id(99, "none")
    for url in (cluster.server, cluster.client):
        status, text, _ = await get(f"{url}/v1/client/allocation/{unknown}/stats")
        assert (status, text) == (404, f'Unknown allocation "{unknown}"')
    status, text, _ = await get(f"{cluster.client}/v1/client/stats?node_id={unknown}")
    assert (status, text) == (404, f"Unknown node {unknown}")


async def test_a_node_that_lost_its_allocation_does_not_ask_back(cluster: Cluster) -> None:
    path = f"/v1/client/allocation/{cluster.alloc}/stats"
    status, text, _ = await get(cluster.client + path, headers={HOPS_HEADER: "1"})
    assert (status, text) == (404, f'Unknown allocation "{cluster.alloc}"')
    status, text, _ = await get(f"{cluster.client}/v1/jobs", headers={HOPS_HEADER: "2"})
    assert status == 500
    assert "circle" in text


async def test_a_node_that_cannot_be_reached_has_no_path(cluster: Cluster) -> None:
    await cluster.ask.propose(RegisterNode(node=a_node(http_addr="127.0.0.1:1")))
    for url in (cluster.server, cluster.client):
        status, text, _ = await get(f"{url}/v1/client/allocation/{cluster.alloc}/stats")
        assert (status, text) == (404, "No path to node")
    status, text, _ = await get(f"{cluster.server}/v1/client/fs/cat/{cluster.alloc}?path=x")
    assert (status, text) == (200, "No path to node")


async def test_files_that_cannot_be_read_are_answered_with_200_and_the_error(cluster: Cluster) -> None:
    status, text, _ = await get(f"{cluster.node}/v1/client/fs/cat/{cluster.alloc}?path=x")
    assert (status, text) == (200, "no such file")


async def test_questions_about_no_node_need_one(cluster: Cluster) -> None:
    status, text, _ = await get(f"{cluster.server}/v1/client/stats")
    assert (status, text) == (400, "No local Node and node_id not provided")
    status, text, _ = await get(f"{cluster.node}/v1/client/stats")
    assert (status, text) == (200, "GET /v1/client/stats on the node ()")
    status, _, _ = await get(f"{cluster.server}/v1/client/stats?node_id={NODE_ID}")
    assert status == 200


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v1/client/", 404, ""),
        ("/v1/client/nonsense", 404, ""),
        ("/v1/client/fs/", 404, "Invalid method"),
        ("/v1/client/fs/nope/x", 404, "Invalid method"),
        ("/v1/client/allocation/", 404, "resource not found"),
        ("/v1/client/allocation/x", 404, "resource not found"),
        ("/v1/client/allocation/x/nope", 404, "resource not found"),
        ("/v1/client/fs/ls/x", 500, "alloc lookup failed: index error: UUID must be 36 characters"),
        ("/v1/client/stats?node_id=zzz", 500, "node lookup failed: index error: UUID must be 36 characters"),
    ],
)
async def test_client_paths_that_are_none_are_refused(cluster: Cluster, path: str, status: int, text: str) -> None:
    assert (await get(cluster.server + path))[:2] == (status, text)


async def test_a_client_agent_speaks_for_itself(cluster: Cluster) -> None:
    assert (await get(f"{cluster.client}/v1/agent/health"))[:2] == (200, '{"client":{"ok":true,"message":"ok"}}')
    status, text, _ = await get(f"{cluster.client}/v1/agent/health?type=server")
    assert (status, text) == (500, '{"server":{"ok":false,"message":"server not enabled"}}')
    assert (await get(f"{cluster.client}/v1/agent/join?address=x", "PUT"))[:2] == (501, "Invalid method")
    assert (await get(f"{cluster.client}/v1/agent/self"))[0] == 200
    assert "127.0.0.1:" in (await get(f"{cluster.client}/v1/agent/servers"))[1]


async def test_without_servers_a_client_agent_says_so(cluster: Cluster) -> None:
    lonely = LocalClient(routes=(), node_id=lambda: "", has_allocation=lambda _: False)
    api = Api(client=lonely, servers=Servers(["127.0.0.1:1"]))
    answer = await api.handle(Request(method="GET", path="/v1/jobs"))
    await api.close()
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (500, b"No servers are reachable from this client agent")
