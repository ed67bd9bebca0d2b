"""Stories of a client agent with the mock driver, against a server that only keeps tables."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from raftnomad.client.client import Client
from raftnomad.client.connection import HttpConnection
from raftnomad.client.settings import ClientSettings
from raftnomad.clock import SystemClock
from raftnomad.drivers.mock import MockDriver
from raftnomad.model.job import DispatchPayloadConfig, EphemeralDisk, Template
from raftnomad.model.policies import DisconnectStrategy, MigrateStrategy, RestartPolicy, UpdateStrategy
from raftnomad.model.service import Service
from tests.client.fake_server import FakeServer
from tests.client.makers import SECOND, a_group, a_job, a_task, an_alloc, never_restart


def types(report, task: str = "web") -> list[str]:  # type: ignore[no-untyped-def]
    return [event.type for event in report.task_states[task].events]


async def test_a_node_registers_as_ready_and_heartbeats(server: FakeServer, client: Client) -> None:
    await server.until(lambda: server.heartbeats > 0)
    node = server.nodes[client.node_id]
    assert node.status == "ready"
    assert node.drivers is not None and node.drivers["mock_driver"].healthy
    assert node.node_resources is not None and node.node_resources.cpu.cpu_shares > 0


async def test_an_allocation_runs_and_is_reported(server: FakeServer, client: Client) -> None:
    alloc = an_alloc()
    await server.place(alloc)
    report = await server.status(alloc.id, "running")
    assert report.client_description == "Tasks are running"
    assert types(report) == ["Received", "Task Setup", "Started"]


async def test_a_batch_task_that_ends_completes_its_allocation(server: FakeServer, client: Client) -> None:
    alloc = an_alloc(a_job(a_group(a_task(config={"run_for": "10ms"})), type="batch"))
    await server.place(alloc)
    report = await server.status(alloc.id, "complete")
    assert report.client_description == "All tasks have completed"
    assert types(report)[-1] == "Terminated"


async def test_a_stopped_allocation_is_killed_and_complete(server: FakeServer, client: Client) -> None:
    alloc = an_alloc()
    await server.place(alloc)
    await server.status(alloc.id, "running")
    await server.ask_to_stop(alloc.id)
    report = await server.status(alloc.id, "complete")
    assert types(report)[-3:] == ["Killing", "Terminated", "Killed"]


async def test_a_task_that_fails_for_good_fails_its_allocation_and_siblings(server: FakeServer, client: Client) -> None:
    group = a_group(a_task("bad", config={"run_for": "30ms", "exit_code": 3}), a_task("good"))
    alloc = an_alloc(a_job(group))
    await server.place(alloc)
    report = await server.reported(
        alloc.id, lambda r: all(state.state == "dead" for state in (r.task_states or {}).values())
    )
    assert report.client_status == "failed"
    assert types(report, "bad")[-2:] == ["Terminated", "Not Restarting"]
    assert types(report, "good")[-4:] == ["Sibling Task Failed", "Killing", "Terminated", "Killed"]


async def test_an_allocation_stopped_before_it_was_seen_is_declined(server: FakeServer, client: Client) -> None:
    alloc = an_alloc(desired_status="stop")
    await server.place(alloc)
    await server.status(alloc.id, "complete")
    assert alloc.id not in client.allocations


async def test_an_allocation_that_the_servers_forget_is_destroyed(server: FakeServer, client: Client) -> None:
    alloc = an_alloc()
    await server.place(alloc)
    await server.status(alloc.id, "running")
    directory = client.allocations[alloc.id].directory.root
    assert directory.is_dir()
    await server.collect(alloc.id)
    await server.until(lambda: alloc.id not in client.allocations)
    assert not directory.exists()


async def test_what_is_not_built_fails_the_task_and_says_so(server: FakeServer, client: Client) -> None:
    task = a_task(templates=(Template(dest_path="local/x", embedded_tmpl="x"),), restart_policy=never_restart())
    alloc = an_alloc(a_job(a_group(task)))
    await server.place(alloc)
    report = await server.status(alloc.id, "failed")
    events = report.task_states["web"].events  # type: ignore[index]
    assert [event.type for event in events] == ["Received", "Setup Failure", "Not Restarting"]
    assert "not built yet" in events[1].display_message


async def test_a_disk_that_stays_on_another_node_is_told_of(server: FakeServer, client: Client) -> None:
    group = a_group(ephemeral_disk=EphemeralDisk(sticky=True, migrate=True, size_mb=300))
    alloc = an_alloc(a_job(group), previous_allocation="12345678-0000-0000-0000-000000000000")
    await server.place(alloc)
    report = await server.status(alloc.id, "running")
    events = (report.task_states or {})["web"].events or ()
    assert "disk of allocation 12345678 stays behind" in events[1].display_message


async def test_a_deployed_allocation_is_reported_healthy_after_its_time(server: FakeServer, client: Client) -> None:
    update = UpdateStrategy(min_healthy_time_ns=SECOND // 10, healthy_deadline_ns=60 * SECOND)
    alloc = an_alloc(a_job(a_group(update=update)), deployment_id="d1")
    await server.place(alloc)
    report = await server.reported(alloc.id, lambda r: r.deployment_status is not None)
    assert report.deployment_status is not None and report.deployment_status.healthy
    assert "Alloc Unhealthy" not in types(report)


async def test_a_deployed_allocation_that_fails_is_reported_unhealthy_and_says_so(
    server: FakeServer, client: Client
) -> None:
    update = UpdateStrategy(min_healthy_time_ns=SECOND, healthy_deadline_ns=60 * SECOND)
    group = a_group(a_task(config={"run_for": "10ms", "exit_code": 1}), update=update)
    alloc = an_alloc(a_job(group), deployment_id="d1")
    await server.place(alloc)
    report = await server.reported(alloc.id, lambda r: types(r)[-1] == "Alloc Unhealthy")
    assert report.deployment_status is not None and report.deployment_status.healthy is False


async def test_without_a_deployment_a_failed_allocation_is_unhealthy_but_not_told_so(
    server: FakeServer, client: Client
) -> None:
    migrate = MigrateStrategy(health_check="checks", min_healthy_time_ns=SECOND, healthy_deadline_ns=60 * SECOND)
    group = a_group(a_task(config={"run_for": "10ms", "exit_code": 1}), migrate=migrate)
    alloc = an_alloc(a_job(group))
    await server.place(alloc)
    report = await server.reported(alloc.id, lambda r: r.deployment_status is not None)
    assert report.deployment_status is not None and report.deployment_status.healthy is False
    assert types(report)[-1] == "Not Restarting"


async def test_a_new_deployment_of_a_running_allocation_is_judged_anew(server: FakeServer, client: Client) -> None:
    update = UpdateStrategy(min_healthy_time_ns=SECOND // 50, healthy_deadline_ns=60 * SECOND)
    alloc = an_alloc(a_job(a_group(update=update)), deployment_id="d1")
    await server.place(alloc)
    first = await server.reported(alloc.id, lambda r: r.deployment_status is not None)
    await server.change(replace(alloc, deployment_id="d2"))
    second = await server.reported(
        alloc.id,
        lambda r: r.deployment_status is not None and r.deployment_status != first.deployment_status,
    )
    assert second.deployment_status is not None and second.deployment_status.healthy


async def test_a_changed_job_reaches_a_running_task_without_a_restart(server: FakeServer, client: Client) -> None:
    alloc = an_alloc()
    await server.place(alloc)
    await server.status(alloc.id, "running")
    changed = a_job(a_group(a_task(kill_timeout_ns=2 * SECOND)))
    await server.change(replace(server.allocations[alloc.id], job=changed))
    await server.until(lambda: client.allocations[alloc.id].job == changed)
    await server.ask_to_stop(alloc.id)
    report = await server.status(alloc.id, "complete")
    events = (report.task_states or {})["web"].events or ()
    assert next(event for event in events if event.type == "Killing").kill_timeout_ns == 2 * SECOND
    assert types(report).count("Started") == 1


async def test_an_allocation_thought_unknown_tells_that_it_is_back(server: FakeServer, client: Client) -> None:
    alloc = an_alloc()
    await server.place(alloc)
    await server.status(alloc.id, "running")
    await server.change(replace(server.allocations[alloc.id], client_status="unknown"))
    report = await server.reported(alloc.id, lambda r: types(r)[-1] == "Reconnected")
    assert report.client_status == "running"


async def test_poststop_tasks_run_when_an_allocation_is_stopped(server: FakeServer, client: Client) -> None:
    after = a_task("after", hook="poststop", config={"run_for": "10ms"})
    alloc = an_alloc(a_job(a_group(a_task(), after)))
    await server.place(alloc)
    await server.status(alloc.id, "running")
    await server.ask_to_stop(alloc.id)
    report = await server.status(alloc.id, "complete")
    assert types(report, "after")[-2:] == ["Started", "Terminated"]


async def test_a_start_that_hangs_is_broken_off_when_the_task_is_killed(server: FakeServer, client: Client) -> None:
    task = a_task(config={"start_block_for": "600s", "run_for": "1s"}, kill_timeout_ns=SECOND // 10)
    alloc = an_alloc(a_job(a_group(task)))
    await server.place(alloc)
    await server.reported(alloc.id, lambda r: types(r)[-1] == "Task Setup")
    await server.ask_to_stop(alloc.id)
    report = await server.status(alloc.id, "complete")
    assert types(report)[-1] == "Killing"


async def test_a_start_that_fails_recoverably_is_tried_again(server: FakeServer, client: Client) -> None:
    policy = RestartPolicy(attempts=1, interval_ns=600 * SECOND, delay_ns=SECOND // 50, mode="fail")
    task = a_task(config={"start_error": "no way", "start_error_recoverable": True}, restart_policy=policy)
    alloc = an_alloc(a_job(a_group(task)))
    await server.place(alloc)
    report = await server.status(alloc.id, "failed")
    assert types(report)[-4:] == ["Driver Failure", "Restarting", "Driver Failure", "Not Restarting"]


async def test_finished_allocations_are_collected_on_request_and_still_known(
    server: FakeServer, client: Client
) -> None:
    alloc = an_alloc(a_job(a_group(a_task(config={"run_for": "10ms"})), type="batch"))
    await server.place(alloc)
    await server.status(alloc.id, "complete")
    runner = client.allocations[alloc.id]
    await server.until(lambda: client.is_collectable(runner))
    await client.collect_garbage()
    assert not runner.directory.root.exists()
    assert runner.report().client_status == "complete"


async def test_an_allocation_may_be_stopped_when_no_server_answers_for_too_long(
    settings: ClientSettings, tmp_path: Path
) -> None:
    server = FakeServer(ttl_s=0.1)
    drivers = {"mock_driver": MockDriver({}, tmp_path / "drivers")}
    client = Client(settings, drivers, HttpConnection([await server.start()]), SystemClock(), os.urandom)
    await client.start()
    mortal = an_alloc(a_job(a_group(disconnect=DisconnectStrategy(stop_on_client_after_ns=SECOND // 2))))
    other = an_alloc()
    for alloc in (mortal, other):
        await server.place(alloc)
        await server.status(alloc.id, "running")
    server.failing = True
    await client.allocations[mortal.id].ended()
    assert not client.allocations[other.id].terminal
    server.failing = False
    await server.status(mortal.id, "complete")
    await client.stop(kill_tasks=True)
    await server.stop()


async def test_a_bug_in_one_task_fails_that_task_and_says_so(
    server: FakeServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(config: object) -> list[str]:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(client.drivers["mock_driver"], "validate", broken)
    alloc = an_alloc()
    await server.place(alloc)
    report = await server.status(alloc.id, "failed")
    assert types(report)[-2:] == ["Setup Failure", "Not Restarting"]


async def test_a_service_that_is_not_registered_yet_is_told_in_an_event(server: FakeServer, client: Client) -> None:
    service = Service(name="shop-web", provider="nomad")
    alloc = an_alloc(a_job(a_group(a_task(services=(service,)))))
    await server.place(alloc)
    report = await server.status(alloc.id, "running")
    assert types(report) == ["Received", "Task Setup", "Task hook message", "Started"]


async def test_a_service_name_that_is_none_fails_the_task(server: FakeServer, client: Client) -> None:
    service = Service(name="t-${GROUP}", provider="nomad")
    alloc = an_alloc(a_job(a_group(a_task(services=(service,)))))
    await server.place(alloc)
    report = await server.status(alloc.id, "failed")
    event = ((report.task_states or {})["web"].events or ())[1]
    assert event.type == "Task hook failed"
    assert event.display_message.startswith("validate: service (t-${GROUP}) failed validation: Service name must be")


async def test_a_dispatched_payload_is_written_before_the_start(server: FakeServer, client: Client) -> None:
    task = a_task(dispatch_payload=DispatchPayloadConfig(file="input/data.txt"))
    alloc = an_alloc(a_job(a_group(task), payload=b"some payload"))
    await server.place(alloc)
    await server.status(alloc.id, "running")
    written = client.allocations[alloc.id].directory.root / "web" / "local" / "input" / "data.txt"
    assert written.read_bytes() == b"some payload"
