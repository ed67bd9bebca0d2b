"""WebSockets: opened here, or at the agent that has the task and passed on by those in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
import pytest

from raftnomad.api.api import Api, LocalClient
from raftnomad.api.serve import HttpServer
from raftnomad.client.servers import Servers
from raftnomad.errors import NotFound, RaftnomadError
from raftnomad.fsm.commands import AllocationUpdate, RegisterNode, UpdateAllocations
from raftnomad.model.job import Action
from raftnomad.web import Answer, Request, Route, Socket, WebSocket
from tests.api.conftest import Asked, request_job
from tests.api.test_client_agents import placed
from tests.makers import a_group, a_job, a_node, a_task, an_id

NODE_ID = a_node().id


class Cluster(NamedTuple):
    ask: Asked
    server: str
    node: str
    client: str
    alloc: str
    ended: asyncio.Event
    """Set when the node's handler was cancelled."""
    http: HttpServer


@pytest.fixture
async def cluster(ask: Asked) -> AsyncIterator[Cluster]:
    servers: list[HttpServer] = []
    apis: list[Api] = []
    ended = asyncio.Event()

    async def echo(socket: Socket) -> None:
        try:
            while (text := await socket.receive()) is not None:
                if text == "fail":
                    raise RaftnomadError("it failed")
                if text == "missing":
                    raise NotFound("it is not there")
                if text == "end":
                    return
                await socket.send(f"heard {text}")
        finally:
            ended.set()

    async def execute(request: Request) -> Answer:
        if request.get("task") == "nope":
            raise NotFound("no such task")

        async def handler(socket: Socket) -> None:
            await socket.send(f"{request.get('task')} {request.get('command')}")
            await echo(socket)

        return WebSocket(handler=handler)

    async def listen(api: Api) -> str:
        servers.append(HttpServer(api.handle))
        apis.append(api)
        return f"127.0.0.1:{await servers[-1].listen_on('127.0.0.1', 0)}"

    server = await listen(ask.api)
    allocations: set[str] = set()
    routes = (Route(("GET",), "/v1/client/allocation/{id}/exec", execute, "namespace:alloc-exec"),)
    holder = LocalClient(routes=routes, node_id=lambda: NODE_ID, has_allocation=allocations.__contains__)
    idle = LocalClient(routes=(), node_id=lambda: a_node(2).id, has_allocation=lambda _: False)
    node = await listen(Api(client=holder, servers=Servers([server])))
    client = await listen(Api(client=idle, servers=Servers([server])))
    await ask.propose(RegisterNode(node=a_node(http_addr=node)))
    alloc = await placed(ask)
    allocations.add(alloc)
    yield Cluster(ask, f"http://{server}", f"http://{node}", f"http://{client}", alloc, ended, servers[1])
    for http in servers:
        await http.stop(0)
    for api in apis[1:]:
        await api.close()


def path(cluster: Cluster, task: str = "t", more: str = "") -> str:
    return f"/v1/client/allocation/{cluster.alloc}/exec?task={task}&command={quote(json.dumps(['ls']))}{more}"


async def closed(socket: aiohttp.ClientWebSocketResponse[Any]) -> tuple[int | None, str]:
    message = await socket.receive(5)
    assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED), message
    return socket.close_code, message.extra or ""


@pytest.mark.parametrize("agent", ["server", "node", "client"])
async def test_messages_go_both_ways_whichever_agent_is_asked(cluster: Cluster, agent: str) -> None:
    async with aiohttp.ClientSession(getattr(cluster, agent)) as session, session.ws_connect(path(cluster)) as socket:
        assert await socket.receive_str() == 't ["ls"]'
        await socket.send_str("one")
        await socket.send_str("two")
        assert [await socket.receive_str(), await socket.receive_str()] == ["heard one", "heard two"]
        await socket.send_str("end")
        assert await closed(socket) == (1000, "")


@pytest.mark.parametrize("agent", ["node", "client"])
@pytest.mark.parametrize(("text", "told"), [("fail", (1011, "it failed")), ("missing", (1008, "it is not there"))])
async def test_an_error_is_told_in_the_close_frame(
    cluster: Cluster, agent: str, text: str, told: tuple[int, str]
) -> None:
    async with aiohttp.ClientSession(getattr(cluster, agent)) as session, session.ws_connect(path(cluster)) as socket:
        await socket.receive_str()
        await socket.send_str(text)
        assert await closed(socket) == told


@pytest.mark.parametrize("agent", ["node", "client"])
async def test_an_error_from_before_is_told_in_the_close_frame_too(cluster: Cluster, agent: str) -> None:
    async with aiohttp.ClientSession(getattr(cluster, agent)) as session:
        async with session.ws_connect(path(cluster, "nope")) as socket:
            assert await closed(socket) == (1008, "no such task")
        unknown = path(cluster).replace(cluster.alloc, an_id(9, "none"))
        async with session.ws_connect(unknown) as socket:
            assert await closed(socket) == (1008, f'Unknown allocation "{an_id(9, "none")}"')


@pytest.mark.parametrize("agent", ["node", "client"])
async def test_whoever_hangs_up_ends_what_runs(cluster: Cluster, agent: str) -> None:
    async with aiohttp.ClientSession(getattr(cluster, agent)) as session:
        socket = await session.ws_connect(path(cluster))
        await socket.receive_str()
    async with asyncio.timeout(5):
        await cluster.ended.wait()


async def test_an_agent_that_ends_says_so(cluster: Cluster) -> None:
    async with aiohttp.ClientSession(cluster.client) as session, session.ws_connect(path(cluster)) as socket:
        await socket.receive_str()
        stopping = asyncio.ensure_future(cluster.http.stop(1.0))
        assert await closed(socket) == (1001, "the agent ends")
        await stopping


async def test_a_page_of_another_site_runs_nothing(cluster: Cluster) -> None:
    async with aiohttp.ClientSession(cluster.node) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(path(cluster), headers={"Origin": "https://elsewhere.example"})
        assert refused.value.status == 403
        async with session.ws_connect(path(cluster), headers={"Origin": cluster.node}) as socket:
            assert await socket.receive_str() == 't ["ls"]'
    async with (
        aiohttp.ClientSession(cluster.client) as session,
        session.ws_connect(path(cluster), headers={"Origin": cluster.client}) as socket,
    ):
        assert await socket.receive_str() == 't ["ls"]'


@pytest.mark.parametrize("agent", ["node", "client"])
async def test_the_first_message_of_a_browser_is_its_token(cluster: Cluster, agent: str) -> None:
    async with (
        aiohttp.ClientSession(getattr(cluster, agent)) as session,
        session.ws_connect(path(cluster, more="&ws_handshake=true")) as socket,
    ):
        await socket.send_str('{"version": 1, "auth_token": ""}')
        assert await socket.receive_str() == 't ["ls"]'
        await socket.send_str("one")
        assert await socket.receive_str() == "heard one"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("command=%5B%22ls%22%5D", "websocket connection not found in context"),
        ("", "failed to marshal command into json: unexpected end of JSON input"),
        ("command=ls", "failed to marshal command into json: invalid character 'l' looking for beginning of value"),
        (
            "command=%22ls%22",
            "failed to marshal command into json: json: cannot unmarshal string into Go value of type []string",
        ),
        ("tty=x", 'tty value is not a boolean: strconv.ParseBool: parsing "x": invalid syntax'),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anybody_is_asked(ask: Asked, query: str, told: str) -> None:
    assert await ask.refused("GET", f"/v1/client/allocation/{an_id(9, 'none')}/exec?task=t&{query}") == (500, told)


async def test_an_action_is_its_command_run_in_an_allocation(cluster: Cluster) -> None:
    task = a_task(actions=(Action(name="hello", command="/bin/echo", args=("hi",)),))
    job = a_job(id="web", task_groups=(a_group(tasks=(task,)),))
    await cluster.ask.put("/v1/jobs", request_job(job))
    running = AllocationUpdate(id=cluster.alloc, client_status="running")
    await cluster.ask.propose(UpdateAllocations(node_id=NODE_ID, updates=(running,)))
    async with aiohttp.ClientSession(cluster.client) as session:
        async with session.ws_connect("/v1/job/web/action?action=hello&group=web&tty=false") as socket:
            assert await socket.receive_str() == 'server ["/bin/echo", "hi"]'
        async with session.ws_connect(f"/v1/job/web/action?action=nope&allocID={cluster.alloc}") as socket:
            assert await closed(socket) == (1011, 'action "nope" not found in group "web" of job "web"')
        async with session.ws_connect("/v1/job/nope/action?action=hello") as socket:
            assert await closed(socket) == (1011, 'Unknown job "nope"')
