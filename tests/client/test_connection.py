from __future__ import annotations

import asyncio

import pytest

from raftnomad.client.connection import HttpConnection, NoServers
from raftnomad.errors import NotFound
from raftnomad.model.node import Node
from raftnomad.sdk.agent_protocol import HeartbeatRequest, RegisterRequest
from tests.client.fake_server import FakeServer


async def a_cluster_of_two() -> tuple[FakeServer, FakeServer, HttpConnection]:
    one, two = FakeServer(), FakeServer()
    connection = HttpConnection([await one.start(), await two.start()])
    connection.identify("n", "s")
    for server in (one, two):
        server.nodes["n"] = Node(id="n", secret_id="s")
    return one, two, connection


async def test_the_next_server_is_asked_when_one_has_no_leader() -> None:
    one, two, connection = await a_cluster_of_two()
    one.failing = True
    await connection.heartbeat(HeartbeatRequest(node_id="n"))
    assert two.heartbeats == 1
    assert connection.known_servers() == (two.address, one.address)
    await connection.close()
    await asyncio.gather(one.stop(), two.stop())


async def test_a_poll_at_a_server_that_fails_a_heartbeat_is_given_up_and_asked_elsewhere() -> None:
    one, two, connection = await a_cluster_of_two()
    two.index = 9
    poll = asyncio.ensure_future(connection.allocations(5, 600.0))
    await asyncio.sleep(0.1)
    assert not poll.done()
    one.failing = True
    await connection.heartbeat(HeartbeatRequest(node_id="n"))
    async with asyncio.timeout(5):
        assert (await poll).index == 9
    await connection.close()
    await asyncio.gather(one.stop(), two.stop())


async def test_what_every_server_would_refuse_is_not_asked_twice() -> None:
    one, two, connection = await a_cluster_of_two()
    with pytest.raises(NotFound):
        await connection.heartbeat(HeartbeatRequest(node_id="other"))
    assert connection.known_servers() == (one.address, two.address)
    await connection.close()
    await asyncio.gather(one.stop(), two.stop())


async def test_servers_tell_of_each_other() -> None:
    one, two, connection = await a_cluster_of_two()
    one.tells = ("127.0.0.1:1", one.address)
    await connection.register(RegisterRequest(node=Node(id="n", secret_id="s")))
    assert connection.known_servers() == (one.address, "127.0.0.1:1", two.address)
    await connection.close()
    await asyncio.gather(one.stop(), two.stop())


async def test_without_any_server_the_complaint_names_what_was_tried() -> None:
    connection = HttpConnection(["127.0.0.1:1"])
    with pytest.raises(NoServers, match=r"127\.0\.0\.1:1"):
        await connection.heartbeat(HeartbeatRequest(node_id="n"))
    with pytest.raises(NoServers, match="no servers are known"):
        await HttpConnection([]).heartbeat(HeartbeatRequest(node_id="n"))
    await connection.close()
