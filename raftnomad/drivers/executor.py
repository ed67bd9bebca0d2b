"""The agent's side of executors: start one through the zygote, talk to it, and clean up after one that was killed.

Each task has a directory under `<state>/executors`, named after the task's id, so that a task which was started by an
agent that died before it could remember is found, and ended, when it is started again. `run` tells such runs apart.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from raftnomad.drivers import cgroups, execution, exit_status, frames, processes
from raftnomad.drivers.driver import DriverError, ExitResult, Streams, TaskNotFound
from raftnomad.drivers.executor_process import SOCKET
from raftnomad.identifiers import RandomBytes, new_id, system_random_bytes

START_PATIENCE_S = 60.0

ANSWER_PATIENCE_S = 10.0
"""After so long without an answer, an executor counts as hung and is killed with its task."""

STARTS_AT_ONCE = 32

ZYGOTE_MODULES = ("zygote", "executor_process", "launch", "cgroups", "processes", "log_files", "exit_status", "frames")


class ExecutorGone(Exception):
    """Nobody answers on an executor's socket."""


@dataclass(frozen=True, kw_only=True)
class User:
    """Who the task runs as. `groups` are the supplementary ones."""

    name: str
    uid: int
    gid: int
    groups: list[int]


@dataclass(frozen=True, kw_only=True)
class Logs:
    directory: str
    name: str
    files: int
    file_bytes: int


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One program to run, with nothing left to resolve."""

    task_id: str
    path: str
    argv: list[str]
    env: dict[str, str]
    work_dir: str
    user: User | None = None
    logs: Logs | None = None
    oom_score_adj: int | None = None
    limits: dict[str, int | str] = field(default_factory=dict)
    """See `cgroups.create`."""
    cgroup_v2: str = ""
    cgroup_v1: dict[str, str] = field(default_factory=dict)


class Executors:
    """All executors under one state directory. Safe to use from several drivers of one agent."""

    def __init__(self, state_dir: Path, random_bytes: RandomBytes = system_random_bytes) -> None:
        self._directory = state_dir / "executors"
        self._random_bytes = random_bytes
        self._starts = asyncio.Semaphore(STARTS_AT_ONCE)

    async def launch(self, launch: Launch) -> str:
        """Start the program and give the run that the other methods want; raises DriverError."""
        directory = self.directory_of(launch.task_id)
        async with self._starts:
            await self._end_and_remove(directory)
            await asyncio.to_thread(self._prepare, directory)
            run = new_id(self._random_bytes)
            spec = asdict(launch) | {"run": run, "group": f"{directory.name}.{run[:8]}"}
            request = {"protocol": frames.PROTOCOL, "op": "launch", "directory": str(directory), "spec": spec}
            try:
                async with asyncio.timeout(START_PATIENCE_S):
                    answer = await self._ask_zygote(request)
            except (TimeoutError, ExecutorGone) as error:
                await self._end_and_remove(directory)
                raise DriverError(f"the executor did not start: {error or 'no answer'}", recoverable=True) from error
        if not answer.get("ok"):
            await asyncio.to_thread(shutil.rmtree, directory, True)
            raise DriverError(str(answer.get("error")))
        return run

    async def recover(self, task_id: str, run: str) -> None:
        """Make sure that the run goes on, or that its end is known; raises TaskNotFound."""
        if await self._exited(task_id, run):
            return
        try:
            await self._ask(self.directory_of(task_id), {"op": "status", "run": run}, ANSWER_PATIENCE_S)
        except ExecutorGone:
            if not await self._exited(task_id, run):
                await self._declare_lost(self.directory_of(task_id))
                raise TaskNotFound(f"the executor of task {task_id} is gone, and its exit code with it") from None

    async def wait(self, task_id: str, run: str) -> ExitResult:
        """Until the task has ended and nothing of it runs."""
        return await self._ended(task_id, {"op": "wait", "run": run}, None)

    async def stop(self, task_id: str, run: str, number: int, timeout_s: float) -> ExitResult:
        """Signal the first process and kill the whole tree after the time-out. A task that ended is no error."""
        request = {"op": "stop", "run": run, "signal": number, "timeout_s": timeout_s}
        return await self._ended(task_id, request, timeout_s + 2 * ANSWER_PATIENCE_S)

    async def signal(self, task_id: str, run: str, number: int) -> None:
        if await self._exited(task_id, run):
            raise DriverError("the task has ended, and takes no signals")
        try:
            await self._ask(
                self.directory_of(task_id), {"op": "signal", "run": run, "signal": number}, ANSWER_PATIENCE_S
            )
        except ExecutorGone as error:
            raise DriverError("the task has ended, and takes no signals") from error

    async def pids(self, task_id: str, run: str) -> list[int]:
        """The processes of the task, for whoever counts their use; none when it has ended."""
        try:
            answer = await self._ask(self.directory_of(task_id), {"op": "pids", "run": run}, ANSWER_PATIENCE_S)
        except ExecutorGone:
            return []
        return [int(pid) for pid in answer["pids"]]

    async def execute(self, task_id: str, run: str, command: Sequence[str], streams: Streams) -> int:
        """Run another program beside the task's and give its exit code; raises DriverError."""
        if not command:
            raise DriverError("a command is required")
        if await self._exited(task_id, run):
            raise DriverError("the task has ended, and runs no commands")
        request = {"protocol": frames.PROTOCOL, "op": "exec", "run": run, "command": list(command)}
        try:
            connection = await asyncio.to_thread(_connected, self.directory_of(task_id) / SOCKET)
            answer = await execution.execute(connection, request, streams)
        except OSError as error:
            raise DriverError("the task has ended, and runs no commands") from error
        if not answer.get("ok"):
            raise DriverError(f"rpc error: code = Unknown desc = failed to start command: {answer.get('error')}")
        return int(answer["exit_code"])

    async def destroy(self, task_id: str, run: str) -> None:
        """Forget the run, killing it when it goes on. A run that is forgotten already is no error."""
        status = await asyncio.to_thread(exit_status.read, str(self.directory_of(task_id)))
        if status is not None and status["run"] == run:
            await self._end_and_remove(self.directory_of(task_id))

    async def destroy_others(self, task_ids: Collection[str]) -> list[str]:
        """End and forget every task but these, e.g. ones whose agent died before it could remember them."""
        known = {self.directory_of(task_id).name for task_id in task_ids}
        ended = []
        for directory in sorted(self._directory.glob("*/")):
            if directory.name not in known:
                status = exit_status.read(str(directory))
                ended.append(str(status["task_id"]) if status else directory.name)
                await self._end_and_remove(directory)
        return ended

    async def retire_zygote(self) -> None:
        """Let the zygote go; executors go on. For tests, and for an agent that leaves the machine for good."""
        for path in self._directory.glob("zygote.*.sock"):
            await asyncio.to_thread(_retire, path)

    def directory_of(self, task_id: str) -> Path:
        return self._directory / hashlib.sha256(task_id.encode()).hexdigest()[:24]

    async def _exited(self, task_id: str, run: str) -> exit_status.Status | None:
        """The status of a run that has ended; None while it may go on; raises TaskNotFound when it is forgotten."""
        status = await asyncio.to_thread(exit_status.read, str(self.directory_of(task_id)))
        if status is None or status["run"] != run:
            raise TaskNotFound(f"no executor knows this run of task {task_id}")
        if status["state"] == "running":
            return None
        return status

    async def _ended(self, task_id: str, request: dict[str, Any], timeout_s: float | None) -> ExitResult:
        directory = self.directory_of(task_id)
        status = await self._exited(task_id, str(request["run"]))
        if status is None:
            try:
                status = (await self._ask(directory, request, timeout_s))["status"]
            except ExecutorGone:
                status = await self._exited(task_id, str(request["run"])) or await self._declare_lost(directory)
        return ExitResult(
            exit_code=status["exit_code"],
            signal=status["signal"],
            oom_killed=status["oom_killed"],
            error=status["error"],
        )

    async def _ask(self, directory: Path, request: dict[str, Any], timeout_s: float | None) -> frames.Message:
        """One request to an executor; raises ExecutorGone, also for one that does not answer in time."""
        try:
            async with asyncio.timeout(timeout_s):
                answer = await _exchange(directory, SOCKET, request | {"protocol": frames.PROTOCOL})
        except TimeoutError as error:
            raise ExecutorGone("the executor does not answer") from error
        if not answer.get("ok"):
            raise DriverError(f"the executor refused {request['op']}: {answer.get('error')}")
        return answer

    async def _declare_lost(self, directory: Path) -> exit_status.Status:
        """The executor is gone without having written an end: end its task, and say that nobody knows its exit code."""
        return await asyncio.to_thread(_declare_lost, str(directory))

    async def _end_and_remove(self, directory: Path) -> None:
        status = await asyncio.to_thread(exit_status.read, str(directory))
        if status is not None and status["state"] == "running":
            request = {"op": "stop", "run": status["run"], "signal": signal.SIGKILL, "timeout_s": 0.0}
            try:
                await self._ask(directory, request, 2 * ANSWER_PATIENCE_S)
            except ExecutorGone:
                await self._declare_lost(directory)
        await asyncio.to_thread(shutil.rmtree, directory, True)

    # The zygote

    def _prepare(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for path in (self._directory, directory):
            path.chmod(0o700)

    async def _ask_zygote(self, request: dict[str, Any]) -> frames.Message:
        name = f"zygote.{_code_digest()}.sock"
        try:
            return await _exchange(self._directory, name, request)
        except ExecutorGone:
            await asyncio.to_thread(self._ensure_zygote, name)
            return await _exchange(self._directory, name, request)

    def _ensure_zygote(self, name: str) -> None:
        """Start a zygote of this code if none answers; zygotes of other code retire."""
        with open(self._directory / "zygote.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _answers(self._directory / name):
                return
            for path in self._directory.glob("zygote.*.sock"):
                _retire(path)
            with open(self._directory / "zygote.log", "ab") as log:
                finished = subprocess.run(
                    [sys.executable, "-S", "-m", "raftnomad.drivers.zygote", str(self._directory), name],
                    env={"PYTHONPATH": str(Path(__file__).parents[2])},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    timeout=START_PATIENCE_S,
                    check=False,
                )
            if finished.returncode != 0:
                raise DriverError(f"the zygote did not start; see {self._directory}/zygote.log", recoverable=True)


async def _exchange(directory: Path, name: str, request: dict[str, Any]) -> frames.Message:
    """Send one request to a socket and read one answer; raises ExecutorGone."""
    writer: asyncio.StreamWriter | None = None
    try:
        # The socket's path may be too long for the kernel; the directory's descriptor is not.
        opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{opened}/{name}")
        finally:
            os.close(opened)
        writer.write(frames.encode(request))
        await writer.drain()
        length = frames.body_length(await reader.readexactly(4))
        return frames.decode(await reader.readexactly(length))
    except (OSError, EOFError, ValueError, frames.BrokenFrame) as error:
        raise ExecutorGone(str(error)) from error
    finally:
        if writer is not None:
            writer.close()


def _declare_lost(directory: str) -> exit_status.Status:
    status = exit_status.read(directory)
    if status is None:
        raise TaskNotFound("the task's executor and its directory are gone")
    if status["state"] != "running":
        return status
    if status["boot_id"] == processes.boot_id():
        if processes.is_alive(status["executor_pid"], status["executor_start_time"]):
            processes.kill(status["executor_pid"])
        groups = cgroups.TaskGroups(status["groups"])
        groups.kill()
        if processes.is_alive(status["pid"], status["start_time"]):
            processes.kill(status["pid"])
        groups.remove()
    error = "the task's executor was killed, and the exit code is lost"
    status |= {"state": "lost", "exit_code": 0, "signal": 0, "oom_killed": False, "error": error}
    exit_status.write(directory, status)
    return status


def _answers(path: Path) -> bool:
    try:
        with _connected(path) as connection:
            connection.sendall(frames.encode({"protocol": frames.PROTOCOL, "op": "hello"}))
            return bool((frames.receive(connection) or {}).get("ok"))
    except (OSError, ValueError, frames.BrokenFrame):
        return False


def _retire(path: Path) -> None:
    """Ask a zygote to go, and remove its socket; one that is dead already is no error."""
    try:
        with _connected(path) as connection:
            connection.sendall(frames.encode({"protocol": frames.PROTOCOL, "op": "retire"}))
            frames.receive(connection)
    except (OSError, ValueError, frames.BrokenFrame):
        pass
    path.unlink(missing_ok=True)


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_PATIENCE_S)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{path.name}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(directory)
    return connection


def _code_digest() -> str:
    """Which code a zygote runs: after an upgrade, new tasks get executors of the new code."""
    global _digest
    if not _digest:
        here = Path(__file__).parent
        text = b"".join((here / f"{name}.py").read_bytes() for name in ZYGOTE_MODULES)
        _digest = hashlib.sha256(text + sys.version.encode()).hexdigest()[:12]
    return _digest


_digest = ""
