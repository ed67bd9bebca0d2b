"""`raw_exec`: a program of this machine, without isolation, as the agent's user or another.

Off unless the agent's configuration turns it on, since a job can then do all that the agent can.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from raftnomad.drivers import signals, users
from raftnomad.drivers.driver import (
    Capabilities,
    DriverError,
    ExitResult,
    Fingerprint,
    Streams,
    Task,
    TaskHandle,
    TaskNotFound,
)
from raftnomad.drivers.executor import Executors, Launch, Logs
from raftnomad.drivers.task_config import Kind, flag, number, problems, string_map, strings, text

logger = logging.getLogger(__name__)

SCHEMA = {
    "command": Kind.STRING,
    "args": Kind.STRINGS,
    "work_dir": Kind.STRING,
    "cgroup_v2_override": Kind.STRING,
    "cgroup_v1_override": Kind.STRING_MAP,
    "oom_score_adj": Kind.NUMBER,
    "denied_envvars": Kind.STRINGS,
}

DENIED_ENV = (
    "CONSUL_TOKEN",
    "CONSUL_HTTP_TOKEN",
    "CONSUL_HTTP_TOKEN_FILE",
    "NOMAD_TOKEN",
    "NOMAD_LICENSE",
    "RAFTNOMAD_TOKEN",
    "VAULT_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
)
"""What tasks never inherit from the agent, unless `env.denylist` says otherwise."""

DEFAULT_SIGNAL = "SIGINT"


class RawExecDriver:
    """`settings`: the plugin's block (`enabled`, `denied_host_uids`, `denied_host_gids`, `denied_envvars`), and under
    `env_denylist` the agent's option `env.denylist`, a list."""

    name = "raw_exec"
    capabilities = Capabilities(send_signals=True, exec=True, isolation="none")

    def __init__(self, settings: Mapping[str, Any], state_dir: Path) -> None:
        self._enabled = flag(settings, "enabled")
        self._denied_uids = users.parse_ranges(text(settings, "denied_host_uids"), "raw_exec.denied_host_uids")
        self._denied_gids = users.parse_ranges(text(settings, "denied_host_gids"), "raw_exec.denied_host_gids")
        self._denied_env = strings(settings, "denied_envvars")
        self._not_inherited = settings.get("env_denylist", DENIED_ENV)
        self._executors = Executors(state_dir)

    def validate(self, config: Mapping[str, Any]) -> list[str]:
        return problems(config, SCHEMA, required=("command",))

    async def fingerprint(self) -> Fingerprint:
        if not self._enabled:
            return Fingerprint(detected=False, healthy=False, description="disabled")
        return Fingerprint(
            detected=True, healthy=True, description="Healthy", attributes={f"driver.{self.name}": "true"}
        )

    async def start(self, task: Task) -> TaskHandle:
        if not self._enabled:
            raise DriverError("raw_exec is disabled; the agent's configuration can enable it")
        config = task.config
        check_config(config)
        user = users.find_user(task.user, self._denied_uids, self._denied_gids)
        environment = self._environment(task)
        command = text(config, "command")
        try:
            run = await self._executors.launch(
                Launch(
                    task_id=task.id,
                    path=find_command(command, task, environment),
                    argv=[command, *strings(config, "args")],
                    env=environment,
                    work_dir=text(config, "work_dir") or str(task.task_dir),
                    user=user,
                    logs=_logs(task),
                    oom_score_adj=number(config, "oom_score_adj") if config.get("oom_score_adj") is not None else None,
                    limits=limits(task),
                    cgroup_v2=text(config, "cgroup_v2_override"),
                    cgroup_v1=string_map(config, "cgroup_v1_override"),
                )
            )
        except DriverError as error:
            # Nomad's words: its users search for them.
            message = f"failed to launch command with executor: rpc error: code = Unknown desc = {error}"
            raise DriverError(message, error.recoverable) from error
        return TaskHandle(driver=self.name, task_id=task.id, state={"run": run})

    async def recover(self, handle: TaskHandle) -> None:
        await self._executors.recover(handle.task_id, _run_of(handle))

    async def wait(self, handle: TaskHandle) -> ExitResult:
        return await self._executors.wait(handle.task_id, _run_of(handle))

    async def stop(self, handle: TaskHandle, signal: str, timeout_s: float) -> None:
        await self._executors.stop(handle.task_id, _run_of(handle), signals.parse(signal or DEFAULT_SIGNAL), timeout_s)

    async def signal(self, handle: TaskHandle, signal: str) -> None:
        await self._executors.signal(handle.task_id, _run_of(handle), _number_or_default(signal))

    async def exec(self, handle: TaskHandle, command: Sequence[str], streams: Streams) -> int:
        return await self._executors.execute(handle.task_id, _run_of(handle), command, streams)

    async def destroy(self, handle: TaskHandle) -> None:
        await self._executors.destroy(handle.task_id, _run_of(handle))

    async def destroy_others(self, task_ids: Collection[str]) -> list[str]:
        """End the tasks that the client does not know: their agent died before it could remember them."""
        return await self._executors.destroy_others(task_ids)

    async def pids(self, handle: TaskHandle) -> list[int]:
        """The living processes of the task."""
        return await self._executors.pids(handle.task_id, _run_of(handle))

    async def close(self) -> None:
        """Executors and their zygote live on by themselves."""

    async def retire(self) -> None:
        """The zygote goes too: nobody is going to start another task."""
        await self._executors.retire_zygote()

    def _environment(self, task: Task) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not _matches(name, self._not_inherited)}
        denied = [*self._denied_env, *strings(task.config, "denied_envvars")]
        return {name: value for name, value in (inherited | dict(task.env)).items() if not _matches(name, denied)}


def check_config(config: Mapping[str, Any]) -> None:
    """What the shape alone does not tell; raises DriverError."""
    work_dir = text(config, "work_dir")
    if work_dir and not os.path.isabs(work_dir):
        raise DriverError(
            f'failed driver config validation: work_dir must be absolute but got relative path "{work_dir}"'
        )
    if config.get("oom_score_adj") is not None and not -1000 <= number(config, "oom_score_adj") <= 1000:
        raise DriverError("failed driver config validation: oom_score_adj must be between -1000 and 1000")
    if text(config, "cgroup_v2_override") and string_map(config, "cgroup_v1_override"):
        raise DriverError(
            "failed driver config validation: only one of cgroups_v1_override and cgroups_v2_override may be set"
        )


def find_command(command: str, task: Task, environment: Mapping[str, str]) -> str:
    """Where the program is: in the task's own directory first, then in the machine's; raises DriverError."""
    if not os.path.isabs(command):
        for directory in (task.task_dir / "local", task.task_dir):
            path = directory / command
            if path.is_file():
                return str(path)
    search = environment.get("PATH") or os.defpath
    found = shutil.which(command, path=search) or shutil.which(command, mode=os.F_OK, path=search)
    if found is None or os.path.isdir(found):
        raise DriverError(f'binary "{command}" could not be found')
    return found


def limits(task: Task) -> dict[str, int | str]:
    """A task's resources as its control groups hold them."""
    memory_mb = task.memory_max_mb if task.memory_max_mb > task.memory_mb else task.memory_mb
    held: dict[str, int | str] = {"memory_bytes": memory_mb << 20, "cpu_shares": task.cpu_shares}
    if memory_mb > task.memory_mb:
        held["memory_soft_bytes"] = task.memory_mb << 20
    if task.cores:
        held["cpus"] = ",".join(str(core) for core in task.cores)
    return held


def _number_or_default(name: str) -> int:
    """A name that is no signal sends the default one and is not refused: so do Nomad's users' scripts expect it."""
    if name not in signals.NAMES:
        logger.warning('"%s" is not the name of a signal; %s is sent instead', name, DEFAULT_SIGNAL)
        name = DEFAULT_SIGNAL
    return signals.parse(name)


def _logs(task: Task) -> Logs | None:
    if task.log_disabled:
        return None
    return Logs(
        directory=str(task.log_dir), name=task.name, files=task.log_files, file_bytes=task.log_file_size_mb << 20
    )


def _matches(name: str, patterns: Collection[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _run_of(handle: TaskHandle) -> str:
    run = handle.state.get("run")
    if handle.version != 1 or not isinstance(run, str):
        raise TaskNotFound(f"the handle of task {handle.task_id} is not one that this raftnomad can read")
    return run
