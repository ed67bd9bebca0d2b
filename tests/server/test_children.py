"""Periodic and parameterized jobs, as their users see them."""

from __future__ import annotations

import asyncio

import pytest

from raftnomad.errors import CommandRejected
from raftnomad.fsm.commands import DeregisterJob, RegisterJob
from raftnomad.fsm.invariants import violations
from raftnomad.model.policies import ParameterizedJobConfig, PeriodicConfig
from raftnomad.server.children import dispatch, force_launch
from raftnomad.server.server import Server
from tests.makers import a_job
from tests.server.conftest import StepClock
from tests.server.eventually import eventually

HOURLY = PeriodicConfig(enabled=True, specs=("@hourly",))


async def register(server: Server, **fields: object) -> None:
    job = a_job(fields.pop("id", "report"), type="batch", submit_time_ns=server.clock.now_ns(), **fields)
    await server.propose(RegisterJob(job=job))


def children(server: Server, job_id: str = "report") -> list[str]:
    return [child.id for child in server.state.children_of_job("default", job_id)]


async def an_hour_later(clock: StepClock) -> None:
    clock.now_s += 3600
    await asyncio.sleep(0.05)


async def test_a_periodic_job_has_a_child_each_time_and_its_evaluation_is_scheduled(
    server: Server, clock: StepClock
) -> None:
    await register(server, periodic=HOURLY)
    for number in (1, 2):
        await an_hour_later(clock)
        await eventually(lambda number=number: len(children(server)) == number)  # type: ignore[misc]
    assert children(server) == ["report/periodic-1800003600", "report/periodic-1800007200"]
    for child in children(server):
        await eventually(
            lambda child=child: (
                [one.status for one in server.state.evaluations_of_job("default", child)]  # type: ignore[misc]
                == ["complete", "blocked"]
            )
        )
    await server.propose(DeregisterJob(job_id="report"))
    await an_hour_later(clock)
    assert len(children(server)) == 2
    assert violations(server.state) == []


async def test_the_next_leader_launches_what_was_missed_and_nothing_twice(server: Server, clock: StepClock) -> None:
    await register(server, periodic=HOURLY)
    await an_hour_later(clock)
    await eventually(lambda: len(children(server)) == 1)
    server.log.lead(False)  # type: ignore[attr-defined]
    clock.now_s += 3 * 3600
    await asyncio.sleep(0.05)
    assert len(children(server)) == 1
    server.log.lead()  # type: ignore[attr-defined]
    await eventually(lambda: len(children(server)) == 2)
    await asyncio.sleep(0.05)
    assert children(server) == ["report/periodic-1800003600", "report/periodic-1800014400"]


async def test_a_launch_can_be_forced(server: Server) -> None:
    await register(server, periodic=HOURLY)
    child = await force_launch(server, "default", "report")
    assert (child.job_id, child.job_create_index) == ("report/periodic-1800000000", child.index)
    assert server.state.evaluations[child.eval_id].triggered_by == "periodic-job"
    with pytest.raises(CommandRejected, match="job not found"):
        await force_launch(server, "default", "none")


async def test_a_dispatch_with_a_used_token_names_the_first_child(server: Server) -> None:
    await register(server, id="hook", parameterized_job=ParameterizedJobConfig())
    first = await dispatch(server, "default", "hook", id_prefix="night", idempotency_token="abc")
    assert first.job_id.startswith("hook/dispatch-night-1800000000-")
    again = await dispatch(server, "default", "hook", idempotency_token="abc")
    assert (again.job_id, again.eval_id, again.job_create_index) == (first.job_id, "", first.index)
    other = await dispatch(server, "default", "hook", payload=b"x")
    assert server.state.jobs["default", other.job_id].payload == b"x"
    assert children(server, "hook") == [first.job_id, other.job_id]
