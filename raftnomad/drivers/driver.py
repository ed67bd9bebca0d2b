"""What a task driver is: the protocol that `docker`, `raw_exec`, `mock_driver` and other people's drivers speak.

A driver is given a task with nothing left to resolve, starts it, and hands back a handle: enough to find the task
again, also from another process after the agent was killed. Drivers know nothing of jobs, servers or each other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec

from raftnomad.errors import RaftnomadError


class DriverError(RaftnomadError):
    """A task cannot be started, signalled or stopped; `recoverable` says whether a restart may help."""

    def __init__(self, message: str, recoverable: bool = False) -> None:
        super().__init__(message)
        self.recoverable = recoverable


class TaskNotFound(DriverError):
    """The handle's task is gone, and so is its exit code."""


@dataclass(frozen=True, kw_only=True)
class Port:
    label: str
    host_ip: str
    value: int
    to: int
    """The port inside the task's network; equal to `value` on the host's."""


Tell = Callable[[str, Mapping[str, str]], None]
"""Called with a sentence for people and details for programs."""


def unheard(message: str, details: Mapping[str, str]) -> None:
    """A `Tell` for whoever does not care."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """All that a driver is told. Paths are absolute paths on this machine; units are in the names.

    stdout_prefix: the driver's output goes to rotated files `<log_dir>/<name>.stdout.<n>` and `.stderr.<n>`, of at
    most `log_file_size_mb` each, the newest `log_files` of them kept.
    """

    id: str
    """`<allocation id>/<task name>`: unique on this machine, the same after every restart of the agent."""
    alloc_id: str
    name: str
    job_id: str
    namespace: str
    config: Mapping[str, Any]
    """The job file's `config`, interpolated. Validated by `Driver.validate` before."""
    env: Mapping[str, str]
    user: str = ""
    task_dir: Path
    """`<alloc>/<task>`: holds `local`, `secrets`, `tmp`."""
    alloc_dir: Path
    """`<alloc>/alloc`: shared by the group; holds `data`, `logs`, `tmp`."""
    log_dir: Path
    log_files: int = 10
    log_file_size_mb: int = 10
    log_disabled: bool = False
    cpu_shares: int = 100
    """MHz, as the job asks; also the relative weight of the task."""
    cores: tuple[int, ...] = ()
    memory_mb: int = 300
    memory_max_mb: int = 0
    ports: tuple[Port, ...] = ()
    network_mode: str = "host"
    labels: Mapping[str, str] = field(default_factory=dict)
    """Facts about where it runs that a driver may show to others: `node_id`, `node_name`."""
    tell: Tell = unheard
    """What goes on while the task is started, such as a download, becomes an event of the task. Called in the event
    loop's thread, and only until `Driver.start` returns."""


class TaskHandle(msgspec.Struct, frozen=True, kw_only=True):
    """Enough to find a task again. Kept in the client's local state, so `version` says how to read `state`."""

    driver: str
    task_id: str
    version: int = 1
    state: dict[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class ExitResult:
    """How a task ended. `error` is set when the driver cannot say (its exit code is lost)."""

    exit_code: int = 0
    signal: int = 0
    oom_killed: bool = False
    error: str = ""

    @property
    def successful(self) -> bool:
        return self.exit_code == 0 and self.signal == 0 and not self.error


@dataclass(frozen=True, kw_only=True)
class Streams:
    """What a command in a task is connected to, without a terminal. Its output waits for whoever takes it."""

    stdin: AsyncIterator[bytes]
    """Its end is the end of the command's input."""
    stdout: Callable[[bytes], Awaitable[None]]
    stderr: Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """Whether the driver can be used here; `attributes` are the node's, e.g. `driver.docker.version`."""

    detected: bool
    healthy: bool
    description: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    send_signals: bool = True
    exec: bool = False
    """Whether the driver is an `Executes` too."""
    isolation: str = "none"
    """What the task sees as its root: `none` (the machine's), `chroot` or `image`."""


class Driver(Protocol):
    """All methods may be called concurrently for different tasks; a handle's methods also after another process
    started the task. Errors are `DriverError`s whose text is shown to the user as it is."""

    name: str
    capabilities: Capabilities

    def validate(self, config: Mapping[str, Any]) -> list[str]:
        """What is wrong with a task's `config`, one sentence each; empty when it can be started."""

    async def fingerprint(self) -> Fingerprint: ...

    async def start(self, task: Task) -> TaskHandle:
        """Start the task. When this returns, the handle can be recovered by another process."""

    async def recover(self, handle: TaskHandle) -> None:
        """Attach to a task that this process did not start; raises TaskNotFound when nothing is left of it.

        A task that ended meanwhile is recovered too: `wait` then gives its exit code at once.
        """

    async def wait(self, handle: TaskHandle) -> ExitResult:
        """Until the task ends. May be awaited by several callers and cancelled without harm."""

    async def stop(self, handle: TaskHandle, signal: str, timeout_s: float) -> None:
        """Ask with `signal` ("" is the driver's own), then kill; nothing of the task runs when this returns."""

    async def signal(self, handle: TaskHandle, signal: str) -> None: ...

    async def destroy(self, handle: TaskHandle) -> None:
        """Forget the task: remove what the driver keeps for it (containers, executors). Kills it if it runs."""

    async def destroy_others(self, task_ids: Collection[str]) -> list[str]:
        """End the tasks of this driver that the client does not know: their agent died before it could remember them.

        Called at the start of an agent, before any task is started. Returns the ids of what was ended.
        """

    async def close(self) -> None:
        """Let go of this process's resources; tasks go on running."""


@runtime_checkable
class Executes(Protocol):
    """A driver that can run other commands where a task runs."""

    async def exec(self, handle: TaskHandle, command: Sequence[str], streams: Streams) -> int:
        """Run a command with the task's environment, user and limits until it ends, and give its exit code.

        Raises DriverError when it cannot be started, or when its end was not seen. Cancelling ends the command where
        the driver can reach it, and never the task.
        """
