"""`mock_driver`: a task that is only a timer, for trying out jobs, restarts and deployments without any program.

Nomad's own tests and many of its users' use it, so its keys are Nomad's. How a task ends follows from its start time
and its configuration alone, which the handle holds: a recovered task ends as if nobody had been away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raftnomad.clock import Clock, SystemClock
from raftnomad.drivers import signals
from raftnomad.drivers.driver import Capabilities, DriverError, ExitResult, Fingerprint, Task, TaskHandle, TaskNotFound
from raftnomad.drivers.log_files import LogFiles
from raftnomad.drivers.task_config import Kind, flag, number, problems, text
from raftnomad.durations import parse_duration
from raftnomad.tasks import Tasks

SCHEMA = {
    "start_error": Kind.STRING,
    "start_error_recoverable": Kind.BOOL,
    "start_block_for": Kind.STRING,
    "kill_after": Kind.STRING,
    "plugin_exit_after": Kind.STRING,
    "driver_ip": Kind.STRING,
    "driver_advertise": Kind.BOOL,
    "driver_port_map": Kind.STRING,
    "run_for": Kind.STRING,
    "exit_code": Kind.NUMBER,
    "exit_signal": Kind.NUMBER,
    "exit_err_msg": Kind.STRING,
    "signal_error": Kind.STRING,
    "stdout_string": Kind.STRING,
    "stdout_repeat": Kind.NUMBER,
    "stdout_repeat_duration": Kind.STRING,
    "stderr_string": Kind.STRING,
    "stderr_repeat": Kind.NUMBER,
    "stderr_repeat_duration": Kind.STRING,
    "exec_command": Kind.BLOCK,
}

DURATIONS = (
    "start_block_for",
    "kill_after",
    "plugin_exit_after",
    "run_for",
    "stdout_repeat_duration",
    "stderr_repeat_duration",
)

NOT_BUILT = ("plugin_exit_after", "driver_ip", "driver_advertise", "driver_port_map", "exec_command")


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a task goes, once it is started. Times are seconds after the start."""

    run_for_s: float
    kill_after_s: float
    exit_code: int
    exit_signal: int
    exit_error: str
    signal_error: str

    def ending(self) -> ExitResult:
        return ExitResult(exit_code=self.exit_code, signal=self.exit_signal, error=self.exit_error)


class _Run:
    def __init__(self, course: Course, started_ns: int) -> None:
        self.course = course
        self.started_ns = started_ns
        self.ended = asyncio.Event()
        self.result = ExitResult()

    def end(self, result: ExitResult) -> None:
        if not self.ended.is_set():
            self.result = result
            self.ended.set()


class MockDriver:
    """`settings` has no keys that matter. `state_dir` stays empty: a handle holds all there is to know."""

    name = "mock_driver"
    capabilities = Capabilities(send_signals=True, exec=False, isolation="none")

    def __init__(self, settings: Mapping[str, Any], state_dir: Path, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._runs: dict[str, _Run] = {}
        self._tasks = Tasks("mock driver")

    def validate(self, config: Mapping[str, Any]) -> list[str]:
        found = problems(config, SCHEMA)
        for key in DURATIONS:
            if not found and text(config, key):
                try:
                    parse_duration(text(config, key))
                except ValueError:
                    found.append(f'{key} "{text(config, key)}" not a valid duration')
        return found

    async def fingerprint(self) -> Fingerprint:
        return Fingerprint(
            detected=True, healthy=True, description="Healthy", attributes={f"driver.{self.name}": "true"}
        )

    async def start(self, task: Task) -> TaskHandle:
        config = task.config
        for key in NOT_BUILT:
            if config.get(key):
                raise DriverError(f"mock_driver's {key} is not built yet")
        await self._clock.sleep(_seconds(config, "start_block_for"))
        if text(config, "start_error"):
            raise DriverError(text(config, "start_error"), flag(config, "start_error_recoverable"))
        handle = TaskHandle(
            driver=self.name,
            task_id=task.id,
            state={"started_ns": self._clock.now_ns(), "config": {key: config[key] for key in SCHEMA if key in config}},
        )
        run = self._adopt(handle)
        if not task.log_disabled:
            for stream in ("stdout", "stderr"):
                self._tasks.start(self._print(task, stream, run), f"{stream} of {task.id}")
        return handle

    async def recover(self, handle: TaskHandle) -> None:
        if "started_ns" not in handle.state:
            raise TaskNotFound(f"the handle of task {handle.task_id} does not say when it started")
        self._adopt(handle)

    async def wait(self, handle: TaskHandle) -> ExitResult:
        run = self._find(handle)
        await run.ended.wait()
        return run.result

    async def stop(self, handle: TaskHandle, signal: str, timeout_s: float) -> None:
        run = self._find(handle)
        if signal:
            signals.parse(signal)
        if not run.ended.is_set():
            await self._clock.sleep(min(run.course.kill_after_s, timeout_s))
        run.end(ExitResult())

    async def signal(self, handle: TaskHandle, signal: str) -> None:
        run = self._find(handle)
        signals.parse(signal)
        if run.course.signal_error:
            raise DriverError(run.course.signal_error)
        if run.ended.is_set():
            raise DriverError("the task has ended, and takes no signals")

    async def destroy(self, handle: TaskHandle) -> None:
        run = self._runs.pop(_key(handle), None)
        if run is not None:
            run.end(ExitResult(exit_code=137, signal=9))

    async def destroy_others(self, task_ids: Collection[str]) -> list[str]:
        """Nothing of a mock task outlives the agent, unless its handle does."""
        return []

    async def close(self) -> None:
        await self._tasks.cancel()

    def _adopt(self, handle: TaskHandle) -> _Run:
        key = _key(handle)
        if key not in self._runs:
            run = _Run(course_of(handle.state["config"]), handle.state["started_ns"])
            self._runs[key] = run
            self._tasks.start(self._run(run), f"task {handle.task_id}")
        return self._runs[key]

    def _find(self, handle: TaskHandle) -> _Run:
        run = self._runs.get(_key(handle))
        if run is None:
            raise TaskNotFound(f"mock_driver does not know task {handle.task_id}")
        return run

    async def _run(self, run: _Run) -> None:
        passed_s = (self._clock.now_ns() - run.started_ns) / 1e9
        await self._clock.sleep(max(run.course.run_for_s - passed_s, 0))
        run.end(run.course.ending())

    async def _print(self, task: Task, stream: str, run: _Run) -> None:
        """The output that the configuration asks for, as often as it asks."""
        files = LogFiles(str(task.log_dir), f"{task.name}.{stream}", task.log_files, task.log_file_size_mb << 20)
        try:
            line = text(task.config, f"{stream}_string").encode()
            for _ in range(1 + number(task.config, f"{stream}_repeat")) if line else ():
                files.write(line)
                await self._clock.sleep(_seconds(task.config, f"{stream}_repeat_duration"))
                if run.ended.is_set():
                    break
        finally:
            files.close()


def course_of(config: Mapping[str, Any]) -> Course:
    return Course(
        run_for_s=_seconds(config, "run_for"),
        kill_after_s=_seconds(config, "kill_after"),
        exit_code=number(config, "exit_code"),
        exit_signal=number(config, "exit_signal"),
        exit_error=text(config, "exit_err_msg"),
        signal_error=text(config, "signal_error"),
    )


def _seconds(config: Mapping[str, Any], key: str) -> float:
    value = text(config, key)
    try:
        return parse_duration(value) / 1e9 if value else 0.0
    except ValueError:
        raise DriverError(f'{key} "{value}" not a valid duration') from None


def _key(handle: TaskHandle) -> str:
    return f"{handle.task_id} {handle.state.get('started_ns')}"
