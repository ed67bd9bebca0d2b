"""Getting a task's image: the one that is there, one from a file of the task, or one from a registry."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from raftnomad.drivers.docker.engine import Engine, EngineDown, EngineError
from raftnomad.drivers.docker.image import Image, parse_image
from raftnomad.drivers.docker.mounts import is_inside
from raftnomad.drivers.docker.settings import Settings
from raftnomad.drivers.driver import DriverError, Task
from raftnomad.drivers.task_config import blocks, flag, text
from raftnomad.durations import parse_duration


class Images:
    """Tasks that start at once with the same image wait for one pull."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._pulls: dict[str, asyncio.Future[None]] = {}

    async def ensure(self, task: Task) -> str:
        """The image's id, once it is on this machine; raises DriverError."""
        config = task.config
        image = parse_image(text(config, "image"))
        timeout_s = self._pull_timeout_s(task)
        if not flag(config, "force_pull") and not image.is_latest and (found := await self._find(image)):
            return found
        if path := text(config, "load"):
            await self._load(task, path)
        else:
            task.tell("Downloading image", {"image": image.full_name})
            try:
                await self._pull_once(image, task, timeout_s)
            except (EngineError, EngineDown) as error:
                raise DriverError(f"Failed to pull `{image.name}`: {error}", recoverable=True) from error
        found = await self._find(image)
        if found is None:
            raise DriverError(f"Failed to find image {image.name} after it was loaded", recoverable=True)
        return found

    async def _find(self, image: Image) -> str | None:
        try:
            return str((await self._engine.call(lambda client: client.inspect_image(image.full_name)))["Id"])
        except EngineError as error:
            if error.status == 404:
                return None
            raise DriverError(f"Failed to inspect image {image.name}: {error}", recoverable=True) from error

    async def _load(self, task: Task, name: str) -> None:
        path = task.task_dir / "local" / name
        if not is_inside(str(path), task):
            raise DriverError(f'cannot load image from "{name}": it lies outside of the allocation')
        if not path.is_file():
            raise DriverError(f'unable to open image archive "{name}": no such file')
        try:
            await self._engine.call_slowly(lambda client: _load(client, path))
        except EngineError as error:
            raise DriverError(f'Failed to load image from "{name}": {error}') from error

    async def _pull_once(self, image: Image, task: Task, timeout_s: float) -> None:
        pull = self._pulls.get(image.full_name)
        if pull is None:
            auth = _auth(task)
            patience_s = self._settings.pull_activity_timeout_s
            work = self._engine.call_slowly(
                lambda client: _pull(client, image, auth, patience_s), timeout_s + patience_s
            )
            pull = asyncio.ensure_future(work)
            self._pulls[image.full_name] = pull
            pull.add_done_callback(lambda _: self._pulls.pop(image.full_name, None))
        try:
            # Shielded: the others who wait must not lose the pull because one of them is stopped.
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(pull)
        except TimeoutError as error:
            raise EngineDown(f"not finished within {timeout_s:g} s") from error

    def _pull_timeout_s(self, task: Task) -> float:
        value = text(task.config, "image_pull_timeout")
        try:
            return parse_duration(value) / 1e9 if value else self._settings.image_pull_timeout_s
        except ValueError as error:
            raise DriverError(f"Failed to parse image_pull_timeout: {error}") from error


def _pull(client: Any, image: Image, auth: dict[str, str] | None, patience_s: float) -> None:
    """Runs in a thread. The engine tells of an error amid its progress; no progress at all counts as one."""
    last = time.monotonic()
    for message in client.pull(image.repository, image.reference, stream=True, decode=True, auth_config=auth):
        if "error" in message:
            raise EngineError(500, str(message["error"]))
        now = time.monotonic()
        if now - last > patience_s:
            raise EngineError(500, f"no progress for {patience_s:g} s")
        last = now


def _load(client: Any, path: Path) -> None:
    with open(path, "rb") as file:
        for message in client.load_image(file):
            if isinstance(message, dict) and "error" in message:
                raise EngineError(500, str(message["error"]))


def _auth(task: Task) -> dict[str, str] | None:
    for auth in blocks(task.config, "auth"):
        return {
            "username": text(auth, "username"),
            "password": text(auth, "password"),
            "email": text(auth, "email"),
            "serveraddress": text(auth, "server_address"),
        }
    return None
