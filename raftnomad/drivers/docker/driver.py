"""The Docker driver: starts containers, follows them through the engine's events, and collects their output.

One stream of events tells the end of every container; after each interruption of that stream all containers are
looked at, so that no end is missed. While the engine is away nothing is concluded: a container may well be running.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from raftnomad.drivers import signals
from raftnomad.drivers.docker.config import config_problems, container_body, container_name
from raftnomad.drivers.docker.engine import PROBE_TIMEOUT_S, Engine, EngineDown, EngineError
from raftnomad.drivers.docker.images import Images
from raftnomad.drivers.docker.logs import Collector, log_target
from raftnomad.drivers.docker.settings import parse_settings
from raftnomad.drivers.driver import Capabilities, DriverError, ExitResult, Fingerprint, Task, TaskHandle, TaskNotFound
from raftnomad.drivers.task_config import flag, number, text
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)

DOWN = "Failed to connect to docker daemon"

LOOK_AGAIN_S = 2.0
"""While a container is being stopped, how often it is looked at in case that its event got lost."""

DRAIN_PATIENCE_S = 5.0
"""How long the end of a container waits for the last of its output."""

KILL_PATIENCE_S = 30.0
"""How long a container that was killed may take to end before the driver gives up on the engine."""

RETRY_MIN_S = 0.1
RETRY_MAX_S = 15.0

SILENCE_S = 30.0
"""After so long without output, a stream is opened anew: it may hang, and the container may have ended."""

SILENCE_AT_END_S = 0.5

COLLECT_AGAIN_S = 0.2


class _Container:
    """One container that this process follows."""

    def __init__(self, handle: TaskHandle, collects: bool) -> None:
        self.id = str(handle.state["container_id"])
        self.task_id = handle.task_id
        self.tty = bool(handle.state.get("tty"))
        self.log: dict[str, int | str] | None = handle.state.get("log") if collects else None
        self.ended = asyncio.Event()
        self.result = ExitResult()
        self.forgotten = False
        self.collecting: asyncio.Task[None] | None = None
        self.has_exited = False
        self.silence: asyncio.Timeout | None = None

    def exited(self) -> None:
        """No more output is made: what there is arrives soon or never."""
        self.has_exited = True
        if self.silence is not None:
            self.silence.reschedule(asyncio.get_running_loop().time() + SILENCE_AT_END_S)


class DockerDriver:
    """`settings`: the `config` of the agent's `plugin "docker"` block; raises ConfigurationError that names a key.

    A task's `labels` are facts that the setting `extra_labels` may ask for by name (`node_name`, `node_id`).
    """

    name = "docker"
    capabilities = Capabilities(send_signals=True, exec=False, isolation="image")

    def __init__(self, settings: Mapping[str, Any], state_dir: Path) -> None:
        self._settings = parse_settings(settings)
        self._state_dir = state_dir
        self._engine = Engine(self._settings)
        self._images = Images(self._engine, self._settings)
        self._containers: dict[str, _Container] = {}
        self._tasks = Tasks("docker driver")
        self._following: asyncio.Task[None] | None = None
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
        self._follow(handle)
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
        container_id = _container_id(handle)
        try:
            await self._engine.call(lambda client: client.inspect_container(container_id), PROBE_TIMEOUT_S)
        except EngineError as error:
            if error.status == 404:
                raise TaskNotFound(f"container {container_id} is gone") from error
            raise DriverError(f"Failed to inspect container {container_id}: {error}", recoverable=True) from error
        except EngineDown:
            # It may be running nevertheless; its fate shows when the engine is back.
            logger.warning("container %s of task %s can't be looked at yet", container_id, handle.task_id)
        self._follow(handle)

    async def wait(self, handle: TaskHandle) -> ExitResult:
        container = self._find(handle)
        await container.ended.wait()
        if container.forgotten:
            raise TaskNotFound(f"container {container.id} was removed")
        return container.result

    async def stop(self, handle: TaskHandle, signal: str, timeout_s: float) -> None:
        container = self._find(handle)
        if signal:
            signals.parse(signal)
        try:
            name = signal or await self._stop_signal(container)
            await self._kill(container, name)
            if not await self._ends_within(container, timeout_s):
                await self._kill(container, "SIGKILL")
                if not await self._ends_within(container, KILL_PATIENCE_S):
                    raise DriverError(f"container {container.id} does not end, although it was killed", True)
        except EngineDown as error:
            raise DriverError(f"Failed to stop container {container.id}: {error}", recoverable=True) from error

    async def signal(self, handle: TaskHandle, signal: str) -> None:
        container = self._find(handle)
        signals.parse(signal)
        if container.ended.is_set():
            raise DriverError("the task has ended, and takes no signals")
        try:
            await self._engine.call(lambda client: client.kill(container.id, signal))
        except (EngineError, EngineDown) as error:
            raise DriverError(f"Failed to signal container {container.id}: {error}") from error

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
        container = self._containers.pop(container_id, None)
        if container is not None:
            await self._forget(container)
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
        container = self._find(handle)
        try:
            top = await self._engine.call(lambda client: client.top(container.id, "-eo pid"))
        except (EngineError, EngineDown):
            return []
        return [int(row[0]) for row in top.get("Processes") or []]

    async def close(self) -> None:
        await self._tasks.cancel()
        self._engine.close()

    def _find(self, handle: TaskHandle) -> _Container:
        container = self._containers.get(_container_id(handle))
        if container is None:
            raise TaskNotFound(f"the docker driver does not follow container {handle.state['container_id']}")
        return container

    async def _stop_signal(self, container: _Container) -> str:
        """The image's STOPSIGNAL, as the engine itself would send it."""
        try:
            found = await self._engine.call(lambda client: client.inspect_container(container.id))
        except EngineError:
            return "SIGTERM"
        return str(found["Config"].get("StopSignal") or "SIGTERM")

    async def _kill(self, container: _Container, name: str) -> None:
        if container.ended.is_set():
            return
        try:
            await self._engine.call(lambda client: client.kill(container.id, name))
        except EngineError as error:
            if error.status not in (404, 409):
                raise DriverError(f"Failed to stop container {container.id}: {error}", recoverable=True) from error

    async def _ends_within(self, container: _Container, timeout_s: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not container.ended.is_set():
            left = deadline - loop.time()
            try:
                async with asyncio.timeout(min(max(left, 0), LOOK_AGAIN_S)):
                    await container.ended.wait()
            except TimeoutError:
                await self._look_at(container)
                if left <= LOOK_AGAIN_S:
                    break
        return container.ended.is_set()

    # Following containers

    def _follow(self, handle: TaskHandle) -> None:
        container_id = _container_id(handle)
        if container_id in self._containers:
            return
        container = _Container(handle, not self._settings.disable_log_collection)
        self._containers[container_id] = container
        if container.log is not None:
            container.collecting = self._tasks.start(self._collect(container), f"output of {container.task_id}")
        if self._following is None:
            self._following = self._tasks.start(self._follow_events(), "events")
        # A container may end before its events are listened to.
        self._tasks.start(self._look_at(container), f"look at {container.task_id}")

    async def _follow_events(self) -> None:
        pause_s = RETRY_MIN_S
        while True:
            try:
                filters = {"type": ["container"], "event": ["die", "destroy"]}
                async with self._engine.stream("/events", {"filters": json.dumps(filters)}) as parts:
                    # After the stream has begun: what ended before is seen here, what ends later is told.
                    pause_s = RETRY_MIN_S
                    await self._look_at_all()
                    await self._listen(parts)
            except (EngineDown, EngineError) as error:
                logger.warning("the docker engine's events broke off: %s", error)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_MAX_S)

    async def _listen(self, parts: AsyncIterator[bytes]) -> None:
        buffer = b""
        async for part in parts:
            *lines, buffer = (buffer + part).split(b"\n")
            for line in filter(bytes.strip, lines):
                self._heard(json.loads(line))

    def _heard(self, event: dict[str, Any]) -> None:
        actor = event.get("Actor") or {}
        container = self._containers.get(str(actor.get("ID")))
        if container is not None and not container.ended.is_set():
            self._tasks.start(self._look_at(container), f"look at {container.task_id}")

    async def _look_at_all(self) -> None:
        for container in list(self._containers.values()):
            if not container.ended.is_set():
                await self._look_at(container)

    async def _look_at(self, container: _Container) -> None:
        """Ask the engine how a container stands, and end it here when it has ended there."""
        try:
            found = await self._engine.call(lambda client: client.inspect_container(container.id))
        except EngineError as error:
            if error.status == 404:
                error_text = "the container was removed by someone else, and its exit code is lost"
                await self._end(container, ExitResult(error=error_text))
            return
        except EngineDown:
            return
        if found["State"]["Status"] in ("exited", "dead"):
            await self._end(container, exit_result(found["State"]))

    async def _end(self, container: _Container, result: ExitResult) -> None:
        if container.collecting is not None:
            container.exited()
            await asyncio.wait([container.collecting], timeout=DRAIN_PATIENCE_S)
        if not container.ended.is_set():
            container.result = result
            container.ended.set()

    async def _collect(self, container: _Container) -> None:
        """Copy output until the container has ended and the engine has no more of it."""
        assert container.log is not None
        collector = Collector(container.log, self._state_dir / f"{container.id}.position", container.tty)
        try:
            while await self._collect_once(container, collector, follow=True):  # noqa: ASYNC110
                await asyncio.sleep(COLLECT_AGAIN_S)
            # What an engine's stream left out when its log was rotated meanwhile.
            await self._collect_once(container, collector, follow=False)
        finally:
            collector.close()

    async def _collect_once(self, container: _Container, collector: Collector, follow: bool) -> bool:
        """One stream to its end, or until it stays silent; whether there may be more after it."""
        query = {"stdout": "1", "stderr": "1", "timestamps": "1", "since": collector.since}
        if follow:
            query["follow"] = "1"
        collector.restart()
        try:
            async with (
                self._silence(container) as silence,
                self._engine.stream(f"/containers/{container.id}/logs", query) as parts,
            ):
                async for part in parts:
                    silence.reschedule(self._silence_end(container))
                    await asyncio.to_thread(collector.write, part)
        except (TimeoutError, EngineDown):
            pass
        except EngineError as error:
            # Gone, or a logging driver that cannot be read.
            logger.info("no more output of container %s: %s", container.id, error)
            return False
        return await self._may_print(container)

    @asynccontextmanager
    async def _silence(self, container: _Container) -> AsyncIterator[asyncio.Timeout]:
        """Ends the block when nothing has arrived for too long, which is sooner once the container has ended."""
        async with asyncio.timeout_at(self._silence_end(container)) as container.silence:
            try:
                yield container.silence
            finally:
                container.silence = None

    def _silence_end(self, container: _Container) -> float:
        return asyncio.get_running_loop().time() + (SILENCE_AT_END_S if container.has_exited else SILENCE_S)

    async def _may_print(self, container: _Container) -> bool:
        """Whether a container runs; the engine's stream may hang or end at a rotation of its log."""
        if container.has_exited:
            return False
        try:
            found = await self._engine.call(lambda client: client.inspect_container(container.id))
        except EngineDown:
            return True
        except EngineError:
            return False
        return found["State"]["Status"] in ("created", "running", "paused", "restarting")

    async def _forget(self, container: _Container) -> None:
        if container.collecting is not None:
            container.collecting.cancel()
            await asyncio.gather(container.collecting, return_exceptions=True)
        container.forgotten = not container.ended.is_set()
        container.ended.set()

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


def exit_result(state: Mapping[str, Any]) -> ExitResult:
    """How a container ended, from the engine's State. Nomad reports no signal for containers."""
    code = int(state.get("ExitCode") or 0)
    oom_killed = bool(state.get("OOMKilled")) and code != 0
    if oom_killed:
        error = "OOM Killed"
    elif state.get("Error") and code == 128:
        error = str(state["Error"])
    elif code != 0:
        error = f"Docker container exited with non-zero exit code: {code}"
    else:
        error = ""
    return ExitResult(exit_code=code, oom_killed=oom_killed, error=error)


def _cgroup_version(info: Mapping[str, Any]) -> int:
    return 2 if str(info.get("CgroupVersion", "1")) == "2" else 1


def _container_id(handle: TaskHandle) -> str:
    container_id = handle.state.get("container_id")
    if handle.version != 1 or not isinstance(container_id, str):
        raise TaskNotFound(f"the handle of task {handle.task_id} is not one that this raftnomad can read")
    return container_id


__all__ = ["DockerDriver", "exit_result"]
