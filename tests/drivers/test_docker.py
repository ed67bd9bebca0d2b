import asyncio
from pathlib import Path

import docker
import pytest

from raftnomad.drivers.conformance import DriverConformance, Said, printed
from raftnomad.drivers.docker import DockerDriver
from raftnomad.drivers.driver import DriverError, Streams

pytestmark = pytest.mark.docker


async def nothing():
    return
    yield


def shell(script: str) -> dict[str, object]:
    return {"image": "box:1", "command": "/bin/sh", "args": ["-c", script]}


class TestDocker(DriverConformance):
    @pytest.fixture(autouse=True)
    def _engine(self, docker_engine):
        self.endpoint = docker_engine

    lines_that_rotate = 20_000  # 3.8 MB in the engine's own log files, which hold 4.2 MB and then lose the oldest

    def make_driver(self, state_dir: Path) -> DockerDriver:
        return DockerDriver({"endpoint": self.endpoint}, state_dir)

    def sleeps(self):
        return shell("trap 'exit 0' TERM; while true; do sleep 0.1; done")

    def exits(self, code):
        return shell(f"exit {code}")

    def ignores_stop(self):
        return shell("trap '' INT TERM; echo ready; while true; do sleep 0.1; done")

    def exits_on_usr1(self, code):
        return shell(f"trap 'exit {code}' USR1; echo ready; while true; do sleep 0.1; done")

    def prints(self, stdout, stderr):
        return shell(f"printf '{stdout}'; printf '{stderr}' >&2")

    def prints_lines(self, count):
        dots = "." * 100
        script = f'BEGIN {{ for (i = 1; i <= {count}; i++) print "line " i "{dots}" }}'
        return {"image": "box:1", "command": "/bin/awk", "args": [script]}

    def leaves_children(self):
        return shell(
            "setsid sleep 300 & setsid sh -c 'sleep 300 & sleep 300' & echo ready; " + self.sleeps()["args"][1]
        )

    def prints_variable(self, name):
        return shell(f"echo ${name}")

    def runs(self, script):
        return ["/bin/sh", "-c", script]

    # docker's own

    async def test_a_command_that_is_not_there_has_the_engines_words_and_code(self, driver, started, tmp_path):
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        said = Said(0.0)
        streams = Streams(stdin=nothing(), stdout=said.take_stdout, stderr=said.take_stderr)
        assert await driver.exec(handle, ["/no/such"], streams) in (126, 127)
        assert b"no such file or directory" in said.stdout + said.stderr

    def client(self) -> docker.DockerClient:
        return docker.DockerClient(self.endpoint)

    async def test_the_signal_to_stop_is_the_images(self, driver, started, tmp_path):
        script = "trap 'echo hup; exit 0' HUP; trap 'echo term; exit 0' TERM; while true; do sleep 0.1; done"
        config = {"image": "box:full", "entrypoint": ["/bin/sh", "-c"], "args": [script]}
        task = self.task(tmp_path, config)
        handle = await self.start(driver, started, task)
        await asyncio.sleep(0.3)
        await driver.stop(handle, "", 10.0)
        await driver.wait(handle)
        assert printed(task) == "hup\n"

    async def test_a_task_beyond_its_memory_is_told_as_killed_for_it(self, driver, started, tmp_path):
        task = self.task(tmp_path, shell("x=a; while true; do x=$x$x; done"), memory_mb=20)
        handle = await self.start(driver, started, task)
        result = await asyncio.wait_for(driver.wait(handle), 30)
        assert (result.exit_code, result.oom_killed, result.error) == (137, True, "OOM Killed")

    async def test_a_failed_end_says_so_in_nomads_words(self, driver, started, tmp_path):
        handle = await self.start(driver, started, self.task(tmp_path, self.exits(7)))
        assert (await driver.wait(handle)).error == "Docker container exited with non-zero exit code: 7"

    async def test_a_container_that_cannot_start_is_said_and_removed(self, driver, tmp_path):
        task = self.task(tmp_path, {"image": "box:1", "command": "/bin/nothing"})
        with pytest.raises(DriverError, match=r"Failed to start container .*/bin/nothing"):
            await driver.start(task)
        assert self.client().containers.list(all=True, filters={"name": f"t-{task.alloc_id}"}) == []

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            (
                {"image": "127.0.0.1:1/absent:2"},
                "Failed to pull `127.0.0.1:1/absent:2`: Error response from daemon",
            ),
            ({"image": "127.0.0.1:1/box:9", "image_pull_timeout": "abc"}, "Failed to parse image_pull_timeout: .*"),
            ({"image": "absent:1", "load": "none.tar"}, 'unable to open image archive "none.tar": no such file'),
            ({"image": "absent:1", "load": "../../../x.tar"}, "cannot load image .* outside of the allocation"),
            ({"image": ""}, "image name required for docker driver"),
            ({"image": "box:1"}, "failed to create container: Error response from daemon: [Nn]o command specified"),
            (
                {"image": "box:1", "privileged": True},
                'Failed to create container configuration for image "box:1" \\("sha256:.*"\\): '
                "Docker privileged mode is disabled on this Nomad agent",
            ),
        ],
    )
    async def test_what_cannot_be_started_is_said(self, driver, tmp_path, config, message):
        with pytest.raises(DriverError, match=message):
            await driver.start(self.task(tmp_path, config))

    async def test_a_download_is_told(self, driver, tmp_path):
        told = []
        task = self.task(tmp_path, {"image": "127.0.0.1:1/absent"}, tell=lambda *words: told.append(words))
        with pytest.raises(DriverError):
            await driver.start(task)
        assert told == [("Downloading image", {"image": "127.0.0.1:1/absent:latest"})]

    async def test_an_image_is_loaded_from_a_file_of_the_task(self, driver, started, tmp_path):
        config = {"image": "loaded:1", "load": "image.tar", "command": "/bin/true"}
        task = self.task(tmp_path, config)
        image = self.client().images.get("box:1")
        image.tag("loaded", "1")
        archive = b"".join(self.client().images.get("loaded:1").save(named="loaded:1"))
        self.client().images.remove("loaded:1")
        (task.task_dir / "local" / "image.tar").write_bytes(archive)
        handle = await self.start(driver, started, task)
        assert (await driver.wait(handle)).exit_code == 0

    async def test_the_task_sees_its_directories(self, driver, started, tmp_path):
        script = "echo a > /alloc/data/f; echo l > /local/f; echo s > /secrets/f; echo x > /alloc/logs/f; exit 0"
        task = self.task(tmp_path, shell(script))
        handle = await self.start(driver, started, task)
        assert (await driver.wait(handle)).exit_code == 0
        written = [task.alloc_dir / "data/f", task.task_dir / "local/f", task.task_dir / "secrets/f"]
        assert [path.read_text() for path in written] == ["a\n", "l\n", "s\n"]
        assert not (task.log_dir / "f").exists()

    async def test_a_container_that_someone_removed_has_lost_its_exit_code(self, driver, started, tmp_path):
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        self.client().api.remove_container(handle.state["container_id"], force=True)
        result = await asyncio.wait_for(driver.wait(handle), 20)
        assert not result.successful

    async def test_starting_a_task_again_removes_the_run_that_nobody_remembers(self, driver, started, tmp_path):
        task = self.task(tmp_path, self.sleeps())
        await self.start(driver, started, task)
        await self.start(driver, started, task)
        assert len(self.client().containers.list(filters={"name": f"t-{task.alloc_id}"})) == 1

    async def test_output_is_neither_lost_nor_repeated_across_agents(self, driver, started, tmp_path, state_dir):
        script = "i=1; while [ $i -le 300 ]; do echo $i; i=$((i+1)); sleep 0.005; done"
        task = self.task(tmp_path, shell(script))
        handle = await self.start(driver, started, task)
        agent = driver
        for _ in range(3):
            await asyncio.sleep(0.3)
            await agent.close()
            await asyncio.sleep(0.2)
            agent = self.make_driver(state_dir)
            await agent.recover(handle)
        await asyncio.wait_for(agent.wait(handle), 30)
        await agent.close()
        assert printed(task).split() == [str(number) for number in range(1, 301)]

    async def test_a_terminals_output_is_collected(self, driver, started, tmp_path):
        task = self.task(tmp_path, shell("echo one; echo two") | {"tty": True})
        handle = await self.start(driver, started, task)
        await driver.wait(handle)
        assert printed(task).split() == ["one", "two"]
