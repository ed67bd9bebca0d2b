import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from raftnomad.drivers.conformance import DriverConformance, Said, printed, processes_marked
from raftnomad.drivers.driver import DriverError, Streams, TaskHandle, TaskNotFound
from raftnomad.drivers.executor import Executors
from raftnomad.drivers.exit_status import read
from raftnomad.drivers.raw_exec import RawExecDriver

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def shell(script: str) -> dict[str, object]:
    return {"command": "/bin/sh", "args": ["-c", script]}


class TestRawExec(DriverConformance):
    @pytest.fixture(autouse=True)
    async def no_zygote_is_left(self, state_dir):
        yield
        await Executors(state_dir).retire_zygote()

    refuses_unknown_signals = False

    def make_driver(self, state_dir: Path) -> RawExecDriver:
        return RawExecDriver({"enabled": True}, state_dir)

    def sleeps(self):
        return {"command": "sleep", "args": ["300"]}

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
        return {"command": "awk", "args": [f'BEGIN {{ for (i = 1; i <= {count}; i++) print "line " i "{dots}" }}']}

    def leaves_children(self):
        return shell("setsid sleep 300 & setsid sh -c 'sleep 300 & sleep 300' & echo ready; exec sleep 300")

    def prints_variable(self, name):
        return shell(f"echo ${name}")

    def runs(self, script):
        return ["/bin/sh", "-c", script]

    # raw_exec's own

    @pytest.mark.parametrize(
        ("command", "message"),
        [
            ("/no/such", "failed to start command: fork/exec /no/such: no such file or directory"),
            ("no-such", 'failed to start command: exec: "no-such": executable file not found in \\$PATH'),
        ],
    )
    async def test_a_command_that_is_not_there_is_said(self, driver, started, tmp_path, command, message):
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        with pytest.raises(DriverError, match=message):
            await driver.exec(handle, [command], Streams(stdin=no_input(), stdout=ignore, stderr=ignore))
        assert (await self.run(driver, handle, "exit 0")).code == 0

    async def test_a_cancelled_command_is_killed_with_what_it_started(self, driver, started, tmp_path):
        task = self.task(tmp_path, self.sleeps())
        handle = await self.start(driver, started, task)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self.run(driver, handle, "sleep 300 & sleep 300", None), 0.5)
        async with asyncio.timeout(20):
            while len(processes_marked(task.alloc_id)) != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def test_what_a_command_leaves_behind_does_not_hold_it(self, driver, started, tmp_path):
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        said = await asyncio.wait_for(self.run(driver, handle, "sleep 300 & echo done"), 20)
        assert (said.code, said.stdout) == (0, b"done\n")

    async def test_a_command_may_be_long(self, driver, started, tmp_path):
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        arguments = ["x" * 100_000 for _ in range(8)]
        said = Said(0.0)
        streams = Streams(stdin=no_input(), stdout=said.take_stdout, stderr=ignore)
        assert await driver.exec(handle, ["/bin/sh", "-c", 'echo "$@"', "sh", *arguments], streams) == 0
        assert said.stdout.decode().split() == arguments

    async def test_a_command_ended_by_a_signal_says_so_as_a_shell_would(self, driver, started, tmp_path):
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        assert (await self.run(driver, handle, "kill -TERM $$")).code == 143

    async def test_commands_start_in_the_tasks_directory_and_find_its_programs(self, driver, started, tmp_path):
        task = self.task(tmp_path, self.sleeps())
        handle = await self.start(driver, started, task)
        assert (await self.run(driver, handle, "pwd")).stdout.decode() == f"{task.task_dir}\n"

    async def test_a_task_dies_of_the_default_signal_as_a_shell_would_say_it(self, driver, started, tmp_path):
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        await driver.stop(handle, "", 5.0)
        result = await driver.wait(handle)
        assert (result.exit_code, result.signal) == (130, signal.SIGINT)

    @pytest.mark.parametrize("name", ["SIGNOPE", "HUP", ""])
    async def test_a_signal_that_is_none_is_sent_as_the_default_one(self, driver, started, tmp_path, name):
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        await driver.signal(handle, name)
        assert (await asyncio.wait_for(driver.wait(handle), 20)).signal == signal.SIGINT

    async def test_a_disabled_driver_is_not_detected_and_starts_nothing(self, tmp_path):
        driver = RawExecDriver({}, tmp_path / "state")
        assert not (await driver.fingerprint()).detected
        with pytest.raises(DriverError, match="raw_exec is disabled"):
            await driver.start(self.task(tmp_path, self.sleeps()))

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"command": "/bin/no-such"}, 'binary "/bin/no-such" could not be found'),
            ({"command": "no-such"}, 'binary "no-such" could not be found'),
            ({"command": "/etc/passwd"}, "fork/exec /etc/passwd: permission denied"),
            ({"command": "/bin/sh", "work_dir": "local"}, "work_dir must be absolute but got relative path"),
            ({"command": "/bin/sh", "work_dir": "/no/such"}, "cannot enter the working directory '/no/such'"),
            ({"command": "/bin/sh", "oom_score_adj": 5000}, "oom_score_adj must be between"),
            ({"command": "/bin/sh", "cgroup_v2_override": "no/such/group"}, "cannot join the task's cgroups"),
        ],
    )
    async def test_what_cannot_be_started_is_said(self, driver, tmp_path, config, message):
        with pytest.raises(DriverError, match=message):
            await driver.start(self.task(tmp_path, config))

    def test_configs_are_checked_as_nomad_does(self, tmp_path):
        driver = self.make_driver(tmp_path)
        assert driver.validate({})[0].startswith("Root value must be object")
        assert driver.validate({"args": ["x"]}) == [
            'Missing required argument: The argument "command" is required, but no definition was found.'
        ]
        assert driver.validate({"command": "x", "args": "y"}) == [
            'Incorrect attribute value type: Inappropriate value for attribute "args": list of string required, '
            "but have string."
        ]

    async def test_programs_of_the_task_directory_come_first(self, driver, started, tmp_path):
        task = self.task(tmp_path, {"command": "sleep", "args": ["300"]})
        program = task.task_dir / "local" / "sleep"
        program.write_text("#!/bin/sh\necho mine $(pwd)\n")
        program.chmod(0o755)
        handle = await self.start(driver, started, task)
        assert (await driver.wait(handle)).exit_code == 0
        assert printed(task) == f"mine {task.task_dir}\n"

    async def test_the_agents_environment_is_inherited_but_for_what_is_denied(
        self, driver, started, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("OF_THE_AGENT", "seen")
        monkeypatch.setenv("VAULT_TOKEN", "secret")
        monkeypatch.setenv("HIDDEN_ONE", "secret")
        config = shell("env") | {"denied_envvars": ["HIDDEN_*", "OF_THE_JOB"]}
        task = self.task(tmp_path, config, env={"OF_THE_JOB": "secret", "KEPT": "seen"})
        handle = await self.start(driver, started, task)
        await driver.wait(handle)
        assert {"OF_THE_AGENT=seen", "KEPT=seen"} <= set(printed(task).split())
        assert "secret" not in printed(task)

    @needs_root
    async def test_a_task_runs_as_another_user(self, driver, started, tmp_path):
        os.chmod(tmp_path, 0o755)
        task = self.task(tmp_path, shell("id -un; id -gn; id -G"), user="nobody")
        handle = await self.start(driver, started, task)
        assert (await driver.wait(handle)).exit_code == 0
        user, group, _ = printed(task).splitlines()
        assert (user, group) == ("nobody", "nogroup")

    @pytest.mark.parametrize("user", ["nosuchuser", "65534"])
    async def test_an_unknown_user_is_refused_by_name(self, driver, tmp_path, user):
        with pytest.raises(DriverError, match=f'failed to identify user "{user}": user: unknown user {user}'):
            await driver.start(self.task(tmp_path, self.sleeps(), user=user))

    @needs_root
    async def test_denied_users_are_refused(self, tmp_path):
        driver = RawExecDriver({"enabled": True, "denied_host_uids": "0-10"}, tmp_path / "state")
        with pytest.raises(DriverError, match="running as uid 1 is disallowed"):
            await driver.start(self.task(tmp_path, self.sleeps(), user="daemon"))

    async def test_a_fork_bomb_leaves_nothing_when_it_is_stopped(self, driver, started, tmp_path):
        script = (
            "b() { setsid sh -c 'sleep 300' & }; i=0; while [ $i -lt 200 ]; do b; i=$((i+1)); done; echo ready; wait"
        )
        task = self.task(tmp_path, shell(script), memory_mb=512)
        handle = await self.start(driver, started, task)
        await self.until_printed(task, "ready")
        await driver.stop(handle, "", 0.0)
        assert processes_marked(task.alloc_id) == []

    async def test_without_cgroups_every_child_is_found_through_its_executor(self, driver, started, tmp_path):
        config = self.leaves_children() | {"cgroup_v1_override": {"freezer": "/"}}
        task = self.task(tmp_path, config)
        if not Path("/sys/fs/cgroup/freezer").exists() or os.geteuid() != 0:
            pytest.skip("needs a freezer of cgroups version 1, and root")
        handle = await self.start(driver, started, task)
        await self.until_printed(task, "ready")
        await driver.stop(handle, "", 20.0)
        assert processes_marked(task.alloc_id) == []

    async def test_children_that_outlive_the_first_process_are_killed(self, driver, started, tmp_path):
        task = self.task(tmp_path, shell("setsid sleep 300 & setsid sh -c 'sleep 300 & sleep 300' & exit 4"))
        handle = await self.start(driver, started, task)
        assert (await driver.wait(handle)).exit_code == 4
        assert processes_marked(task.alloc_id) == []

    async def test_a_killed_executor_ends_its_task_and_says_that_the_exit_code_is_lost(
        self, driver, started, tmp_path, state_dir
    ):
        task = self.task(tmp_path, self.leaves_children())
        handle = await self.start(driver, started, task)
        await self.until_printed(task, "ready")
        waiting = asyncio.ensure_future(driver.wait(handle))
        await asyncio.sleep(0.1)
        os.kill(status_of(driver, task)["executor_pid"], signal.SIGKILL)
        result = await asyncio.wait_for(waiting, 20)
        assert not result.successful
        assert "the exit code is lost" in result.error
        assert processes_marked(task.alloc_id) == []

    async def test_a_task_whose_executor_died_while_no_agent_was_there_is_not_found(
        self, driver, started, tmp_path, state_dir
    ):
        task = self.task(tmp_path, self.leaves_children())
        handle = await self.start(driver, started, task)
        await self.until_printed(task, "ready")
        os.kill(status_of(driver, task)["executor_pid"], signal.SIGKILL)
        second = self.make_driver(state_dir)
        with pytest.raises(TaskNotFound):
            await second.recover(handle)
        assert processes_marked(task.alloc_id) == []

    async def test_a_hung_executor_is_killed_with_its_task(self, driver, started, tmp_path, monkeypatch):
        monkeypatch.setattr("raftnomad.drivers.executor.ANSWER_PATIENCE_S", 0.3)
        task = self.task(tmp_path, self.sleeps())
        handle = await self.start(driver, started, task)
        os.kill(status_of(driver, task)["executor_pid"], signal.SIGSTOP)
        await driver.stop(handle, "", 0.1)
        assert processes_marked(task.alloc_id) == []

    async def test_a_dead_zygote_is_replaced_and_its_executors_go_on(self, driver, started, tmp_path, state_dir):
        task = self.task(tmp_path, self.sleeps())
        handle = await self.start(driver, started, task)
        executor = status_of(driver, task)["executor_pid"]
        os.kill(parent_of(executor), signal.SIGKILL)
        other = await self.start(driver, started, self.task(tmp_path, self.exits(6)))
        assert (await driver.wait(other)).exit_code == 6
        await driver.stop(handle, "", 5.0)
        assert (await driver.wait(handle)).signal == signal.SIGINT

    async def test_starting_a_task_again_ends_the_run_that_nobody_remembers(self, driver, started, tmp_path):
        task = self.task(tmp_path, self.sleeps())
        forgotten = await self.start(driver, started, task)
        again = await self.start(driver, started, task)
        assert len(processes_marked(task.alloc_id)) == 1
        with pytest.raises(TaskNotFound):
            await driver.wait(forgotten)
        await driver.recover(again)

    async def test_a_missing_log_directory_costs_output_and_not_the_task(self, driver, started, tmp_path):
        task = self.task(tmp_path, shell("echo lost; exit 3"))
        task.log_dir.rmdir()
        handle = await self.start(driver, started, task)
        assert (await driver.wait(handle)).exit_code == 3

    @needs_root
    @pytest.mark.skipif(not Path("/sys/fs/cgroup").exists(), reason="needs cgroups")
    async def test_a_task_beyond_its_memory_is_told_as_killed_for_it(self, driver, started, tmp_path):
        script = "x=" + "a" * 100 + "; while true; do x=$x$x; done"
        task = self.task(tmp_path, shell(script), memory_mb=20)
        handle = await self.start(driver, started, task)
        result = await asyncio.wait_for(driver.wait(handle), 30)
        assert (result.exit_code, result.signal, result.oom_killed) == (137, 9, True)

    async def test_tasks_survive_kill_9_of_the_agent_and_so_does_their_exit_code(self, started, tmp_path, state_dir):
        go = tmp_path / "go"
        task = self.task(tmp_path, shell(f"echo ready; while ! test -e {go}; do sleep 0.05; done; exit 11"))
        agent = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-c", AGENT, str(state_dir), str(tmp_path), task.id, str(go)], stdout=subprocess.PIPE
        )
        run = agent.stdout.readline().decode().strip()
        agent.kill()
        agent.wait()
        agent.stdout.close()
        handle = TaskHandle(driver="raw_exec", task_id=task.id, state={"run": run})
        started.append(handle)
        second = self.make_driver(state_dir)
        await second.recover(handle)
        go.touch()
        assert (await asyncio.wait_for(second.wait(handle), 20)).exit_code == 11


async def no_input():
    return
    yield


async def ignore(data: bytes) -> None:
    pass


AGENT = """
import asyncio, sys
from pathlib import Path
from raftnomad.drivers.driver import Task
from raftnomad.drivers.raw_exec import RawExecDriver
state, tmp, id, go = sys.argv[1:]
alloc = Path(tmp) / id.split("/")[0]
async def main():
    driver = RawExecDriver({"enabled": True}, Path(state))
    script = f"while ! test -e {go}; do sleep 0.05; done; exit 11"
    handle = await driver.start(Task(
        id=id, alloc_id=id.split("/")[0], name="t", job_id="j", namespace="default", env={},
        config={"command": "/bin/sh", "args": ["-c", script]},
        task_dir=alloc / "t", alloc_dir=alloc / "alloc", log_dir=alloc / "alloc" / "logs",
    ))
    print(handle.state["run"], flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def status_of(driver: RawExecDriver, task) -> dict:
    return read(str(driver._executors.directory_of(task.id)))


def parent_of(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[1])
