from __future__ import annotations

import asyncio
import json

import pytest

from raftnomad.api.blocking import Watchers, parse_index, parse_wait, with_jitter
from raftnomad.api.encoded import SLICE_ROWS, EncodedAnswers, Found
from raftnomad.errors import BadRequest
from raftnomad.fsm.changes import Change, Changes
from raftnomad.web import Response
from tests.api.conftest import Asked, request_job
from tests.makers import a_job, an_allocation, an_id


async def registered(ask: Asked, id: str, **fields: object) -> int:
    return int((await ask.put("/v1/jobs", request_job(a_job(id=id, **fields))))["Index"])


async def is_waiting(task: asyncio.Task[Response]) -> bool:
    for _ in range(5):
        await asyncio.sleep(0)
    return not task.done()


async def test_a_list_waits_for_a_change_of_its_table(ask: Asked) -> None:
    index = await registered(ask, "a")
    waiting = asyncio.ensure_future(ask("GET", f"/v1/jobs?index={index}&wait=20s"))
    assert await is_waiting(waiting)
    later = await registered(ask, "b")
    answer = await waiting
    assert answer.headers["X-Nomad-Index"] == str(later)
    assert [job["ID"] for job in json.loads(answer.body)] == ["a", "b"]


async def test_a_job_is_not_woken_by_another(ask: Asked) -> None:
    index = await registered(ask, "a")
    waiting = asyncio.ensure_future(ask("GET", f"/v1/job/a?index={index}&wait=20s"))
    await registered(ask, "b")
    assert await is_waiting(waiting)
    await registered(ask, "a", priority=70)
    assert json.loads((await waiting).body)["Priority"] == 70


async def test_an_index_of_the_past_answers_at_once(ask: Asked) -> None:
    await registered(ask, "a")
    assert (await ask("GET", "/v1/jobs?index=1&wait=20s")).status == 200


async def test_without_a_change_the_present_state_is_answered_after_the_wait(ask: Asked) -> None:
    index = await registered(ask, "a")
    answer = await ask("GET", f"/v1/jobs?index={index + 1000}&wait=20ms")
    assert answer.headers["X-Nomad-Index"] == str(index)


async def test_a_missing_job_is_waited_for(ask: Asked) -> None:
    index = await registered(ask, "a")
    waiting = asyncio.ensure_future(ask("GET", f"/v1/job/b?index={index}&wait=20s"))
    assert await is_waiting(waiting)
    await registered(ask, "b")
    assert (await waiting).status == 200


async def test_a_wait_that_is_given_up_leaves_nothing_behind(ask: Asked) -> None:
    index = await registered(ask, "a")
    waiting = asyncio.ensure_future(ask("GET", f"/v1/jobs?index={index}&wait=20s"))
    assert await is_waiting(waiting)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ask.api.watchers._waiting == {}


async def test_without_a_leader_only_stale_reads_are_answered(ask: Asked) -> None:
    ask.log.leading, ask.log.last_contact_ms = False, 42
    assert await ask.refused("GET", "/v1/jobs") == (500, "No cluster leader")
    assert await ask.refused("GET", "/v1/status/leader") == (500, "No cluster leader")
    answer = await ask("GET", "/v1/jobs?stale")
    assert (answer.headers["X-Nomad-KnownLeader"], answer.headers["X-Nomad-LastContact"]) == ("false", "42")


def change(table: str, row: object) -> Change:
    return Change(table, row.id, None, row)  # type: ignore[attr-defined]


def test_the_last_change_of_a_nodes_allocations_is_remembered() -> None:
    watchers = Watchers(index=5)
    key = ("allocations", "node", an_id(1, "node"))
    assert watchers.last_change(key) == 5
    watchers.note(Changes(9, "UpdateAllocations", (change("allocations", an_allocation()),)))
    assert watchers.last_change(key) == 9
    watchers.note(Changes(10, "RegisterJob", (change("jobs", a_job()),)))
    assert watchers.last_change(key) == 9
    watchers.reset(20)
    assert watchers.last_change(key) == 20


async def test_a_new_state_wakes_everybody() -> None:
    watchers = Watchers()
    waiting = asyncio.ensure_future(watchers.wait([("jobs",)], 20))
    await asyncio.sleep(0)
    watchers.note(Changes(7, "Restore", ()))
    assert await waiting is True
    assert watchers.last_change(("allocations", "node", "any")) == 7


@pytest.mark.parametrize(
    ("text", "nanoseconds"), [("", 300), ("10m", 300), ("-5s", 300), ("0s", 300), ("5s", 5), ("1.5s", 1.5)]
)
def test_waits_have_a_bound(text: str, nanoseconds: float) -> None:
    assert parse_wait(text) == nanoseconds * 10**9


@pytest.mark.parametrize("text", ["soon", "5", "5 s"])
def test_a_wait_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="Invalid wait time"):
        parse_wait(text)


@pytest.mark.parametrize("text", ["abc", "-1", "1.5", "99999999999999999999", "٣"])
def test_an_index_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="Invalid index"):
        parse_index(text)


def test_a_wait_is_longer_by_at_most_a_sixteenth() -> None:
    assert with_jitter(16 * 10**9, lambda n: bytes(n)) == 16
    assert 16.9 < with_jitter(16 * 10**9, lambda n: b"\xff" * n) < 17


async def test_equal_questions_are_encoded_once_until_something_changes() -> None:
    answers, reads = EncodedAnswers(), []

    def read() -> Found:
        reads.append(1)
        return Found(index=1, value=[1])

    first = await answers.get("q", (1,), read)
    assert await answers.get("q", (1,), read) is first
    assert await answers.get("q", (2,), read) is not first
    assert len(reads) == 2


async def test_kept_answers_take_bounded_memory() -> None:
    answers = EncodedAnswers(bytes_max=20_000)
    for i in range(100):
        await answers.get(i, (1,), lambda: Found(index=1, value="x" * 3_000))
    assert answers._bytes <= 20_000
    await answers.get("large", (1,), lambda: Found(index=1, value="x" * 19_000))
    assert "large" not in answers._entries


async def test_a_long_list_is_encoded_in_slices_once_for_all_who_ask() -> None:
    answers, reads = EncodedAnswers(), []

    def read() -> Found:
        reads.append(1)
        return Found(index=1, rows=range(2 * SLICE_ROWS + 1), show=str)

    asking = [asyncio.ensure_future(answers.get("q", (1,), read)) for _ in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()
    encoded = await asking[2]
    assert await asking[1] is encoded
    assert json.loads(encoded.body) == [str(i) for i in range(2 * SLICE_ROWS + 1)]
    assert len(reads) == 1


async def test_a_change_while_a_long_answer_is_made_is_not_missed() -> None:
    watchers = Watchers()
    with watchers.watch([("jobs",)]) as watch:
        watchers.note(Changes(10, "RegisterJob", (change("jobs", a_job()),)))
        await asyncio.sleep(0)  # Here the answer is encoded.
        assert await watch.wait(20) is True
        assert await watch.wait(0.01) is False
