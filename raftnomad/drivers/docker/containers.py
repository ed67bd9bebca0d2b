"""The containers that an agent follows: their ends, from the engine's events, and their output.

One stream of events tells the end of every container; after each interruption of that stream all containers are
looked at, so that no end is missed. While the engine is away nothing is concluded: a container may well be running.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from raftnomad.drivers.docker.engine import Engine, EngineDown, EngineError
from raftnomad.drivers.docker.logs import Collector
from raftnomad.drivers.driver import ExitResult, TaskHandle, TaskNotFound
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 2.0
"""While a container is being stopped, how often it is looked at in case that its event got lost."""

DRAIN_PATIENCE_S = 5.0
"""How long the end of a container waits for the last of its output."""

RETRY_MIN_S = 0.1
RETRY_MAX_S = 15.0

SILENCE_S = 30.0
"""After so long without output, a stream is opened anew: it may hang, and the container may have ended."""

SILENCE_AT_END_S = 0.5

COLLECT_AGAIN_S = 0.2


class Container:
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


class Containers:
    """state_dir: where it is kept how far their output has been read. collects: whether it is read at all."""

    def __init__(self, engine: Engine, state_dir: Path, *, collects: bool) -> None:
        self._engine = engine
        self._state_dir = state_dir
        self._collects = collects
        self._followed: dict[str, Container] = {}
        self._tasks = Tasks("docker containers")
        self._following: asyncio.Task[None] | None = None

    def follow(self, handle: TaskHandle) -> None:
        container_id = container_id_of(handle)
        if container_id in self._followed:
            return
        container = Container(handle, self._collects)
        self._followed[container_id] = container
        if container.log is not None:
            container.collecting = self._tasks.start(self._collect(container), f"output of {container.task_id}")
        if self._following is None:
            self._following = self._tasks.start(self._follow_events(), "events")
        # A container may end before its events are listened to.
        self._tasks.start(self.look_at(container), f"look at {container.task_id}")

    def find(self, handle: TaskHandle) -> Container:
        """Raises TaskNotFound for one that is not followed."""
        container = self._followed.get(container_id_of(handle))
        if container is None:
            raise TaskNotFound(f"the docker driver does not follow container {handle.state['container_id']}")
        return container

    async def forget(self, container_id: str) -> None:
        """The container was removed; who waits for its end is told."""
        container = self._followed.pop(container_id, None)
        if container is not None:
            await self._let_go(container)

    async def close(self) -> None:
        await self._tasks.cancel()

    async def ends_within(self, container: Container, timeout_s: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not container.ended.is_set():
            left = deadline - loop.time()
            try:
                async with asyncio.timeout(min(max(left, 0), LOOK_AGAIN_S)):
                    await container.ended.wait()
            except TimeoutError:
                await self.look_at(container)
                if left <= LOOK_AGAIN_S:
                    break
        return container.ended.is_set()

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
        container = self._followed.get(str(actor.get("ID")))
        if container is not None and not container.ended.is_set():
            self._tasks.start(self.look_at(container), f"look at {container.task_id}")

    async def _look_at_all(self) -> None:
        for container in list(self._followed.values()):
            if not container.ended.is_set():
                await self.look_at(container)

    async def look_at(self, container: Container) -> None:
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

    async def _end(self, container: Container, result: ExitResult) -> None:
        if container.collecting is not None:
            container.exited()
            await asyncio.wait([container.collecting], timeout=DRAIN_PATIENCE_S)
        if not container.ended.is_set():
            container.result = result
            container.ended.set()

    async def _collect(self, container: Container) -> None:
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

    async def _collect_once(self, container: Container, collector: Collector, follow: bool) -> bool:
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
    async def _silence(self, container: Container) -> AsyncIterator[asyncio.Timeout]:
        """Ends the block when nothing has arrived for too long, which is sooner once the container has ended."""
        async with asyncio.timeout_at(self._silence_end(container)) as container.silence:
            try:
                yield container.silence
            finally:
                container.silence = None

    def _silence_end(self, container: Container) -> float:
        return asyncio.get_running_loop().time() + (SILENCE_AT_END_S if container.has_exited else SILENCE_S)

    async def _may_print(self, container: Container) -> bool:
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

    async def _let_go(self, container: Container) -> None:
        if container.collecting is not None:
            container.collecting.cancel()
            await asyncio.gather(container.collecting, return_exceptions=True)
        container.forgotten = not container.ended.is_set()
        container.ended.set()


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


def container_id_of(handle: TaskHandle) -> str:
    container_id = handle.state.get("container_id")
    if handle.version != 1 or not isinstance(container_id, str):
        raise TaskNotFound(f"the handle of task {handle.task_id} is not one that this raftnomad can read")
    return container_id
