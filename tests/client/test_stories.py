"""How groups of real programs live and end: the order that Nomad 2.0.6 was seen to keep."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from raftnomad.client.client import Client
from raftnomad.client.connection import HttpConnection
from raftnomad.client.settings import ClientSettings
from raftnomad.clock import SystemClock
from raftnomad.drivers.driver import Task as DriverTask
from raftnomad.drivers.driver import TaskHandle
from raftnomad.drivers.executor import Executors
from raftnomad.drivers.raw_exec import RawExecDriver
from raftnomad.model.job import Task
from raftnomad.model.policies import RestartPolicy
from raftnomad.sdk.agent_protocol import AllocationReport
from tests.client.fake_server import FakeServer
from tests.client.makers import SECOND, a_group, a_job, a_task, an_alloc


@pytest.fixture
async def client(server: FakeServer, settings: ClientSettings, tmp_path: Path) -> AsyncIterator[Client]:
    drivers = {"raw_exec": RawExecDriver({"enabled": True}, tmp_path / "drivers")}
    made = Client(settings, drivers, HttpConnection([server.address]), SystemClock(), os.urandom)
    await made.start()
    yield made
    await made.stop(kill_tasks=True)
    await Executors(tmp_path / "drivers").retire_zygote()


def shell(name: str, script: str, **fields: object) -> Task:
    config = {"command": "/bin/sh", "args": ["-c", script]}
    return a_task(name, driver="raw_exec", config=config, **fields)  # type: ignore[arg-type]


def events(report: AllocationReport, task: str) -> list[str]:
    return [event.type for event in (report.task_states or {})[task].events or ()]


def ended(report: AllocationReport) -> bool:
    return all(state.state == "dead" for state in (report.task_states or {}).values())


async def test_tasks_run_in_the_order_of_their_hooks(server: FakeServer, client: Client) -> None:
    order = "${NOMAD_ALLOC_DIR}/data/order"
    group = a_group(
        shell("init", f"echo init-start >> {order}; sleep 0.3; echo init-end >> {order}", hook="prestart"),
        shell("proxy", f"sleep 0.1; echo proxy >> {order}; exec sleep 300", hook="prestart", sidecar=True),
        shell("main", f"sleep 0.1; echo main-start >> {order}; sleep 1; echo main-end >> {order}"),
        shell("announce", f"sleep 0.3; echo poststart >> {order}", hook="poststart"),
        shell("cleanup", f"echo cleanup >> {order}", hook="poststop"),
    )
    alloc = an_alloc(a_job(group, type="batch"))
    await server.place(alloc)
    report = await server.status(alloc.id, "complete")
    written = (client.allocations[alloc.id].directory.shared / "data" / "order").read_text().split()
    assert written == ["init-start", "proxy", "init-end", "main-start", "poststart", "main-end", "cleanup"]
    assert events(report, "proxy")[-4:] == ["Main Tasks Dead", "Killing", "Terminated", "Killed"]


async def test_a_sidecar_that_ends_too_often_fails_the_group(server: FakeServer, client: Client) -> None:
    policy = RestartPolicy(attempts=2, interval_ns=600 * SECOND, delay_ns=SECOND // 50, mode="fail")
    group = a_group(
        shell("proxy", "exit 0", hook="prestart", sidecar=True, restart_policy=policy),
        shell("main", "exec sleep 300"),
        restart_policy=policy,
    )
    alloc = an_alloc(a_job(group, type="batch"))
    await server.place(alloc)
    report = await server.reported(alloc.id, ended)
    assert report.client_status == "failed"
    state = (report.task_states or {})["proxy"]
    assert state.restarts == 2
    assert (state.events or ())[-1].display_message == (
        'Exceeded allowed attempts 2 in interval 10m0s and mode is "fail"'
    )


async def test_a_kill_signal_is_sent_and_a_deaf_task_is_killed(server: FakeServer, client: Client) -> None:
    loop = "while true; do sleep 0.05; done"
    group = a_group(
        shell("polite", f"trap 'echo hup; exit 0' HUP; echo up; {loop}", kill_signal="SIGHUP"),
        shell("deaf", f"trap '' INT; echo up; {loop}", kill_timeout_ns=SECOND // 2),
    )
    alloc = an_alloc(a_job(group))
    await server.place(alloc)
    await server.reported(alloc.id, lambda r: all(s.state == "running" for s in (r.task_states or {}).values()))
    logs = client.allocations[alloc.id].directory.logs
    await server.until(lambda: all((logs / f"{name}.stdout.0").read_text() == "up\n" for name in ("polite", "deaf")))
    await server.ask_to_stop(alloc.id)
    report = await server.status(alloc.id, "complete")
    states = report.task_states or {}
    assert [event.display_message for event in states["polite"].events or ()][-3:] == [
        "Sent interrupt. Waiting 5s before force killing",
        "Exit Code: 0",
        "Task successfully killed",
    ]
    assert [event.display_message for event in states["deaf"].events or ()][-3:] == [
        "Sent interrupt. Waiting 500ms before force killing",
        "Exit Code: 137, Signal: 9",
        "Task successfully killed",
    ]
    assert not states["deaf"].failed
    assert (logs / "polite.stdout.0").read_text() == "up\nhup\n"


async def test_a_leader_dies_first_and_takes_the_others_along(server: FakeServer, client: Client) -> None:
    group = a_group(shell("boss", "sleep 0.1", leader=True), shell("other", "exec sleep 300"))
    alloc = an_alloc(a_job(group, type="batch"))
    await server.place(alloc)
    report = await server.status(alloc.id, "complete")
    assert "Leader Task Dead" in events(report, "other")


async def test_a_shutdown_delay_is_waited_for_unless_it_is_to_be_skipped(server: FakeServer, client: Client) -> None:
    from msgspec.structs import replace

    from raftnomad.model.allocation import DesiredTransition

    patient = an_alloc(a_job(a_group(shell("web", "exec sleep 300", shutdown_delay_ns=SECOND // 10))))
    hasty = an_alloc(a_job(a_group(shell("web", "exec sleep 300", shutdown_delay_ns=600 * SECOND))))
    for alloc in (patient, hasty):
        await server.place(alloc)
        await server.status(alloc.id, "running")
    await server.ask_to_stop(patient.id)
    transition = DesiredTransition(no_shutdown_delay=True)
    await server.change(replace(server.allocations[hasty.id], desired_status="stop", desired_transition=transition))
    assert "Waiting for shutdown delay" in events(await server.status(patient.id, "complete"), "web")
    assert "Skipping shutdown delay" in events(await server.status(hasty.id, "complete"), "web")


async def test_a_program_that_is_not_there_fails_the_task_at_once(server: FakeServer, client: Client) -> None:
    policy = RestartPolicy(attempts=3, interval_ns=600 * SECOND, delay_ns=SECOND, mode="fail")
    task = a_task("web", driver="raw_exec", config={"command": "/bin/no-such-program"}, restart_policy=policy)
    alloc = an_alloc(a_job(a_group(task)))
    await server.place(alloc)
    report = await server.status(alloc.id, "failed")
    assert [event.display_message for event in (report.task_states or {})["web"].events or ()][-2:] == [
        'failed to launch command with executor: rpc error: code = Unknown desc = binary "/bin/no-such-program" '
        "could not be found",
        "Error was unrecoverable",
    ]


async def test_a_config_that_names_what_is_not_there_fails_its_validation(server: FakeServer, client: Client) -> None:
    task = a_task("web", driver="raw_exec", config={"command": "/bin/echo", "args": ["${attr.os.nothing}"]})
    alloc = an_alloc(a_job(a_group(task)))
    await server.place(alloc)
    report = await server.status(alloc.id, "failed")
    failed = next(e for e in (report.task_states or {})["web"].events or () if e.type == "Failed Validation")
    assert failed.display_message == (
        "2 errors occurred:\n\t* failed to parse config: \n"
        '\t* Unsupported attribute: This object does not have an attribute named "nothing".\n\n'
    )


async def test_a_failure_is_not_reported_while_siblings_still_use_what_they_were_given(
    server: FakeServer, client: Client
) -> None:
    slow = shell("slow", "trap 'sleep 1; exit 0' INT; while true; do sleep 0.05; done")
    alloc = an_alloc(a_job(a_group(slow, shell("weak", "sleep 0.3; exit 1"))))
    await server.place(alloc)
    await server.reported(alloc.id, ended)
    failures = [report for report in server.reports if report.client_status == "failed"]
    assert failures and all(ended(report) for report in failures)


async def test_a_replacement_begins_when_what_it_replaces_has_ended(server: FakeServer, client: Client) -> None:
    group = a_group(shell("web", "trap 'sleep 0.3; exit 0' INT; while true; do sleep 0.05; done"))
    old = an_alloc(a_job(group))
    await server.place(old)
    await server.status(old.id, "running")
    new = an_alloc(a_job(group), previous_allocation=old.id)
    await server.ask_to_stop(old.id)
    await server.place(new)
    report = await server.status(new.id, "running")
    before = (server.last(old.id) or report).task_states or {}
    assert before["web"].finished_at < (report.task_states or {})["web"].started_at


class TellingDriver(RawExecDriver):
    async def start(self, task: DriverTask) -> TaskHandle:
        task.tell("Fetching it", {"from": task.labels["node_name"]})
        return await super().start(task)


async def test_what_a_driver_tells_is_an_event_of_the_task(
    server: FakeServer, settings: ClientSettings, tmp_path: Path
) -> None:
    drivers = {"raw_exec": TellingDriver({"enabled": True}, tmp_path / "drivers")}
    client = Client(settings, drivers, HttpConnection([server.address]), SystemClock(), os.urandom)
    await client.start()
    alloc = an_alloc(a_job(a_group(shell("main", "exit 0")), type="batch"))
    await server.place(alloc)
    report = await server.status(alloc.id, "complete")
    assert events(report, "main") == ["Received", "Task Setup", "Driver", "Started", "Terminated"]
    told = ((report.task_states or {})["main"].events or ())[2]
    assert (told.display_message, told.details) == ("Fetching it", {"from": client.node.name})
    await client.stop(kill_tasks=True)
    await Executors(tmp_path / "drivers").retire_zygote()


async def test_processes_of_a_task_are_measured(server: FakeServer, client: Client) -> None:
    from raftnomad.client.http import ClientRoutes
    from raftnomad.web import Request, Response

    alloc = an_alloc(a_job(a_group(shell("web", "exec sleep 300"))))
    await server.place(alloc)
    await server.status(alloc.id, "running")
    request = Request(method="GET", path="", parameters={"id": alloc.id})
    answer = await ClientRoutes(client).allocation_stats(request)
    assert isinstance(answer, Response) and b'"Pids":{"' in answer.body
