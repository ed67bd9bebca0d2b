"""A Docker engine that dies, hangs and comes back, while tasks run."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from raftnomad.drivers.conformance import a_task, printed, processes_marked
from raftnomad.drivers.docker import DockerDriver
from raftnomad.drivers.driver import DriverError
from tests.drivers.conftest import ENGINE

pytestmark = pytest.mark.docker

COUNTS = "trap 'exit 0' TERM; i=1; while true; do echo $i; i=$((i+1)); sleep 0.05; done"


class Engine:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.endpoint = f"unix://{directory}/docker.sock"

    def run(self, what: str) -> None:
        subprocess.run([ENGINE, what, self.directory], check=True, capture_output=True, timeout=60)

    def signal(self, number: int) -> None:
        os.kill(int((self.directory / "dockerd.pid").read_text()), number)


@pytest.fixture
def engine(docker_engine, tmp_path_factory):
    engine = Engine(tmp_path_factory.mktemp("engine"))
    engine.run("start")
    yield engine
    engine.run("stop")


@pytest.fixture
async def driver(engine, tmp_path):
    driver = DockerDriver({"endpoint": engine.endpoint}, tmp_path / "state")
    yield driver
    await driver.close()


def a_counter(tmp_path: Path, script: str = COUNTS):
    return a_task(tmp_path, {"image": "box:1", "command": "/bin/sh", "args": ["-c", script]})


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_task_outlives_its_engine_and_its_output_goes_on(engine, driver, tmp_path):
    task = a_counter(tmp_path)
    handle = await driver.start(task)
    waiting = asyncio.ensure_future(driver.wait(handle))
    await until(lambda: "10\n" in printed(task))
    engine.signal(signal.SIGKILL)
    await asyncio.sleep(0.3)
    assert (await driver.fingerprint()).description == "Failed to connect to docker daemon"
    with pytest.raises(DriverError, match="Failed to connect to docker daemon") as caught:
        await driver.start(a_counter(tmp_path))
    assert caught.value.recoverable
    engine.run("start")
    assert (await driver.fingerprint()).healthy
    assert not waiting.done()
    before = len(printed(task).split())
    await until(lambda: len(printed(task).split()) > before + 10)
    await driver.stop(handle, "", 10.0)
    assert (await asyncio.wait_for(waiting, 20)).exit_code == 0
    assert processes_marked(task.alloc_id) == []
    numbers = printed(task).split()
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]


async def test_a_task_that_ends_while_the_engine_is_dead_is_told_when_it_is_back(engine, driver, tmp_path):
    task = a_counter(tmp_path, "sleep 1; exit 6")
    handle = await driver.start(task)
    waiting = asyncio.ensure_future(driver.wait(handle))
    engine.signal(signal.SIGKILL)
    await until(lambda: not processes_marked(task.alloc_id))
    assert not waiting.done()
    engine.run("start")
    await asyncio.wait_for(waiting, 30)


async def test_a_hung_engine_is_unhealthy_and_nothing_is_concluded(engine, driver, tmp_path, monkeypatch):
    monkeypatch.setattr("raftnomad.drivers.docker.driver.PROBE_TIMEOUT_S", 0.5)
    assert (await driver.fingerprint()).healthy
    handle = await driver.start(a_counter(tmp_path))
    waiting = asyncio.ensure_future(driver.wait(handle))
    engine.signal(signal.SIGSTOP)
    found = await driver.fingerprint()
    assert (found.detected, found.healthy) == (True, False)
    second = DockerDriver({"endpoint": engine.endpoint}, tmp_path / "state")
    await second.recover(handle)
    engine.signal(signal.SIGCONT)
    assert not waiting.done()
    await second.stop(handle, "", 10.0)
    assert (await asyncio.wait_for(second.wait(handle), 20)).exit_code == 0
    await asyncio.wait_for(waiting, 20)
    await second.close()


async def test_without_an_engine_the_driver_is_not_detected(tmp_path):
    driver = DockerDriver({"endpoint": f"unix://{tmp_path}/none.sock"}, tmp_path / "state")
    found = await driver.fingerprint()
    assert (found.detected, found.healthy) == (False, False)
    assert found.description == "Failed to connect to docker daemon"
    await driver.close()
