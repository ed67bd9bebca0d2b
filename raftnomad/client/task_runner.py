"""The life of one task: its turn, its start, its end, its restarts, and how it is killed.

The order of writes is what makes a crash harmless. `starting` is on disk before a driver is asked to start; the handle
is on disk before anyone hears that the task runs; how an attempt ended is on disk before its driver forgets it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Protocol

from raftnomad.client import task_events, task_setup, task_states, task_stop
from raftnomad.client.alloc_directory import DirectoryError
from raftnomad.client.lifecycle import restarts_on_success
from raftnomad.client.local_state import TaskRecord
from raftnomad.client.restart_policy import Done, Ending, GiveUp, History, Restart, decide
from raftnomad.client.task_request import Setting, ValidationError, driver_task, task_id
from raftnomad.clock import Clock
from raftnomad.drivers.driver import Driver, DriverError, ExitResult, TaskHandle, TaskNotFound
from raftnomad.model.allocation import TaskEvent
from raftnomad.model.job import Task
from raftnomad.model.row import ZERO_TIME
from raftnomad.model.status import TaskStatus
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)

KILL_TIMEOUT_DEFAULT_NS = 5_000_000_000
LOST = "the task's end was not seen, so its exit code is not known"


class Surroundings(Protocol):
    """What a task runner asks of its allocation's runner."""

    clock: Clock

    def setting(self) -> Setting: ...

    def driver(self, name: str) -> Driver | None: ...

    def chance(self) -> float: ...

    def changed(self) -> None:
        """A task's state is another one now: think again, remember it, report it."""

    async def save(self) -> None:
        """Returns when the present state of all tasks is on disk."""


class TaskRunner:
    """`run` until the task is dead; cancelling `run` leaves the task alone, for a later agent to find."""

    def __init__(self, task: Task, around: Surroundings, record: TaskRecord | None = None) -> None:
        self.task = task
        self.permit = asyncio.Event()
        """Its turn in the group's life cycle; set and cleared by the allocation's runner."""
        now_ns = around.clock.now_ns()
        if record is None:
            state = task_states.with_event(task_states.NEW, task_events.received(now_ns))
            record = TaskRecord(state=state, history=History(interval_started_ns=now_ns))
        self._around = around
        self._clock = around.clock
        self.state = record.state
        self.handle = record.handle
        self.history = record.history
        self._discarded = record.discarded
        self._starting = record.starting
        self._prepared = record.handle is not None or record.state.started_at != ZERO_TIME
        self._killing = False
        self._skip_delay = False
        self._restart_wanted = False
        self._interrupted = asyncio.Event()
        self._tasks = Tasks(f"task {task.name}")

    @property
    def record(self) -> TaskRecord:
        return TaskRecord(
            state=self.state,
            handle=self.handle,
            starting=self._starting,
            history=self.history,
            discarded=self._discarded,
        )

    @property
    def hook(self) -> str:
        """`prestart`, `poststart`, `poststop`, or "" for a main task."""
        return self.task.lifecycle.hook if self.task.lifecycle is not None else ""

    @property
    def dead(self) -> bool:
        return self.state.state == TaskStatus.DEAD

    @property
    def running(self) -> bool:
        return self.state.state == TaskStatus.RUNNING and self.handle is not None

    def note(self, event: TaskEvent) -> None:
        """Add an event that changes nothing else."""
        self.state = task_states.with_event(self.state, event)
        self._around.changed()

    def kill(self, event: TaskEvent | None = None, *, skip_delay: bool = False) -> None:
        """Ask for its end, for the reason that `event` tells; returns at once."""
        if self._killing or self.dead:
            return
        self._killing, self._skip_delay = True, skip_delay
        self._interrupted.set()
        if event is not None:
            self.note(event)

    def restart(self, event: TaskEvent) -> None:
        """Stop the running task and start it at once, whatever its restart policy says."""
        self.note(event)
        self._restart_wanted = True
        self._interrupted.set()

    def revive(self) -> None:
        """Make a dead task wait for its turn again; its `run` has to be called anew."""
        assert self.dead
        self.state = task_states.restarting(self.state, task_events.restarting(self._now(), 0, ""))
        self._killing = self._restart_wanted = False
        self._interrupted.clear()
        self.permit.clear()

    def fail(self, event: TaskEvent) -> None:
        """Give the task up, with the event that says why."""
        self.handle, self._starting = None, False
        self.state = task_states.with_event(self.state, event)
        self._give_up("Error was unrecoverable")
        self._around.changed()

    async def signal(self, signal: str) -> None:
        """Raises DriverError when the driver refuses."""
        self.note(task_events.signaling(self._now(), signal))
        assert self.handle is not None
        await self._driver().signal(self.handle, signal)

    async def run(self) -> None:
        try:
            await self._discard()
            await self._find_again()
            while not self.dead:
                await self._live_once()
        finally:
            await self._tasks.cancel()

    async def stop_now(self, timeout_s: float) -> None:
        """Kill the process and nothing else: for an agent that takes its tasks with it."""
        if self.handle is None:
            return
        try:
            await self._driver().stop(self.handle, self.task.kill_signal, min(timeout_s, self._kill_timeout_s()))
            await self._driver().destroy(self.handle)
        except DriverError as error:
            logger.warning("task %s could not be stopped: %s", self.handle.task_id, error)

    async def _live_once(self) -> None:
        """One attempt: from its turn to what its end means."""
        if self.handle is None:
            if not await self._turn():
                self._finish_killed()
                return
            ending = await self._start()
            if ending is not None:
                await self._after(ending)
                return
        result = await self._exit_or_interruption()
        if result is None and self._killing:
            await self._kill_running()
        elif result is None or (self._restart_wanted and not self._killing):
            await self._restart_running(result)
        else:
            await self._ended(result)

    # Starting

    async def _turn(self) -> bool:
        """Wait for the delay of a restart and for the group's life cycle; False when the task was killed meanwhile."""
        await self._first(self._clock.sleep(self._remaining_delay_s()))
        if not self._killing:
            await self._first(self.permit.wait())
        return not self._killing

    def _remaining_delay_s(self) -> float:
        last = (self.state.events or ())[-1:]
        if not last or last[0].type != "Restarting":
            return 0.0
        delay_ns = last[0].start_delay_ns
        return min(max(last[0].time_ns + delay_ns - self._now(), 0), delay_ns) / 1e9

    async def _start(self) -> Ending | None:
        """None when the task runs; else how the attempt to start it failed, told in an event already."""
        setting = self._around.setting()
        driver = self._around.driver(self.task.driver)
        problem = task_setup.obstacle(setting, self.task, driver, self._now())
        if problem is not None:
            return self._failed(problem, Ending.UNRECOVERABLE)
        assert driver is not None
        try:
            self._prepare(setting)
            request = driver_task(setting, self.task, driver)
        except ValidationError as error:
            return self._failed(task_events.failed_validation(self._now(), str(error)), Ending.UNRECOVERABLE)
        except (DirectoryError, OSError) as error:
            return self._failed(task_events.setup_failure(self._now(), str(error)), Ending.UNRECOVERABLE)

        self._starting = True
        await self._around.save()
        try:
            handle = await self._unless_killed(driver.start(request))
        except DriverError as error:
            self._starting = False
            ending = Ending.START_FAILED if error.recoverable else Ending.UNRECOVERABLE
            return self._failed(task_events.driver_failure(self._now(), str(error)), ending)
        if handle is None:
            await self._give_back(driver)
            return Ending.UNRECOVERABLE
        self.handle, self._starting = handle, False
        await self._around.save()
        self.state = task_states.running(self.state, task_events.started(self._now()))
        self._around.changed()
        return None

    def _prepare(self, setting: Setting) -> None:
        """Raises OSError and DirectoryError."""
        if self._prepared:
            task_setup.lay_out(setting, self.task)
            return
        self.note(task_events.building_directory(self._now()))
        task_setup.lay_out(setting, self.task)
        for notice in task_setup.furnish(setting, self.task):
            self.note(task_events.hook_message(self._now(), notice))
        self._prepared = True

    def _failed(self, event: TaskEvent, ending: Ending) -> Ending:
        self.note(event)
        return ending

    async def _unless_killed(self, start: Awaitable[TaskHandle]) -> TaskHandle | None:
        """The handle; or None when the task was killed and its start still hangs after the kill timeout."""
        starting = self._tasks.start(_tried(start), "start")
        await self._first(asyncio.wait({starting}))
        if not starting.done():
            await asyncio.wait({starting}, timeout=self._kill_timeout_s())
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
        id = task_id(self._around.setting().alloc.id, self.task.name)
        try:
            await driver.destroy(TaskHandle(driver=self.task.driver, task_id=id))
        except DriverError as error:
            logger.info("nothing to clean up of task %s: %s", self.task.name, error)
        self._starting = False

    # Finding a task again after the agent was away

    async def _find_again(self) -> None:
        driver = self._around.driver(self.task.driver)
        if self.handle is None:
            if self._starting and driver is not None:
                # The agent died during a start. The client has ended what it left, so that nothing runs twice.
                await self._give_back(driver)
            self._starting = False
            return
        try:
            if driver is None:
                raise TaskNotFound(f'driver "{self.task.driver}" is not on this node any more')
            await driver.recover(self.handle)
        except DriverError as error:
            logger.warning("task %s is gone: %s", self.handle.task_id, error)
            self.note(task_events.failed_restoring(self._now(), str(error)))
            await self._ended(ExitResult(error=LOST))
            return
        if self.state.state != TaskStatus.RUNNING:
            # It was started, and the agent died before it could say so.
            self.state = task_states.running(self.state, task_events.started(self._now()))
            self._around.changed()

    # Ending

    async def _exit_or_interruption(self) -> ExitResult | None:
        """How the task ended by itself; None when a kill or restart was asked for first."""
        ended = self._tasks.start(self._exit(), "wait")
        await self._first(asyncio.wait({ended}))
        if ended.done():
            result: ExitResult = ended.result()
            return result
        ended.cancel()
        return None

    async def _exit(self) -> ExitResult:
        assert self.handle is not None
        try:
            return await self._driver().wait(self.handle)
        except DriverError as error:
            return ExitResult(error=str(error) or LOST)

    async def _ended(self, result: ExitResult) -> None:
        self._retire()
        self.state = task_states.with_event(self.state, task_events.terminated(self._now(), result))
        await self._after(Ending.SUCCESS if result.successful else Ending.FAILURE)

    async def _after(self, ending: Ending) -> None:
        """What the end of an attempt means: another one, success or failure."""
        if self._killing:
            self._finish_killed()
        else:
            setting = self._around.setting()
            decision, self.history = decide(
                self.task.restart_policy or setting.group.restart_policy,
                self.history,
                ending,
                restart_on_success=restarts_on_success(self.task, setting.job.type),
                now_ns=self._now(),
                chance=self._around.chance(),
            )
            match decision:
                case Restart(delay_ns=delay_ns, reason=reason):
                    event = task_events.restarting(self._now(), delay_ns, reason)
                    self.state = task_states.restarting(self.state, event)
                case GiveUp(reason=reason):
                    self._give_up(reason)
                case Done():
                    self.state = task_states.dead(self.state, self._now())
        self._around.changed()
        await self._discard()

    def _give_up(self, reason: str) -> None:
        self.state = task_states.with_event(self.state, task_events.not_restarting(self._now(), reason))
        self.state = task_states.dead(self.state, self._now())

    async def _restart_running(self, result: ExitResult | None) -> None:
        """A restart that was asked for: no policy, no delay. result: how the task ended meanwhile, if it did."""
        self._restart_wanted = False
        self._interrupted.clear()
        if result is None:
            result, _ = await self._stop()
        self._retire()
        self.state = task_states.with_event(self.state, task_events.terminated(self._now(), result))
        if self._killing:
            self._finish_killed()
        else:
            self.state = task_states.restarting(self.state, task_events.restarting(self._now(), 0, ""))
        self._around.changed()
        await self._discard()

    async def _kill_running(self) -> None:
        self.note(task_events.killing(self._now(), int(self._kill_timeout_s() * 1e9)))
        await self._shutdown_delay()
        result, error = await self._stop()
        self._retire()
        self.state = task_states.with_event(self.state, task_events.terminated(self._now(), result))
        self.state = task_states.with_event(self.state, task_events.killed(self._now(), error))
        self.state = task_states.dead(self.state, self._now())
        self._around.changed()
        await self._discard()

    async def _shutdown_delay(self) -> None:
        """Time for others to notice that it will be gone; cut short when the task ends by itself."""
        delay_ns = self.task.shutdown_delay_ns
        if delay_ns <= 0:
            return
        if self._skip_delay:
            self.note(task_events.skipping_shutdown_delay(self._now()))
            return
        self.note(task_events.waiting_shutdown_delay(self._now(), delay_ns))
        delay = self._tasks.start(self._clock.sleep(delay_ns / 1e9), "shutdown delay")
        ended = self._tasks.start(self._exit(), "wait")
        await asyncio.wait({delay, ended}, return_when=asyncio.FIRST_COMPLETED)
        delay.cancel()
        ended.cancel()

    async def _stop(self) -> tuple[ExitResult, str]:
        """Stop the running task; its end, and why it could not be killed if so."""
        assert self.handle is not None
        signal, timeout_s = self.task.kill_signal, self._kill_timeout_s()
        error = await task_stop.stop(self._driver(), self.handle, signal, timeout_s, self._clock)
        return (ExitResult(error=LOST) if error else await self._exit()), error

    def _finish_killed(self) -> None:
        """Killed before it ran, or between two attempts."""
        self._starting = False
        self.state = task_states.with_event(
            self.state, task_events.killing(self._now(), int(self._kill_timeout_s() * 1e9))
        )
        self.state = task_states.dead(self.state, self._now())
        self._around.changed()

    def _retire(self) -> None:
        """The attempt is over; its driver may forget it once that is on disk."""
        self._discarded, self.handle = self.handle, None

    async def _discard(self) -> None:
        if self._discarded is None:
            return
        await self._around.save()
        driver = self._around.driver(self._discarded.driver)
        try:
            if driver is not None:
                await driver.destroy(self._discarded)
        except TaskNotFound:
            pass
        except DriverError as error:
            logger.warning("task %s was not cleaned up: %s", self._discarded.task_id, error)
        self._discarded = None

    # Small things

    async def _first(self, event: Awaitable[object]) -> None:
        """Until the event, or until somebody wants this task killed or restarted."""
        waited = self._tasks.start(_awaited(event), "event")
        interrupted = self._tasks.start(self._interrupted.wait(), "interruption")
        try:
            await asyncio.wait({waited, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waited.cancel()
            interrupted.cancel()

    def _driver(self) -> Driver:
        driver = self._around.driver(self.task.driver)
        if driver is None:
            raise DriverError(f'driver "{self.task.driver}" is not on this node')
        return driver

    def _kill_timeout_s(self) -> float:
        wanted_s = (self.task.kill_timeout_ns or KILL_TIMEOUT_DEFAULT_NS) / 1e9
        return min(wanted_s, self._around.setting().settings.max_kill_timeout_s)

    def _now(self) -> int:
        return self._clock.now_ns()


async def _tried(start: Awaitable[TaskHandle]) -> TaskHandle | DriverError:
    try:
        return await start
    except DriverError as error:
        return error


async def _awaited(awaitable: Awaitable[object]) -> object:
    return await awaitable
