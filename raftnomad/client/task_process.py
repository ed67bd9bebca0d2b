"""What runs of a task, as its driver knows it: started, found again, waited for, stopped and forgotten.

The order of writes is what makes a crash harmless. `starting` is on disk before a driver is asked to start; the handle
is on disk before anyone hears that the task runs; how an attempt ended is on disk before its driver forgets it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Protocol

from raftnomad.client import task_stop
from raftnomad.client.interruption import Interruption
from raftnomad.clock import Clock
from raftnomad.drivers.driver import Driver, DriverError, ExitResult, Task, TaskHandle, TaskNotFound
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)

LOST = "the task's end was not seen, so its exit code is not known"


class Surroundings(Protocol):
    clock: Clock

    def driver(self, name: str) -> Driver | None: ...

    async def save(self) -> None:
        """Returns when the present state of the task, this part of it included, is on disk."""


class TaskProcess:
    """id: the task's, as drivers know it. `handle` is there while an attempt to run the task lasts."""

    def __init__(
        self,
        id: str,
        driver_name: str,
        around: Surroundings,
        tasks: Tasks,
        interruption: Interruption,
        *,
        handle: TaskHandle | None,
        starting: bool,
        discarded: TaskHandle | None,
    ) -> None:
        self.handle = handle
        self.starting = starting
        self.discarded = discarded
        self._id = id
        self._driver_name = driver_name
        self._around = around
        self._tasks = tasks
        self._interruption = interruption

    async def start(self, driver: Driver, request: Task, kill_timeout_s: float) -> bool:
        """False when the task was killed before it ran. Raises DriverError."""
        self.starting = True
        await self._around.save()
        try:
            handle = await self._unless_killed(driver.start(request), kill_timeout_s)
        except DriverError:
            self.starting = False
            raise
        if handle is None:
            await self._give_back(driver)
            return False
        self.handle, self.starting = handle, False
        await self._around.save()
        return True

    async def find_again(self) -> None:
        """After the agent was away. Raises DriverError when what ran is gone."""
        driver = self._around.driver(self._driver_name)
        if self.handle is None:
            if self.starting and driver is not None:
                # The agent died during a start. The client has ended what it left, so that nothing runs twice.
                await self._give_back(driver)
            self.starting = False
            return
        if driver is None:
            raise TaskNotFound(f'driver "{self._driver_name}" is not on this node any more')
        await driver.recover(self.handle)

    async def exit(self) -> ExitResult:
        """How the running attempt ends; may be awaited by several and cancelled."""
        assert self.handle is not None
        try:
            return await self._driver().wait(self.handle)
        except DriverError as error:
            return ExitResult(error=str(error) or LOST)

    async def exit_or_interruption(self) -> ExitResult | None:
        """How it ended by itself; None when a kill or restart was asked for first."""
        ended = self._tasks.start(self.exit(), "wait")
        await self._interruption.or_else(asyncio.wait({ended}))
        if ended.done():
            result: ExitResult = ended.result()
            return result
        ended.cancel()
        return None

    async def stop(self, signal: str, timeout_s: float) -> tuple[ExitResult, str]:
        """Its end, and why it could not be killed if so."""
        assert self.handle is not None
        error = await task_stop.stop(self._driver(), self.handle, signal, timeout_s, self._around.clock)
        return (ExitResult(error=LOST) if error else await self.exit()), error

    async def stop_now(self, signal: str, timeout_s: float) -> None:
        """Kill it and nothing else: for an agent that takes its tasks with it."""
        if self.handle is None:
            return
        try:
            await self._driver().stop(self.handle, signal, timeout_s)
            await self._driver().destroy(self.handle)
        except DriverError as error:
            logger.warning("task %s could not be stopped: %s", self._id, error)

    async def signal(self, signal: str) -> None:
        """Raises DriverError when the driver refuses."""
        assert self.handle is not None
        await self._driver().signal(self.handle, signal)

    def retire(self) -> None:
        """The attempt is over; its driver may forget it once that is on disk."""
        self.discarded, self.handle = self.handle, None

    def abandon(self) -> None:
        """Nothing of it is known to run any more."""
        self.handle, self.starting = None, False

    async def discard(self) -> None:
        """Let the driver forget the attempt that is over, if there is one."""
        if self.discarded is None:
            return
        await self._around.save()
        driver = self._around.driver(self.discarded.driver)
        try:
            if driver is not None:
                await driver.destroy(self.discarded)
        except TaskNotFound:
            pass
        except DriverError as error:
            logger.warning("task %s was not cleaned up: %s", self._id, error)
        self.discarded = None

    async def _unless_killed(self, start: Awaitable[TaskHandle], kill_timeout_s: float) -> TaskHandle | None:
        """The handle; or None when the task was killed and its start still hangs after the kill timeout."""
        starting = self._tasks.start(_tried(start), "start")
        await self._interruption.or_else(asyncio.wait({starting}))
        if not starting.done():
            await asyncio.wait({starting}, timeout=kill_timeout_s)
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            if starting.cancelled():
                return None
        outcome: TaskHandle | DriverError = starting.result()
        if isinstance(outcome, DriverError):
            raise outcome
        return outcome

    async def _give_back(self, driver: Driver) -> None:
        """Whatever a start that was broken off left behind."""
        try:
            await driver.destroy(TaskHandle(driver=self._driver_name, task_id=self._id))
        except DriverError as error:
            logger.info("nothing to clean up of task %s: %s", self._id, error)
        self.starting = False

    def _driver(self) -> Driver:
        driver = self._around.driver(self._driver_name)
        if driver is None:
            raise DriverError(f'driver "{self._driver_name}" is not on this node')
        return driver


async def _tried(start: Awaitable[TaskHandle]) -> TaskHandle | DriverError:
    try:
        return await start
    except DriverError as error:
        return error
