from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from raftnomad.api.event_buffer import KEPT, ROWS_KEPT, EventBuffer
from raftnomad.api.events import Subscription, events_of, parse_topics
from raftnomad.errors import BadRequest
from raftnomad.fsm.changes import Change, Changes
from raftnomad.fsm.commands import RegisterNode
from raftnomad.web import Request, Stream
from tests.api.conftest import Asked, request_job
from tests.api.test_client_agents import placed
from tests.makers import a_job, a_node, an_allocation, an_evaluation, an_id

EVERYTHING = Subscription(parse_topics([]), "*")


async def stream(ask: Asked, query: str) -> Any:
    pairs = tuple(tuple(pair.split("=", 1)) for pair in query.split("&") if pair)
    answer = await ask.api.handle(Request(method="GET", path="/v1/event/stream", query=pairs))  # type: ignore[arg-type]
    assert isinstance(answer, Stream)
    assert answer.headers["Cache-Control"] == "no-cache"
    return answer.frames


async def lines(frames: Any, count: int) -> list[dict[str, Any]]:
    return [json.loads(await asyncio.wait_for(anext(frames), 10)) for _ in range(count)]


async def test_what_happens_is_told_as_it_happens(ask: Asked) -> None:
    frames = await stream(ask, "topic=Job")
    assert await lines(frames, 1) == [{}]
    written = await ask.put("/v1/jobs", request_job(a_job(id="web")))
    (line,) = await lines(frames, 1)
    (event,) = line["Events"]
    assert (line["Index"], event["Index"]) == (written["Index"], written["Index"])
    assert (event["Topic"], event["Type"], event["Key"], event["Namespace"]) == (
        "Job",
        "JobRegistered",
        "web",
        "default",
    )
    assert event["FilterKeys"] is None
    assert event["Payload"]["Job"]["ID"] == "web"


async def test_the_past_is_told_from_an_index_on(ask: Asked) -> None:
    await ask.put("/v1/jobs", request_job(a_job(id="a")))
    second = await ask.put("/v1/jobs", request_job(a_job(id="b")))
    told = await lines(await stream(ask, f"topic=Job&index={second['Index']}"), 2)
    assert [event["Key"] for event in told[1]["Events"]] == ["b"]
    told = await lines(await stream(ask, "topic=Job:a"), 2)
    assert told[1]["Events"][0]["Key"] == "a"


async def test_an_index_of_the_future_begins_with_what_comes_next(ask: Asked) -> None:
    await ask.put("/v1/jobs", request_job(a_job(id="a")))
    frames = await stream(ask, "topic=Job&index=9000000")
    await lines(frames, 1)
    await ask.put("/v1/jobs", request_job(a_job(id="b")))
    assert (await lines(frames, 1))[0]["Events"][0]["Key"] == "b"


async def test_allocations_come_without_their_job_and_nodes_without_their_secret(ask: Asked) -> None:
    await ask.propose(RegisterNode(node=a_node()))
    await placed(ask)
    told = await lines(await stream(ask, "topic=Allocation:web&topic=Node"), 3)
    node, alloc = told[1]["Events"][0], told[2]["Events"][0]
    assert (node["Topic"], node["Payload"]["Node"]["SecretID"]) == ("Node", "")
    assert (alloc["Type"], alloc["FilterKeys"]) == ("PlanResult", ["web", ""])
    assert "Job" not in alloc["Payload"]["Allocation"]


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        (
            "topic=Job:a:b",
            400,
            "Invalid topic query: error parsing topics: Invalid key value pair for topic, topic: Job:a:b",
        ),
        ("index=x", 400, 'Unable to parse index: strconv.Atoi: parsing "x": invalid syntax'),
        ("index=-1", 400, ""),
    ],
)
async def test_bad_questions_are_refused(ask: Asked, query: str, status: int, message: str) -> None:
    assert await ask.refused("GET", f"/v1/event/stream?{query}") == (status, message)


def test_a_subscription_names_topics_keys_and_a_namespace() -> None:
    (event,) = events_of(Changes(5, "UpsertEvaluations", (Change("evaluations", "e", None, an_evaluation()),)))

    def wants(namespace: str, *topics: str) -> bool:
        return Subscription(parse_topics(list(topics)), namespace).wants(event)

    assert wants("default")
    assert wants("*", "Evaluation")
    assert wants("default", "Job", "Evaluation:web")
    assert wants("default", f"*:{an_id(1, 'eval')}")
    assert not wants("other")
    assert not wants("default", "Evaluation:api")
    assert not wants("default", "evaluation")
    with pytest.raises(BadRequest):
        parse_topics(["a:b:c"])


def test_commands_that_only_forget_make_no_events() -> None:
    assert events_of(Changes(5, "CollectGarbage", (Change("allocations", "a", an_allocation(), None),))) == []


async def test_a_reader_that_is_too_far_behind_is_cut_off() -> None:
    buffer = EventBuffer()
    frames = buffer.follow(EVERYTHING, 0)
    assert await anext(frames) == b"{}\n"
    for index in range(KEPT + 1):
        buffer.note(Changes(index, "RegisterJob", (Change("jobs", "web", None, a_job()),)))
    assert [frame async for frame in frames] == []


async def test_a_stream_ends_when_the_state_was_replaced() -> None:
    buffer = EventBuffer()
    frames = buffer.follow(EVERYTHING, 0)
    await anext(frames)
    ending = asyncio.ensure_future(anext(frames, None))
    await asyncio.sleep(0)
    buffer.note(Changes(9, "Restore", ()))
    assert await asyncio.wait_for(ending, 10) is None


async def test_large_commands_are_kept_by_their_rows() -> None:
    buffer = EventBuffer()
    rows = tuple(Change("jobs", "web", None, a_job()) for _ in range(ROWS_KEPT // 2))
    for index in range(5):
        buffer.note(Changes(index, "RegisterJob", rows))
    assert len(buffer._batches) == 2
