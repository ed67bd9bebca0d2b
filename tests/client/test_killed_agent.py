"""Client agents and executors that are killed with SIGKILL: no task runs twice, none is left behind, no end is lost."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from raftnomad.client.client import Client
from raftnomad.client.connection import HttpConnection
from raftnomad.client.settings import ClientSettings
from raftnomad.clock import SystemClock
from raftnomad.drivers import exit_status
from raftnomad.drivers.executor import Executors
from raftnomad.drivers.raw_exec import RawExecDriver
from raftnomad.model.allocation import Allocation, TaskEvent
from raftnomad.model.policies import RestartPolicy
from raftnomad.sdk.agent_protocol import AllocationReport
from tests.client.fake_server import FakeServer
from tests.client.makers import SECOND, a_group, a_job, a_task, an_alloc

AGENT = """
import asyncio, os, sys
from pathlib import Path
from raftnomad.client.client import Client
from raftnomad.client.connection import HttpConnection
from raftnomad.client.settings import ClientSettings
from raftnomad.clock import SystemClock
from raftnomad.drivers.raw_exec import RawExecDriver

async def main(address, directory):
    settings = ClientSettings(data_dir=Path(directory) / "data", dev=True, report_interval_s=0.02)
    drivers = {"raw_exec": RawExecDriver({"enabled": True}, Path(directory) / "drivers")}
    client = Client(settings, drivers, HttpConnection([address]), SystemClock(), os.urandom)
    await client.start()
    await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""

KILLS = 20


@pytest.fixture
async def agents(server: FakeServer, tmp_path: Path) -> AsyncIterator[Agents]:
    made = Agents(server, tmp_path)
    yield made
    await made.end_all()


class Agents:
    """Agents on one data directory, one after the other: killed ones in processes of their own, the last one here."""

    def __init__(self, server: FakeServer, directory: Path) -> None:
        self.drivers = directory / "drivers"
        self._server = server
        self._directory = directory
        self._last: Client | None = None

    async def launch(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", AGENT, self._server.address, str(self._directory)
        )

    async def last(self) -> Client:
        settings = ClientSettings(data_dir=self._directory / "data", dev=True, report_interval_s=0.02)
        drivers = {"raw_exec": RawExecDriver({"enabled": True}, self.drivers)}
        connection = HttpConnection([self._server.address])
        self._last = Client(settings, drivers, connection, SystemClock(), os.urandom)
        await self._last.start()
        return self._last

    async def end_all(self) -> None:
        client = self._last or await self.last()
        await client.stop(kill_tasks=True)
        await Executors(self.drivers).retire_zygote()


async def kill(agent: asyncio.subprocess.Process) -> None:
    agent.send_signal(signal.SIGKILL)
    await agent.wait()


def shell(script: str, **fields: object) -> Allocation:
    task = a_task("web", driver="raw_exec", config={"command": "/bin/sh", "args": ["-c", script]}, **fields)
    return an_alloc(a_job(a_group(task), type="batch"))


def events(report: AllocationReport) -> list[TaskEvent]:
    return list((report.task_states or {})["web"].events or ())


def exit_codes(report: AllocationReport) -> list[int]:
    return [event.exit_code for event in events(report) if event.type == "Terminated"]


def processes_of(alloc_id: str) -> list[int]:
    """The living processes that were started for an allocation, wherever they are in the tree."""
    mark = f"NOMAD_ALLOC_ID={alloc_id}".encode()
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdecimal() and mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                found.append(int(name))
        except OSError:
            continue
    return found


async def test_tasks_outlive_a_killed_agent_and_are_found_again(
    server: FakeServer, agents: Agents, tmp_path: Path
) -> None:
    agent = await agents.launch()
    pids = tmp_path / "pids"
    lasting = shell(f"echo $$ >> {pids}; exec sleep 300")
    ending = shell("sleep 1.5; exit 7")
    await server.place(lasting)
    await server.place(ending)
    before = await server.status(lasting.id, "running")
    await server.status(ending.id, "running")
    await kill(agent)
    server.reports.clear()
    await asyncio.sleep(1.5)

    await agents.last()
    after = await server.status(lasting.id, "running")
    assert after.task_states == before.task_states
    failed = await server.status(ending.id, "failed")
    assert exit_codes(failed) == [7]
    assert processes_of(lasting.id) == [int(pids.read_text())]

    await server.ask_to_stop(lasting.id)
    await server.status(lasting.id, "complete")


async def test_agents_killed_around_starts_and_stops_run_every_task_once_and_leave_none_behind(
    server: FakeServer, agents: Agents, tmp_path: Path
) -> None:
    chance = random.Random(17)
    lasting: list[Allocation] = []
    stopped: list[Allocation] = []
    ending: list[Allocation] = []
    pids: dict[str, str] = {}
    for number in range(KILLS):
        lasting.append(shell(f'echo $$ >> {tmp_path}/pids-"$NOMAD_ALLOC_ID"; exec sleep 300'))
        ending.append(shell("sleep 0.2; exit 7"))
        if len(lasting) > 2:
            stopped.append(lasting.pop(0))
            await server.ask_to_stop(stopped[-1].id)
        await server.place(lasting[-1])
        await server.place(ending[-1])
        registrations = server.registrations
        agent = await agents.launch()
        if number % 5 == 4:
            # While it comes up: it reads its state, and finds its tasks again.
            await asyncio.sleep(chance.uniform(0.2, 0.8))
        else:
            await server.until(lambda before=registrations: server.registrations > before)  # type: ignore[misc]
            await asyncio.sleep(chance.uniform(0.0, 0.4))
        await kill(agent)
        for alloc in lasting:
            report = server.last(alloc.id)
            if report is not None and report.client_status == "running":
                # Once it is said to run, this very process runs until the servers want it to end.
                written = (tmp_path / f"pids-{alloc.id}").read_text().split()[-1]
                assert pids.setdefault(alloc.id, written) == written

    assert len(pids) > KILLS // 2
    await agents.last()
    for alloc in lasting:
        await server.status(alloc.id, "running")
        assert len(processes_of(alloc.id)) == 1
    for alloc in ending:
        failed = await server.status(alloc.id, "failed")
        assert exit_codes(failed) == [7]
        assert processes_of(alloc.id) == []
    for alloc in stopped:
        await server.status(alloc.id, "complete")
        assert processes_of(alloc.id) == []


async def test_a_task_whose_executor_is_killed_is_restarted_by_its_policy_and_leaves_nothing_behind(
    server: FakeServer, agents: Agents
) -> None:
    client = await agents.last()
    policy = RestartPolicy(attempts=1, interval_ns=600 * SECOND, delay_ns=SECOND // 100, mode="fail")
    # A daemon: its parent is gone, and it has a session of its own.
    alloc = shell("(setsid sleep 300 &) ; setsid sh -c 'sleep 300 & exit' & exec sleep 300", restart_policy=policy)
    await server.place(alloc)
    for starts in (1, 2):
        await server.reported(alloc.id, lambda report, wanted=starts: started(report) == wanted)  # type: ignore[misc]
        await server.until(lambda: len(processes_of(alloc.id)) >= 3)
        os.kill(executor_of(client, alloc), signal.SIGKILL)
    failed = await server.status(alloc.id, "failed")
    assert [event.type for event in events(failed)][-6:] == [
        *("Started", "Terminated", "Restarting", "Started", "Terminated", "Not Restarting")
    ]
    ended = next(event for event in events(failed) if event.type == "Terminated")
    assert "the task's executor was killed, and the exit code is lost" in ended.display_message
    assert processes_of(alloc.id) == []


def started(report: AllocationReport) -> int:
    return [event.type for event in events(report)].count("Started")


def executor_of(client: Client, alloc: Allocation) -> int:
    driver = client.allocations[alloc.id].driver("raw_exec")
    assert isinstance(driver, RawExecDriver)
    status = exit_status.read(str(driver._executors.directory_of(f"{alloc.id}/web")))
    assert status is not None
    return int(status["executor_pid"])
