"""A server as its users see it: jobs are placed, nodes die, allocations fail, and it goes on."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from raftnomad.errors import CommandRejected, NotFound
from raftnomad.fsm.commands import DeregisterJob, RegisterJob, UpdateNodeDrain
from raftnomad.fsm.invariants import violations
from raftnomad.model.allocation import AllocDeploymentStatus
from raftnomad.model.node import DrainStrategy
from raftnomad.model.policies import MigrateStrategy, ReschedulePolicy, UpdateStrategy
from raftnomad.sdk.agent_protocol import AllocationReport, HeartbeatRequest
from raftnomad.server.server import Server
from tests.makers import SECOND, a_group, a_job, a_node, an_evaluation, an_id, running
from tests.server.conftest import StepClock
from tests.server.eventually import eventually


async def register_node(server: Server, number: int = 1, **fields: object) -> str:
    node = a_node(number, status="initializing", **fields)  # type: ignore[arg-type]
    await server.register_node(node)
    await server.heartbeat(HeartbeatRequest(node_id=node.id))
    return node.id


async def run(server: Server, job=None, number: int = 1, **fields):  # type: ignore[no-untyped-def]
    job = job or a_job(**fields)
    await server.propose(RegisterJob(job=job, evaluation=an_evaluation(number, job)))
    return job


async def pass_time(server: Server, clock: StepClock, seconds: int, node_id: str) -> None:
    """The node is heard of all the while."""
    for _ in range(seconds // 5):
        await asyncio.sleep(0.02)
        clock.now_s += 5
        await server.heartbeat(HeartbeatRequest(node_id=node_id))


def live(server: Server, job_id: str = "web"):  # type: ignore[no-untyped-def]
    return [
        alloc
        for alloc in server.state.allocations_of_job("default", job_id)
        if alloc.desired_status == "run" and alloc.client_status in ("pending", "running")
    ]


async def report_all(server: Server, status: str = "running", healthy: bool | None = None) -> None:
    for alloc in server.state.allocations.values():
        if alloc.desired_status == "run" and alloc.client_status == "pending":
            health = None if healthy is None else AllocDeploymentStatus(healthy=healthy)
            report = AllocationReport(
                id=alloc.id, client_status=status, task_states=running(), deployment_status=health
            )
            await server.update_allocations(alloc.node_id, [report])
            await report_all(server, status, healthy)
            return


async def test_a_registered_job_is_placed(server: Server) -> None:
    await register_node(server)
    await run(server, count=3)
    await eventually(lambda: len(live(server)) == 3)
    await eventually(lambda: server.state.evaluations[an_id(1, "eval")].status == "complete")
    assert violations(server.state) == []


async def test_what_does_not_fit_waits_and_is_placed_when_a_node_comes(server: Server) -> None:
    await run(server, count=2)
    await eventually(lambda: any(one.status == "blocked" for one in server.state.evaluations.values()))
    assert server.state.summaries["default", "web"].summary["web"].queued == 2
    await register_node(server)
    await eventually(lambda: len(live(server)) == 2)
    await eventually(lambda: not server.state.open_evaluations["default", "web"])
    assert server.state.summaries["default", "web"].summary["web"].queued == 0


async def test_a_stopped_job_s_allocations_are_stopped(server: Server) -> None:
    await register_node(server)
    job = await run(server, count=2)
    await eventually(lambda: len(live(server)) == 2)
    await server.propose(DeregisterJob(job_id="web", evaluation=an_evaluation(2, job)))
    await eventually(lambda: live(server) == [])
    await eventually(lambda: server.state.jobs["default", "web"].status == "dead")


async def test_a_silent_node_is_down_and_its_allocations_are_replaced(server: Server, clock: StepClock) -> None:
    first = await register_node(server, 1)
    await run(server)
    await eventually(lambda: len(live(server)) == 1)
    await report_all(server)
    second = await register_node(server, 2)
    await pass_time(server, clock, 25, second)
    await eventually(lambda: server.state.nodes[first].status == "down")
    await eventually(lambda: [alloc.node_id for alloc in live(server)] == [second])
    assert server.state.nodes[second].status == "ready"
    lost = server.state.allocations_of_node(first)[0]
    assert (lost.client_status, lost.desired_status) == ("lost", "stop")
    assert server.state.nodes[first].events[-1].message == "Node heartbeat missed"
    assert violations(server.state) == []


async def test_a_node_that_returns_is_ready_again(server: Server, clock: StepClock) -> None:
    node_id = await register_node(server)
    clock.now_s += 25
    await eventually(lambda: server.state.nodes[node_id].status == "down")
    await server.heartbeat(HeartbeatRequest(node_id=node_id))
    assert server.state.nodes[node_id].status == "ready"


async def test_heartbeats_of_an_unknown_node_are_refused(server: Server) -> None:
    with pytest.raises(NotFound):
        await server.heartbeat(HeartbeatRequest(node_id=an_id(9, "node")))


async def test_another_secret_is_refused(server: Server) -> None:
    await register_node(server)
    with pytest.raises(CommandRejected, match="secret"):
        await server.register_node(a_node(1, secret_id="other"))


async def test_a_failed_allocation_is_placed_again(server: Server) -> None:
    await register_node(server)
    policy = ReschedulePolicy(unlimited=True, delay_ns=0, delay_function="constant")
    await run(server, a_job(task_groups=(a_group(reschedule_policy=policy),)))
    await eventually(lambda: len(live(server)) == 1)
    first = live(server)[0]
    await report_all(server, "failed")
    await eventually(lambda: len(live(server)) == 1)
    second = live(server)[0]
    assert second.previous_allocation == first.id
    assert server.state.allocations[first.id].next_allocation == second.id


def rolling(version: int, count: int = 2, **fields):  # type: ignore[no-untyped-def]
    update = UpdateStrategy(
        max_parallel=1,
        health_check="checks",
        progress_deadline_ns=60 * SECOND,
        healthy_deadline_ns=30 * SECOND,
        **fields,
    )
    return a_job(
        meta={"version": str(version)}, task_groups=(a_group(count=count, meta={"v": str(version)}, update=update),)
    )


async def deployment_is(server: Server, status: str) -> None:
    def holds() -> bool:
        deployment = server.state.latest_deployment("default", "web")
        return deployment is not None and deployment.status == status

    await eventually(holds)


async def test_a_deployment_succeeds_when_all_are_healthy(server: Server) -> None:
    await register_node(server)
    await run(server, rolling(0))
    await eventually(lambda: len(live(server)) == 2)
    await report_all(server, healthy=True)
    await deployment_is(server, "successful")
    assert server.state.jobs["default", "web"].stable


async def test_a_rolling_update_goes_on_step_by_step(server: Server) -> None:
    await register_node(server)
    await run(server, rolling(0, count=3))
    await eventually(lambda: len(live(server)) == 3)
    await report_all(server, healthy=True)
    await deployment_is(server, "successful")
    await run(server, rolling(1, count=3), 2)
    for step in (1, 2, 3):
        await eventually(lambda step=step: sum(alloc.job.version == 1 for alloc in live(server)) == step)
        assert len(live(server)) == 3
        await report_all(server, healthy=True)
    await deployment_is(server, "successful")


async def test_an_unhealthy_version_is_rolled_back(server: Server) -> None:
    await register_node(server)
    await run(server, rolling(0, auto_revert=True))
    await eventually(lambda: len(live(server)) == 2)
    await report_all(server, healthy=True)
    await deployment_is(server, "successful")
    await run(server, rolling(1, auto_revert=True), 2)
    await eventually(lambda: any(alloc.job.version == 1 for alloc in live(server)))
    await report_all(server, "failed", healthy=False)
    await eventually(lambda: server.state.jobs["default", "web"].version == 2)
    failed = server.state.deployments_of_job("default", "web")[1]
    assert failed.status == "failed"
    assert failed.status_description == "Failed due to unhealthy allocations - rolling back to job version 0"
    assert server.state.jobs["default", "web"].meta == {"version": "0"}
    await eventually(lambda: {alloc.job.meta["version"] for alloc in live(server)} == {"0"})
    assert violations(server.state) == []


async def test_a_deployment_that_does_not_get_on_fails(server: Server, clock: StepClock) -> None:
    node_id = await register_node(server)
    await run(server, rolling(0))
    await eventually(lambda: len(live(server)) == 2)
    await deployment_is(server, "running")
    await pass_time(server, clock, 70, node_id)
    await deployment_is(server, "failed")
    assert "progress deadline" in server.state.latest_deployment("default", "web").status_description


async def test_a_draining_node_is_emptied_a_few_at_a_time(server: Server) -> None:
    first = await register_node(server, 1)
    group = a_group(count=3, migrate=MigrateStrategy(max_parallel=1))
    await run(server, a_job(task_groups=(group,)))
    await eventually(lambda: len(live(server)) == 3)
    await report_all(server, healthy=True)
    await register_node(server, 2)
    strategy = DrainStrategy(deadline_ns=3600 * SECOND, started_at="2026-01-01T00:00:00Z")
    await server.propose(UpdateNodeDrain(node_id=first, strategy=strategy))
    for left in (2, 1, 0):
        await eventually(lambda left=left: sum(alloc.node_id == first for alloc in live(server)) == left)
        assert len(live(server)) == 3
        await report_all(server, healthy=True)
    for alloc in server.state.allocations_of_node(first):
        await server.update_allocations(first, [AllocationReport(id=alloc.id, client_status="complete")])
    await eventually(lambda: server.state.nodes[first].drain_strategy is None)
    node = server.state.nodes[first]
    assert (node.scheduling_eligibility, node.last_drain.status) == ("ineligible", "complete")
    assert node.events[-1].message == "Node drain complete"


async def test_a_new_leader_takes_up_what_the_last_one_left(server: Server) -> None:
    await register_node(server)
    server.log.lead(False)  # type: ignore[attr-defined]
    await run(server, count=2)
    assert live(server) == []
    server.log.lead()  # type: ignore[attr-defined]
    await eventually(lambda: len(live(server)) == 2)


async def test_many_jobs_at_once_fill_a_node_and_no_more(server: Server) -> None:
    await register_node(server, cpu=1000)
    for number in range(15):
        await run(server, a_job(f"job{number}"), number + 1)
    placed = server.state.allocations
    await eventually(lambda: len(placed) == 10)
    await eventually(lambda: sum(one.status == "blocked" for one in server.state.evaluations.values()) == 5)
    await eventually(lambda: not any(one.status == "pending" for one in server.state.evaluations.values()))
    assert violations(server.state) == []
    await register_node(server, 2, cpu=1000)
    await eventually(lambda: len(placed) == 15)


async def test_planning_a_job_changes_nothing(server: Server) -> None:
    await register_node(server)
    before = server.state.index
    plan = await server.plan_job(a_job(count=2))
    assert plan.annotations.desired_tg_updates["web"].place == 2
    assert (plan.job_modify_index, server.state.index) == (0, before)
    assert not server.state.jobs
    assert plan.diff is None
    plan = await server.plan_job(a_job(count=2), diff=True)
    assert (plan.diff.type, plan.diff.task_groups[0].updates) == ("Added", {"create": 2})


async def test_what_is_over_is_forgotten_on_demand(server: Server) -> None:
    await register_node(server)
    job = await run(server)
    await eventually(lambda: len(live(server)) == 1)
    await server.propose(DeregisterJob(job_id="web", evaluation=an_evaluation(2, job)))
    await eventually(lambda: live(server) == [])
    await server.collect_garbage()
    assert ("default", "web") in server.state.jobs
    for alloc in list(server.state.allocations.values()):
        await server.update_allocations(alloc.node_id, [AllocationReport(id=alloc.id, client_status="complete")])
    await eventually(lambda: not server.state.open_evaluations["default", "web"])
    await server.collect_garbage()
    assert not server.state.jobs
    assert not server.state.allocations
    assert not server.state.evaluations


def test_makers_give_what_they_are_asked_for() -> None:
    assert msgspec.structs.replace(a_job(count=2)).task_groups[0].count == 2


async def test_a_system_job_displaces_what_is_less_important(server: Server) -> None:
    await register_node(server, memory_mb=200)
    await run(server, a_job("low", priority=20))
    await eventually(lambda: len(live(server, "low")) == 1)
    (low,) = live(server, "low")
    await run(server, a_job("agent", type="system", priority=80), number=2)
    await eventually(lambda: len(live(server, "agent")) == 1)
    (agent,) = live(server, "agent")
    low = server.state.allocations[low.id]
    assert (low.desired_status, low.desired_description) == ("evict", f"Preempted by alloc ID {agent.id}")
    assert agent.preempted_allocations == (low.id,)
    await eventually(lambda: any(one.status == "blocked" for one in server.state.evaluations_of_job("default", "low")))
    triggers = [one.triggered_by for one in server.state.evaluations_of_job("default", "low")]
    assert triggers == ["job-register", "preemption", "queued-allocs"]
