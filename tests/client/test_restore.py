"""What a client agent finds again after it was stopped, killed, or lost its state."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from raftnomad.client.client import Client
from raftnomad.client.connection import HttpConnection
from raftnomad.client.settings import ClientSettings
from raftnomad.clock import SystemClock
from raftnomad.drivers.driver import TaskHandle
from raftnomad.drivers.mock import MockDriver
from raftnomad.errors import DataDirectoryError
from tests.client.conftest import ClientMaker
from tests.client.fake_server import FakeServer
from tests.client.makers import SECOND, a_group, a_job, a_task, an_alloc


def types(report, task: str = "web") -> list[str]:  # type: ignore[no-untyped-def]
    return [event.type for event in report.task_states[task].events]


async def test_a_node_keeps_its_identity(make_client: ClientMaker) -> None:
    first = make_client()
    await first.start()
    await first.stop()
    second = make_client()
    await second.start()
    assert (second.node.id, second.node.secret_id) == (first.node.id, first.node.secret_id)
    await second.stop()


async def test_two_agents_cannot_share_a_state(make_client: ClientMaker) -> None:
    first = make_client()
    await first.start()
    with pytest.raises(DataDirectoryError, match="another client agent"):
        await make_client().start()
    await first.stop()


async def test_a_running_task_is_found_again_without_a_new_event(server: FakeServer, make_client: ClientMaker) -> None:
    first = make_client()
    await first.start()
    alloc = an_alloc()
    await server.place(alloc)
    before = await server.status(alloc.id, "running")
    await first.stop()
    server.reports.clear()

    second = make_client()
    await second.start()
    after = await server.status(alloc.id, "running")
    assert types(after) == types(before)
    assert second.allocations[alloc.id].tasks["web"].running
    await second.stop(kill_tasks=True)


async def test_the_exit_code_of_a_task_that_ended_meanwhile_is_known(
    server: FakeServer, make_client: ClientMaker
) -> None:
    first = make_client()
    await first.start()
    alloc = an_alloc(a_job(a_group(a_task(config={"run_for": "300ms", "exit_code": 7})), type="batch"))
    await server.place(alloc)
    await server.status(alloc.id, "running")
    await first.stop()
    await asyncio.sleep(0.4)

    second = make_client()
    await second.start()
    report = await server.status(alloc.id, "failed")
    events = report.task_states["web"].events or ()  # type: ignore[index]
    assert [event.exit_code for event in events if event.type == "Terminated"] == [7]
    await second.stop(kill_tasks=True)


async def test_a_task_whose_handle_is_lost_is_restarted_by_its_policy_once_the_servers_confirm_it(
    server: FakeServer, make_client: ClientMaker
) -> None:
    from raftnomad.model.policies import RestartPolicy

    policy = RestartPolicy(attempts=1, interval_ns=600 * SECOND, delay_ns=SECOND // 100, mode="fail")
    first = make_client()
    await first.start()
    alloc = an_alloc(a_job(a_group(a_task(restart_policy=policy))))
    await server.place(alloc)
    await server.status(alloc.id, "running")
    runner = first.allocations[alloc.id]
    runner.tasks["web"].process.handle = TaskHandle(driver="mock_driver", task_id="x", state={})
    await runner.save()
    await first.stop()
    server.reports.clear()

    second = make_client()
    await second.start()
    report = await server.status(alloc.id, "running")
    assert types(report)[-4:] == ["Failed Restoring Task", "Terminated", "Restarting", "Started"]
    await second.stop(kill_tasks=True)


async def test_nothing_is_started_again_before_a_server_confirms_the_allocation(
    server: FakeServer, make_client: ClientMaker
) -> None:
    first = make_client()
    await first.start()
    alloc = an_alloc()
    await server.place(alloc)
    await server.status(alloc.id, "running")
    runner = first.allocations[alloc.id]
    task = runner.tasks["web"]
    task.process.handle, task.state = None, replace(task.state, state="pending")
    await runner.save()
    await first.stop()

    server.failing = True
    server.reports.clear()
    second = make_client()
    await second.start()
    await asyncio.sleep(0.2)
    assert not second.allocations[alloc.id].tasks["web"].running
    server.failing = False
    await server.status(alloc.id, "running")
    await second.stop(kill_tasks=True)


async def test_an_allocation_stopped_while_the_agent_was_away_is_killed(
    server: FakeServer, make_client: ClientMaker
) -> None:
    first = make_client()
    await first.start()
    alloc = an_alloc()
    await server.place(alloc)
    await server.status(alloc.id, "running")
    await first.stop()
    await server.ask_to_stop(alloc.id)
    second = make_client()
    await second.start()
    report = await server.status(alloc.id, "complete")
    assert types(report)[-1] == "Killed"
    await second.stop()


async def test_reports_wait_for_a_leader_and_none_is_lost(server: FakeServer, client: Client) -> None:
    alloc = an_alloc(a_job(a_group(a_task(config={"run_for": "50ms"})), type="batch"))
    await server.place(alloc)
    await server.until(lambda: alloc.id in client.allocations)
    server.failing = True
    await client.allocations[alloc.id].ended()
    server.failing = False
    await server.status(alloc.id, "complete")


async def test_a_client_goes_on_with_the_server_that_is_left(settings: ClientSettings, tmp_path: Path) -> None:
    one, two = FakeServer(ttl_s=0.2), FakeServer(ttl_s=0.2)
    addresses = [await one.start(), await two.start()]
    drivers = {"mock_driver": MockDriver({}, tmp_path / "drivers")}
    client = Client(settings, drivers, HttpConnection(addresses), SystemClock(), os.urandom)
    await client.start()
    await one.until(lambda: one.registrations > 0)
    await one.stop()
    await two.until(lambda: two.registrations > 0 and two.heartbeats > 0)
    alloc = an_alloc()
    await two.place(alloc)
    await two.status(alloc.id, "running")
    await client.stop(kill_tasks=True)
    await two.stop()


async def test_a_node_that_the_servers_do_not_know_any_more_registers_again(
    settings: ClientSettings, tmp_path: Path
) -> None:
    server = FakeServer(ttl_s=0.1)
    drivers = {"mock_driver": MockDriver({}, tmp_path / "drivers")}
    client = Client(settings, drivers, HttpConnection([await server.start()]), SystemClock(), os.urandom)
    await client.start()
    await server.until(lambda: server.heartbeats > 0)
    server.nodes.clear()
    await server.until(lambda: server.registrations == 2)
    await client.stop()
    await server.stop()
