from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import msgspec
import pytest

from raftnomad.fsm.commands import ApplyPlan, RegisterJob, RegisterNode
from raftnomad.model.node import Node
from raftnomad.model.row import Row
from raftnomad.sdk.agent_protocol import (
    NODE_HEADER,
    PREFIX,
    SECRET_HEADER,
    AllocationReport,
    AllocationsResponse,
    FetchRequest,
    FetchResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    RegisterRequest,
    ReportRequest,
    ReportResponse,
)
from raftnomad.web import Response
from tests.api.conftest import Asked
from tests.makers import a_block, a_job, a_node, a_plan, an_evaluation, an_id

R = TypeVar("R", bound=Row)
NODE = a_node()


async def tell(
    ask: Asked, method: str, path: str, body: Row | None = None, node: Node = NODE, secret: str | None = None
) -> Response:
    headers = {NODE_HEADER: node.id, SECRET_HEADER: node.secret_id if secret is None else secret}
    return await ask(method, f"{PREFIX}/{path}", msgspec.msgpack.encode(body) if body is not None else b"", headers)


async def told(ask: Asked, method: str, path: str, answer: type[R], body: Row | None = None, **who: Any) -> R:
    response = await tell(ask, method, path, body, **who)
    assert response.status == 200, response
    return msgspec.msgpack.decode(response.body, type=answer)


async def placed(ask: Asked, node: Node = NODE, number: int = 1) -> str:
    """An allocation of a job on the node, by way of a plan."""
    job = a_job()
    if ("default", job.id) not in ask.server.state.jobs:
        await ask.propose(RegisterJob(job=job, evaluation=an_evaluation()))
    job = ask.server.state.jobs["default", job.id]
    identifier = an_id(number, "allo")
    plan = a_plan(job, (a_block([identifier], [node.id], first_index=number),))
    await ask.propose(ApplyPlan(plan=plan, epoch=ask.server.state.epoch))
    assert identifier in ask.server.state.allocations
    return identifier


async def test_a_node_registers_and_is_told_its_heartbeat(ask: Asked) -> None:
    answer = await told(ask, "PUT", "register", HeartbeatResponse, RegisterRequest(node=NODE))
    assert answer.heartbeat_ttl_ns > 0
    assert (answer.servers, answer.leader) == (("127.0.0.1:4647",), "127.0.0.1:4647")
    assert (await ask.get(f"/v1/node/{NODE.id}"))["Name"] == "node1"
    beat = await told(ask, "PUT", "heartbeat", HeartbeatResponse, HeartbeatRequest(node_id=NODE.id))
    assert beat.eligibility == "eligible"


async def test_nobody_registers_under_a_name_without_its_secret(ask: Asked) -> None:
    await told(ask, "PUT", "register", HeartbeatResponse, RegisterRequest(node=NODE))
    thief = a_node(secret_id=an_id(9, "thief"))
    assert (await tell(ask, "PUT", "register", RegisterRequest(node=thief), thief)).status == 403
    assert (await tell(ask, "PUT", "register", RegisterRequest(node=NODE), secret="guess")).status == 403
    assert ask.server.state.nodes[NODE.id].secret_id == NODE.secret_id


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "heartbeat", HeartbeatRequest(node_id=NODE.id)),
        ("GET", "allocations", None),
        ("PUT", "fetch", FetchRequest(ids=("x",))),
        ("PUT", "report", ReportRequest(reports=(AllocationReport(id="x"),))),
    ],
)
async def test_every_route_asks_for_the_nodes_secret(ask: Asked, method: str, path: str, body: Row | None) -> None:
    assert (await tell(ask, method, path, body)).status == 404
    await ask.propose(RegisterNode(node=NODE))
    assert (await tell(ask, method, path, body, secret="guess")).status == 403
    assert (await tell(ask, method, path, body, secret="")).status == 403


async def test_a_body_that_is_no_messagepack_is_refused(ask: Asked) -> None:
    await ask.propose(RegisterNode(node=NODE))
    headers = {NODE_HEADER: NODE.id, SECRET_HEADER: NODE.secret_id}
    assert (await ask("PUT", f"{PREFIX}/heartbeat", b"{", headers)).status == 400


async def test_the_allocations_of_a_node_are_waited_for(ask: Asked) -> None:
    await ask.propose(RegisterNode(node=NODE))
    first = await told(ask, "GET", "allocations", AllocationsResponse)
    assert first.allocations == {}
    waiting = asyncio.ensure_future(told(ask, "GET", f"allocations?index={first.index}&wait=20s", AllocationsResponse))
    other = a_node(2)
    await ask.propose(RegisterNode(node=other))
    await placed(ask, other, number=2)
    await asyncio.sleep(0)
    assert not waiting.done()
    identifier = await placed(ask)
    answer = await waiting
    assert set(answer.allocations) == {identifier}
    assert answer.index > first.index


async def test_allocations_are_fetched_with_their_job_and_only_by_their_node(ask: Asked) -> None:
    for node in (NODE, a_node(2)):
        await ask.propose(RegisterNode(node=node))
    mine, other = await placed(ask), await placed(ask, a_node(2), number=2)
    answer = await told(ask, "PUT", "fetch", FetchResponse, FetchRequest(ids=(mine, other, an_id(9, "none"))))
    (alloc,) = answer.allocations
    assert alloc.id == mine
    assert alloc.job is not None
    assert alloc.job.id == "web"


async def test_a_report_changes_the_allocation_and_only_its_nodes_may_make_it(ask: Asked) -> None:
    for node in (NODE, a_node(2)):
        await ask.propose(RegisterNode(node=node))
    identifier = await placed(ask)
    report = ReportRequest(reports=(AllocationReport(id=identifier, client_status="running"),))
    assert (await tell(ask, "PUT", "report", report, node=a_node(2))).status == 403
    answer = await told(ask, "PUT", "report", ReportResponse, report)
    assert answer.index == ask.server.state.index
    assert ask.server.state.allocations[identifier].client_status == "running"


async def test_a_report_of_an_allocation_that_is_gone_is_no_error(ask: Asked) -> None:
    await ask.propose(RegisterNode(node=NODE))
    report = ReportRequest(reports=(AllocationReport(id=an_id(9, "none"), client_status="complete"),))
    assert (await tell(ask, "PUT", "report", report)).status == 200
