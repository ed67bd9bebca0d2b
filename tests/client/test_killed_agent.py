"""A client agent that is killed with SIGKILL: its tasks run on, and the next agent finds them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from raftnomad.client.client import Client
from raftnomad.client.connection import HttpConnection
from raftnomad.client.settings import ClientSettings
from raftnomad.clock import SystemClock
from raftnomad.drivers.executor import Executors
from raftnomad.drivers.raw_exec import RawExecDriver
from tests.client.fake_server import FakeServer
from tests.client.makers import a_group, a_job, a_task, an_alloc

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


def shell(name: str, script: str) -> object:
    return a_task(name, driver="raw_exec", config={"command": "/bin/sh", "args": ["-c", script]})


async def test_tasks_outlive_a_killed_agent_and_are_found_again(server: FakeServer, tmp_path: Path) -> None:
    agent = await asyncio.create_subprocess_exec(sys.executable, "-c", AGENT, server.address, str(tmp_path))
    pids = tmp_path / "pids"
    lasting = an_alloc(a_job(a_group(shell("web", f"echo $$ >> {pids}; exec sleep 300"))))  # type: ignore[arg-type]
    ending = an_alloc(a_job(a_group(shell("web", "sleep 1.5; exit 7")), type="batch"))  # type: ignore[arg-type]
    await server.place(lasting)
    await server.place(ending)
    before = await server.status(lasting.id, "running")
    await server.status(ending.id, "running")
    agent.send_signal(signal.SIGKILL)
    await agent.wait()
    server.reports.clear()
    await asyncio.sleep(1.5)

    settings = ClientSettings(data_dir=tmp_path / "data", dev=True, report_interval_s=0.02)
    drivers = {"raw_exec": RawExecDriver({"enabled": True}, tmp_path / "drivers")}
    client = Client(settings, drivers, HttpConnection([server.address]), SystemClock(), os.urandom)
    await client.start()
    after = await server.status(lasting.id, "running")
    assert after.task_states == before.task_states
    failed = await server.status(ending.id, "failed")
    events = (failed.task_states or {})["web"].events or ()
    assert [event.exit_code for event in events if event.type == "Terminated"] == [7]
    assert len(pids.read_text().split()) == 1
    os.kill(int(pids.read_text()), 0)

    await server.ask_to_stop(lasting.id)
    await server.status(lasting.id, "complete")
    await client.stop(kill_tasks=True)
    await Executors(tmp_path / "drivers").retire_zygote()
