"""What every driver must do, as tests that its author runs: subclass `DriverConformance`, say how to make tasks, done.

    class TestMyDriver(DriverConformance):
        def make_driver(self, state_dir): return MyDriver({"enabled": True}, state_dir)
        def sleeps(self): return {"command": "sleep", "args": ["300"]}
        def exits(self, code): return {"command": "sh", "args": ["-c", f"exit {code}"]}

A method that answers None says that the driver has no such tasks; the tests that need them are skipped.
Needs pytest and pytest-asyncio; runs on Linux.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from raftnomad.drivers.driver import (
    Driver,
    DriverError,
    Executes,
    Fingerprint,
    Streams,
    Task,
    TaskHandle,
    TaskNotFound,
)

Config = dict[str, Any]

PATIENCE_S = 30.0
"""How long a test waits for what must happen; a driver that needs longer is broken."""

MARK = "RAFTNOMAD_CONFORMANCE"


class DriverConformance:
    # What a driver's author says about it

    def make_driver(self, state_dir: Path) -> Driver:
        """A driver that can start tasks; another call with the same directory stands for a restarted agent."""
        raise NotImplementedError

    def sleeps(self) -> Config:
        """Runs for minutes, and ends at once when it is stopped."""
        raise NotImplementedError

    def exits(self, code: int) -> Config:
        """Ends with this exit code within a second or two."""
        raise NotImplementedError

    def ignores_stop(self) -> Config | None:
        """Runs for minutes, and does not care about the stop signal."""
        return None

    def exits_on_usr1(self, code: int) -> Config | None:
        """Prints "ready", and ends with the code when SIGUSR1 arrives."""
        return None

    def prints(self, stdout: str, stderr: str) -> Config | None:
        """Prints these to its two streams, and ends with 0."""
        return None

    def prints_lines(self, count: int) -> Config | None:
        """Prints "line 1" to "line <count>", each followed by 100 dots, and ends with 0."""
        return None

    def leaves_children(self) -> Config | None:
        """Starts another process in a session of its own, prints "ready", and sleeps for minutes."""
        return None

    def prints_variable(self, name: str) -> Config | None:
        """Prints the value of a variable of its environment, and ends with 0."""
        return None

    def runs(self, script: str) -> list[str] | None:
        """A command that runs a script of the POSIX shell where a task of `sleeps` runs."""
        return None

    invalid_config: Config = {"no_such_key": 1}

    refuses_unknown_signals = True
    """Whether a signal by a name that is none is an error. A driver may also take it for its own stop signal."""

    lines_that_rotate = 40_000
    """How many lines of `prints_lines` the log test asks for: enough for three files of 1 MiB."""

    # What the tests start with

    @pytest.fixture
    def state_dir(self, tmp_path: Path) -> Path:
        return tmp_path / "state"

    @pytest.fixture
    async def driver(self, state_dir: Path) -> AsyncIterator[Driver]:
        driver = self.make_driver(state_dir)
        yield driver
        await driver.close()

    @pytest.fixture
    async def started(self, driver: Driver, state_dir: Path) -> AsyncIterator[list[TaskHandle]]:
        """Handles that are destroyed at the end, whatever the test did."""
        handles: list[TaskHandle] = []
        yield handles
        last = self.make_driver(state_dir)
        for handle in handles:
            try:
                await last.recover(handle)
                await last.destroy(handle)
            except TaskNotFound:
                continue
        await last.close()

    def task(self, tmp_path: Path, config: Config | None, **changes: Any) -> Task:
        if config is None:
            pytest.skip("the driver has no such tasks")
        return a_task(tmp_path, config, **changes)

    # What must hold

    async def test_the_driver_is_found_healthy(self, driver: Driver) -> None:
        fingerprint = await driver.fingerprint()
        assert isinstance(fingerprint, Fingerprint)
        assert fingerprint.detected
        assert fingerprint.healthy, fingerprint.description
        assert f"driver.{driver.name}" in fingerprint.attributes

    async def test_a_config_is_refused_by_the_name_of_the_wrong_key(self, driver: Driver) -> None:
        assert driver.validate(self.exits(0)) == []
        found = driver.validate(self.exits(0) | self.invalid_config)
        assert any(next(iter(self.invalid_config)) in sentence for sentence in found)

    @pytest.mark.parametrize("code", [0, 1, 42])
    async def test_wait_gives_the_exit_code(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path, code: int
    ) -> None:
        handle = await self.start(driver, started, self.task(tmp_path, self.exits(code)))
        result = await asyncio.wait_for(driver.wait(handle), PATIENCE_S)
        assert (result.exit_code, result.signal, result.successful) == (code, 0, code == 0)

    async def test_every_waiter_is_told_also_late_ones(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        handle = await self.start(driver, started, self.task(tmp_path, self.exits(3)))
        results = await asyncio.wait_for(asyncio.gather(*(driver.wait(handle) for _ in range(5))), PATIENCE_S)
        late = await asyncio.wait_for(driver.wait(handle), PATIENCE_S)
        assert [result.exit_code for result in [*results, late]] == [3] * 6

    async def test_a_cancelled_wait_harms_neither_task_nor_other_waiters(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(driver.wait(handle), 0.2)
        other = asyncio.ensure_future(driver.wait(handle))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(driver.wait(handle), 0.2)
        assert not other.done()
        await driver.stop(handle, "", 5.0)
        await asyncio.wait_for(other, PATIENCE_S)

    async def test_stop_ends_a_task_that_obeys(self, driver: Driver, started: list[TaskHandle], tmp_path: Path) -> None:
        task = self.task(tmp_path, self.sleeps())
        handle = await self.start(driver, started, task)
        await asyncio.wait_for(driver.stop(handle, "", 20.0), PATIENCE_S)
        assert processes_marked(task.alloc_id) == []
        await asyncio.wait_for(driver.wait(handle), PATIENCE_S)

    async def test_stop_kills_a_task_that_does_not_obey(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        task = self.task(tmp_path, self.ignores_stop())
        handle = await self.start(driver, started, task)
        await self.until_printed(task, "ready")
        await asyncio.wait_for(driver.stop(handle, "", 0.5), PATIENCE_S)
        result = await asyncio.wait_for(driver.wait(handle), PATIENCE_S)
        assert result.exit_code == 137
        assert processes_marked(task.alloc_id) == []

    async def test_stopping_a_task_that_ended_is_no_error(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        handle = await self.start(driver, started, self.task(tmp_path, self.exits(5)))
        await asyncio.wait_for(driver.wait(handle), PATIENCE_S)
        await asyncio.wait_for(driver.stop(handle, "", 5.0), PATIENCE_S)
        assert (await driver.wait(handle)).exit_code == 5

    async def test_a_signal_reaches_the_task(self, driver: Driver, started: list[TaskHandle], tmp_path: Path) -> None:
        task = self.task(tmp_path, self.exits_on_usr1(7))
        handle = await self.start(driver, started, task)
        await self.until_printed(task, "ready")
        await driver.signal(handle, "SIGUSR1")
        assert (await asyncio.wait_for(driver.wait(handle), PATIENCE_S)).exit_code == 7

    async def test_a_signal_that_is_none_is_refused_by_name(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        if not self.refuses_unknown_signals:
            pytest.skip("the driver takes it for its own")
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        with pytest.raises(DriverError, match='invalid signal "SIGNOPE"'):
            await driver.signal(handle, "SIGNOPE")

    async def test_output_goes_to_the_log_files(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        task = self.task(tmp_path, self.prints("to stdout\n", "to stderr\n"))
        handle = await self.start(driver, started, task)
        await asyncio.wait_for(driver.wait(handle), PATIENCE_S)
        await self.until_printed(task, "to stdout\n")
        await self.until_printed(task, "to stderr\n", "stderr")
        assert printed(task) == "to stdout\n"

    async def test_a_restarted_task_goes_on_in_its_log_files(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        task = self.task(tmp_path, self.prints("once\n", ""))
        for _ in range(2):
            handle = await self.start(driver, started, task)
            await asyncio.wait_for(driver.wait(handle), PATIENCE_S)
            await driver.destroy(handle)
        await self.until_printed(task, "once\nonce\n")

    async def test_a_disabled_log_leaves_no_files(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        task = self.task(tmp_path, self.prints("unheard\n", ""), log_disabled=True)
        handle = await self.start(driver, started, task)
        await asyncio.wait_for(driver.wait(handle), PATIENCE_S)
        assert list(task.log_dir.iterdir()) == []

    async def test_log_files_rotate_and_only_the_newest_are_kept(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        count = self.lines_that_rotate
        task = self.task(tmp_path, self.prints_lines(count), log_files=2, log_file_size_mb=1)
        handle = await self.start(driver, started, task)
        await asyncio.wait_for(driver.wait(handle), PATIENCE_S)
        await self.until_printed(task, f"line {count}{'.' * 100}\n")
        sizes = [path.stat().st_size for path in task.log_dir.glob("t.stdout.*")]
        assert len(sizes) == 2
        assert max(sizes) <= 1 << 20
        lines = printed(task).splitlines()[1:]  # the first one may have begun in a file that is gone
        numbers = [int(line.strip(".").split()[1]) for line in lines]
        assert numbers == list(range(numbers[0], count + 1))

    async def test_the_task_sees_its_environment(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        task = self.task(tmp_path, self.prints_variable(MARK))
        handle = await self.start(driver, started, task)
        await asyncio.wait_for(driver.wait(handle), PATIENCE_S)
        await self.until_printed(task, task.alloc_id)

    async def test_another_agent_recovers_a_running_task(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path, state_dir: Path
    ) -> None:
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        await driver.close()
        second = self.make_driver(state_dir)
        await second.recover(handle)
        waiting = asyncio.ensure_future(second.wait(handle))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await asyncio.wait_for(second.stop(handle, "", 20.0), PATIENCE_S)
        await asyncio.wait_for(waiting, PATIENCE_S)
        await second.close()

    async def test_another_agent_learns_the_exit_code_of_a_task_that_ended_meanwhile(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path, state_dir: Path
    ) -> None:
        task = self.task(tmp_path, self.exits(9))
        handle = await self.start(driver, started, task)
        await driver.close()
        await self.until_gone(task)
        second = self.make_driver(state_dir)
        await second.recover(handle)
        assert (await asyncio.wait_for(second.wait(handle), PATIENCE_S)).exit_code == 9
        await second.close()

    async def test_a_destroyed_task_is_gone(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path, state_dir: Path
    ) -> None:
        task = self.task(tmp_path, self.sleeps())
        handle = await self.start(driver, started, task)
        await asyncio.wait_for(driver.destroy(handle), PATIENCE_S)
        assert processes_marked(task.alloc_id) == []
        await driver.destroy(handle)
        with pytest.raises(TaskNotFound):
            await asyncio.wait_for(driver.wait(handle), PATIENCE_S)

    async def test_another_agent_ends_the_tasks_that_it_does_not_know_and_no_others(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path, state_dir: Path
    ) -> None:
        tasks = [self.task(tmp_path, self.sleeps()) for _ in range(2)]
        known, _ = [await self.start(driver, started, task) for task in tasks]
        await driver.close()
        second = self.make_driver(state_dir)
        assert tasks[0].id not in await second.destroy_others([tasks[0].id])
        assert processes_marked(tasks[1].alloc_id) == []
        await second.recover(known)
        await second.stop(known, "", 20.0)
        await second.close()

    async def test_a_handle_that_is_none_is_not_found(self, driver: Driver) -> None:
        handle = TaskHandle(driver=driver.name, task_id="none/none", state={})
        with pytest.raises(TaskNotFound):
            await driver.recover(handle)

    async def test_no_process_outlives_its_task(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        task = self.task(tmp_path, self.leaves_children())
        handle = await self.start(driver, started, task)
        await self.until_printed(task, "ready")
        assert len(processes_marked(task.alloc_id)) >= 2
        await asyncio.wait_for(driver.stop(handle, "", 20.0), PATIENCE_S)
        assert processes_marked(task.alloc_id) == []

    # Commands beside a task

    async def test_a_command_has_its_output_and_its_exit_code(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        said = await self.run(driver, handle, "echo out; echo err >&2; exit 5")
        assert (said.code, said.stdout, said.stderr) == (5, b"out\n", b"err\n")

    async def test_a_command_reads_its_input_to_the_end(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        parts = [b"one\n", b"x" * 300_000, b"\nlast"]
        said = await self.run(driver, handle, "cat", parts)
        assert (said.code, said.stdout) == (0, b"".join(parts))

    async def test_a_command_may_end_before_its_input(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        said = await self.run(driver, handle, "exit 3", None)
        assert said.code == 3

    async def test_a_command_sees_the_tasks_environment(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        task = self.task(tmp_path, self.sleeps())
        handle = await self.start(driver, started, task)
        assert (await self.run(driver, handle, f"echo ${MARK}")).stdout.decode() == f"{task.alloc_id}\n"

    async def test_output_waits_for_who_reads_it_slowly(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        script = "x=0123456789; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do x=$x$x; done; echo $x"
        said = await self.run(driver, handle, script, pause_s=0.1)
        assert said.stdout == b"0123456789" * (1 << 15) + b"\n"

    async def test_another_agent_runs_commands_too(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path, state_dir: Path
    ) -> None:
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        await driver.close()
        second = self.make_driver(state_dir)
        await second.recover(handle)
        assert (await self.run(second, handle, "echo here")).stdout == b"here\n"
        await second.close()

    async def test_no_command_runs_in_a_task_that_has_ended(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        handle = await self.start(driver, started, self.task(tmp_path, self.exits(0)))
        await asyncio.wait_for(driver.wait(handle), PATIENCE_S)
        with pytest.raises(DriverError):
            await self.run(driver, handle, "echo never")

    async def test_a_command_ends_with_its_task(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        task = self.task(tmp_path, self.sleeps())
        handle = await self.start(driver, started, task)
        running = asyncio.ensure_future(self.run(driver, handle, "sleep 300"))
        async with asyncio.timeout(PATIENCE_S):
            while not running.done() and len(processes_marked(task.alloc_id)) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        if running.done():
            running.result()
        await driver.stop(handle, "", 5.0)
        await asyncio.wait({running}, timeout=PATIENCE_S)
        assert running.done()
        assert processes_marked(task.alloc_id) == []
        running.exception()

    async def test_a_cancelled_command_does_not_harm_the_task(
        self, driver: Driver, started: list[TaskHandle], tmp_path: Path
    ) -> None:
        handle = await self.start(driver, started, self.task(tmp_path, self.sleeps()))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self.run(driver, handle, "sleep 300", None), 0.5)
        assert (await self.run(driver, handle, "echo fine")).stdout == b"fine\n"

    # How they go about it

    async def run(
        self,
        driver: Driver,
        handle: TaskHandle,
        script: str,
        stdin: Sequence[bytes] | None = (),
        pause_s: float = 0.0,
    ) -> Said:
        """Run a script beside the task. stdin: its input, or None for one that never ends."""
        command = self.runs(script)
        if command is None or not driver.capabilities.exec:
            pytest.skip("the driver runs no commands")
        assert isinstance(driver, Executes)
        said = Said(pause_s)
        streams = Streams(stdin=_typed(stdin), stdout=said.take_stdout, stderr=said.take_stderr)
        said.code = await asyncio.wait_for(driver.exec(handle, command, streams), PATIENCE_S)
        return said

    async def start(self, driver: Driver, started: list[TaskHandle], task: Task) -> TaskHandle:
        assert driver.validate(task.config) == []
        handle = await asyncio.wait_for(driver.start(task), PATIENCE_S)
        started.append(handle)
        return handle

    async def until_printed(self, task: Task, text: str, stream: str = "stdout") -> None:
        async with asyncio.timeout(PATIENCE_S):
            while text not in printed(task, stream):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def until_gone(self, task: Task) -> None:
        await asyncio.sleep(0.5)
        async with asyncio.timeout(PATIENCE_S):
            while processes_marked(task.alloc_id):  # noqa: ASYNC110
                await asyncio.sleep(0.02)


class Said:
    """What a command has printed, and how it ended. pause_s: how long taking one piece of it takes."""

    def __init__(self, pause_s: float) -> None:
        self.code = -1
        self.stdout = b""
        self.stderr = b""
        self._pause_s = pause_s

    async def take_stdout(self, data: bytes) -> None:
        await asyncio.sleep(self._pause_s)
        self.stdout += data

    async def take_stderr(self, data: bytes) -> None:
        await asyncio.sleep(self._pause_s)
        self.stderr += data


async def _typed(parts: Sequence[bytes] | None) -> AsyncIterator[bytes]:
    for part in parts or ():
        yield part
    if parts is None:
        await asyncio.Event().wait()


def a_task(directory: Path, config: Config, **changes: Any) -> Task:
    """A task with directories of its own, marked in its environment by its allocation's id."""
    alloc_id = str(uuid.uuid4())  # noqa: TID251
    alloc = directory / alloc_id
    for name in ("t/local", "t/secrets", "t/tmp", "alloc/data", "alloc/logs", "alloc/tmp"):
        (alloc / name).mkdir(parents=True)
    facts: dict[str, Any] = {
        "id": f"{alloc_id}/t",
        "alloc_id": alloc_id,
        "name": "t",
        "job_id": "conformance",
        "namespace": "default",
        "config": config,
        "env": {"PATH": os.environ.get("PATH", os.defpath), MARK: alloc_id},
        "task_dir": alloc / "t",
        "alloc_dir": alloc / "alloc",
        "log_dir": alloc / "alloc" / "logs",
        "memory_mb": 64,
    }
    return Task(**facts | changes)


def printed(task: Task, stream: str = "stdout") -> str:
    """All that is left of a stream, oldest file first."""
    files = sorted(task.log_dir.glob(f"{task.name}.{stream}.*"), key=lambda path: int(path.suffix[1:]))
    return "".join(path.read_text() for path in files)


def processes_marked(mark: str) -> list[int]:
    """The living processes whose environment holds the mark of a task, wherever they are in the tree."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdecimal() and wanted in Path(f"/proc/{name}/environ").read_bytes():
                found.append(int(name))
        except OSError:
            continue
    return found
