"""The Docker driver: makes a container of a task, stops and signals it, and finds it again.

What becomes of a container meanwhile is in `containers.py`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from raftnomad.drivers import signals
from raftnomad.drivers.docker import execution
from raftnomad.drivers.docker.config import config_problems, container_body, container_name
from raftnomad.drivers.docker.containers import Container, Containers, container_id_of
from raftnomad.drivers.docker.engine import PROBE_TIMEOUT_S, Engine, EngineDown, EngineError
from raftnomad.drivers.docker.images import Images
from raftnomad.drivers.docker.logs import log_target
from raftnomad.drivers.docker.settings import parse_settings
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
from raftnomad.drivers.task_config import flag, number, text

logger = logging.getLogger(__name__)

DOWN = "Failed to connect to docker daemon"

KILL_PATIENCE_S = 30.0
"""How long a container that was killed may take to end before the driver gives up on the engine."""


class DockerDriver:
    """`settings`: the `config` of the agent's `plugin "docker"` block; raises ConfigurationError that names a key.

    A task's `labels` are facts that the setting `extra_labels` may ask for by name (`node_name`, `node_id`).
    """

    name = "docker"
    capabilities = Capabilities(send_signals=True, exec=True, isolation="image")

    def __init__(self, settings: Mapping[str, Any], state_dir: Path) -> None:
        self._settings = parse_settings(settings)
        self._state_dir = state_dir
        self._engine = Engine(self._settings)
        self._images = Images(self._engine, self._settings)
        self._containers = Containers(self._engine, state_dir, collects=not self._settings.disable_log_collection)
        self._was_detected = False
        self._cgroup_version = 0

    def validate(self, config: Mapping[str, Any]) -> list[str]:
        return config_problems(config)

    async def fingerprint(self) -> Fingerprint:
        try:
            version = await self._engine.call(lambda client: client.version(), PROBE_TIMEOUT_S)
            info = await self._engine.call(lambda client: client.info(), PROBE_TIMEOUT_S)
        except (EngineDown, EngineError):
            return Fingerprint(detected=self._was_detected, healthy=False, description=DOWN)
        self._was_detected = True
        self._cgroup_version = _cgroup_version(info)
        attributes = {
            "driver.docker": "true",
            "driver.docker.version": str(version.get("Version", "")),
            "driver.docker.os_type": str(info.get("OSType", "linux")),
            "driver.docker.runtimes": ",".join(sorted(info.get("Runtimes") or {})),
        }
        if gateway := await self._bridge_gateway():
            attributes["driver.docker.bridge_ip"] = gateway
        if self._settings.volumes_enabled:
            attributes["driver.docker.volumes"] = attributes["driver.docker.volumes.enabled"] = "true"
        if self._settings.allow_privileged:
            attributes["driver.docker.privileged.enabled"] = "true"
        if self._settings.pids_limit:
            attributes["driver.docker.pids.limit"] = str(self._settings.pids_limit)
        return Fingerprint(detected=True, healthy=True, description="Healthy", attributes=attributes)

    # Starting

    async def start(self, task: Task) -> TaskHandle:
        try:
            image_id = await self._images.ensure(task)
            if not self._cgroup_version:
                self._cgroup_version = _cgroup_version(await self._engine.call(lambda client: client.info()))
            container_id = await self._create(task, self._body(task, image_id))
        except EngineDown as error:
            raise DriverError(f"{DOWN}: {error}", recoverable=True) from error
        state = {
            "container_id": container_id,
            "tty": flag(task.config, "tty"),
            "log": log_target(task),
        }
        handle = TaskHandle(driver=self.name, task_id=task.id, state=state)
        self._note(handle)
        try:
            await self._engine.call(lambda client: client.start(container_id))
        except (EngineError, EngineDown) as error:
            await self._discard(container_id)
            recoverable = isinstance(error, EngineDown) or error.status >= 500
            raise DriverError(f"Failed to start container {container_id}: {error}", recoverable) from error
        self._containers.follow(handle)
        return handle

    def _body(self, task: Task, image_id: str) -> dict[str, Any]:
        try:
            return container_body(task, self._settings, image_id, self._cgroup_version)
        except DriverError as error:
            image = text(task.config, "image")
            message = f'Failed to create container configuration for image "{image}" ("{image_id}"): {error}'
            raise DriverError(message, error.recoverable) from error

    async def _create(self, task: Task, body: dict[str, Any]) -> str:
        """Create the container. One of its name is an earlier run that nobody remembers, and is removed."""
        name = container_name(task)
        attempts = number(task.config, "container_exists_attempts") or self._settings.container_exists_attempts
        for attempt in range(max(attempts, 1)):
            try:
                created = await self._engine.call(lambda client: client.create_container_from_config(body, name))
                return str(created["Id"])
            except EngineError as error:
                if error.status != 409 or attempt + 1 == attempts:
                    message = f"failed to create container: {error}"
                    raise DriverError(message, recoverable=error.status >= 500) from error
                await self._discard(name)
        raise AssertionError("unreachable")

    async def _discard(self, container: str) -> None:
        try:
            await self._engine.call(lambda client: client.remove_container(container, v=True, force=True))
        except EngineError as error:
            if error.status not in (404, 409):
                raise DriverError(f"Failed to remove container {container}: {error}", recoverable=True) from error
            if error.status == 409:
                # Its removal is in progress already.
                await asyncio.sleep(0.2)
        except EngineDown:
            logger.warning("container %s is left behind: the engine does not answer", container)
        self._forget_note(container)

    # A task's life

    async def recover(self, handle: TaskHandle) -> None:
        container_id = container_id_of(handle)
        try:
            await self._engine.call(lambda client: client.inspect_container(container_id), PROBE_TIMEOUT_S)
        except EngineError as error:
            if error.status == 404:
                raise TaskNotFound(f"container {container_id} is gone") from error
            raise DriverError(f"Failed to inspect container {container_id}: {error}", recoverable=True) from error
        except EngineDown:
            # It may be running nevertheless; its fate shows when the engine is back.
            logger.warning("container %s of task %s can't be looked at yet", container_id, handle.task_id)
        self._containers.follow(handle)

    async def wait(self, handle: TaskHandle) -> ExitResult:
        container = self._containers.find(handle)
        await container.ended.wait()
        if container.forgotten:
            raise TaskNotFound(f"container {container.id} was removed")
        return container.result

    async def stop(self, handle: TaskHandle, signal: str, timeout_s: float) -> None:
        container = self._containers.find(handle)
        if signal:
            signals.parse(signal)
        try:
            name = signal or await self._stop_signal(container)
            await self._kill(container, name)
            if not await self._containers.ends_within(container, timeout_s):
                await self._kill(container, "SIGKILL")
                if not await self._containers.ends_within(container, KILL_PATIENCE_S):
                    raise DriverError(f"container {container.id} does not end, although it was killed", True)
        except EngineDown as error:
            raise DriverError(f"Failed to stop container {container.id}: {error}", recoverable=True) from error

    async def signal(self, handle: TaskHandle, signal: str) -> None:
        container = self._containers.find(handle)
        signals.parse(signal)
        if container.ended.is_set():
            raise DriverError("the task has ended, and takes no signals")
        try:
            await self._engine.call(lambda client: client.kill(container.id, signal))
        except (EngineError, EngineDown) as error:
            raise DriverError(f"Failed to signal container {container.id}: {error}") from error

    async def exec(self, handle: TaskHandle, command: Sequence[str], streams: Streams) -> int:
        container = self._containers.find(handle)
        if container.ended.is_set():
            raise DriverError("the task has ended, and runs no commands")
        try:
            return await execution.execute(self._engine, container.id, command, streams)
        except EngineError as error:
            raise DriverError(f"failed to run the command: {error}") from error
        except EngineDown as error:
            raise DriverError(f"{DOWN}: {error}") from error

    async def destroy(self, handle: TaskHandle) -> None:
        container_id = handle.state.get("container_id")
        if not isinstance(container_id, str):
            return
        try:
            await self._engine.call(lambda client: client.remove_container(container_id, v=True, force=True))
        except EngineError as error:
            if error.status not in (404, 409):
                raise DriverError(f"Failed to remove container {container_id}: {error}", recoverable=True) from error
        except EngineDown as error:
            raise DriverError(f"Failed to remove container {container_id}: {error}", recoverable=True) from error
        await self._containers.forget(container_id)
        self._forget_note(container_id)

    async def destroy_others(self, task_ids: Collection[str]) -> list[str]:
        """Remove the containers of this driver that the client does not know."""
        ended = []
        for path in sorted(self._state_dir.glob("*.json")):
            handle = TaskHandle(**json.loads(path.read_text()))
            if handle.task_id in task_ids:
                continue
            try:
                await self.destroy(handle)
            except DriverError as error:
                # Its note stays, for the next agent.
                logger.warning("a container that nobody knows is left behind: %s", error)
            else:
                ended.append(handle.task_id)
        return ended

    async def pids(self, handle: TaskHandle) -> list[int]:
        """The living processes of the task, as this machine numbers them."""
        container = self._containers.find(handle)
        try:
            top = await self._engine.call(lambda client: client.top(container.id, "-eo pid"))
        except (EngineError, EngineDown):
            return []
        return [int(row[0]) for row in top.get("Processes") or []]

    async def close(self) -> None:
        await self._containers.close()
        self._engine.close()

    async def _stop_signal(self, container: Container) -> str:
        """The image's STOPSIGNAL, as the engine itself would send it."""
        try:
            found = await self._engine.call(lambda client: client.inspect_container(container.id))
        except EngineError:
            return "SIGTERM"
        return str(found["Config"].get("StopSignal") or "SIGTERM")

    async def _kill(self, container: Container, name: str) -> None:
        if container.ended.is_set():
            return
        try:
            await self._engine.call(lambda client: client.kill(container.id, name))
        except EngineError as error:
            if error.status not in (404, 409):
                raise DriverError(f"Failed to stop container {container.id}: {error}", recoverable=True) from error

    # What is kept for `destroy_others`

    def _note(self, handle: TaskHandle) -> None:
        self._state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._state_dir / f"{handle.state['container_id']}.json"
        path.write_text(json.dumps({"driver": handle.driver, "task_id": handle.task_id, "state": handle.state}))

    def _forget_note(self, container_id: str) -> None:
        for ending in ("json", "position"):
            (self._state_dir / f"{container_id}.{ending}").unlink(missing_ok=True)

    async def _bridge_gateway(self) -> str:
        try:
            bridge = await self._engine.call(lambda client: client.inspect_network("bridge"), PROBE_TIMEOUT_S)
        except (EngineError, EngineDown):
            return ""
        configs = (bridge.get("IPAM") or {}).get("Config") or [{}]
        return str(configs[0].get("Gateway", ""))


def _cgroup_version(info: Mapping[str, Any]) -> int:
    return 2 if str(info.get("CgroupVersion", "1")) == "2" else 1
