"""The life of one task: its turn, its attempts, what each end means, and how it is killed or restarted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

from raftnomad.client import task_events, task_process, task_setup, task_states
from raftnomad.client.alloc_directory import DirectoryError
from raftnomad.client.interruption import Interruption
from raftnomad.client.lifecycle import restarts_on_success
from raftnomad.client.local_state import TaskRecord
from raftnomad.client.restart_policy import Done, Ending, GiveUp, History, Restart, decide
from raftnomad.client.task_process import LOST, TaskProcess
from raftnomad.client.task_request import Setting, ValidationError, driver_task, task_id
from raftnomad.drivers.driver import DriverError, ExitResult, TaskHandle
from raftnomad.model.allocation import TaskEvent
from raftnomad.model.job import Task
from raftnomad.model.row import ZERO_TIME
from raftnomad.model.status import TaskStatus
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)

KILL_TIMEOUT_DEFAULT_NS = 5_000_000_000


class Surroundings(task_process.Surroundings, Protocol):
    """What a task runner asks of its allocation's runner."""

    def setting(self) -> Setting: ...

    def chance(self) -> float: ...

    def changed(self) -> None:
        """A task's state is another one now: think again, remember it, report it."""


class TaskRunner:
    """`run` until the task is dead; cancelling `run` leaves the task alone, for a later agent to find."""

    def __init__(self, task: Task, around: Surroundings, alloc_id: str, record: TaskRecord | None = None) -> None:
        self.task = task
        self.permit = asyncio.Event()
        """Its turn in the group's life cycle; set and cleared by the allocation's runner."""
        now_ns = around.clock.now_ns()
        if record is None:
            state = task_states.with_event(task_states.NEW, task_events.received(now_ns))
            record = TaskRecord(state=state, history=History(interval_started_ns=now_ns))
        self.state = record.state
        self._history = record.history
        self._around = around
        self._clock = around.clock
        self._tasks = Tasks(f"task {task.name}")
        self._interruption = Interruption(self._tasks)
        self.process = TaskProcess(
            task_id(alloc_id, task.name),
            task.driver,
            around,
            self._tasks,
            self._interruption,
            handle=record.handle,
            starting=record.starting,
            discarded=record.discarded,
        )
        self._prepared = record.handle is not None or record.state.started_at != ZERO_TIME
        self._killing = False
        self._skip_delay = False
        self._restart_wanted = False

    @property
    def record(self) -> TaskRecord:
        return TaskRecord(
            state=self.state,
            handle=self.process.handle,
            starting=self.process.starting,
            history=self._history,
            discarded=self.process.discarded,
        )

    @property
    def hook(self) -> str:
        """`prestart`, `poststart`, `poststop`, or "" for a main task."""
        return self.task.lifecycle.hook if self.task.lifecycle is not None else ""

    @property
    def handle(self) -> TaskHandle | None:
        return self.process.handle

    @property
    def dead(self) -> bool:
        return self.state.state == TaskStatus.DEAD

    @property
    def running(self) -> bool:
        return self.state.state == TaskStatus.RUNNING and self.handle is not None

    # What others ask of it

    def note(self, event: TaskEvent) -> None:
        """Add an event that changes nothing else."""
        self.state = task_states.with_event(self.state, event)
        self._around.changed()

    def kill(self, event: TaskEvent | None = None, *, skip_delay: bool = False) -> None:
        """Ask for its end, for the reason that `event` tells; returns at once."""
        if self._killing or self.dead:
            return
        self._killing, self._skip_delay = True, skip_delay
        self._interruption.happen()
        if event is not None:
            self.note(event)

    def restart(self, event: TaskEvent) -> None:
        """Stop the running task and start it at once, whatever its restart policy says."""
        self.note(event)
        self._restart_wanted = True
        self._interruption.happen()

    def revive(self) -> None:
        """Make a dead task wait for its turn again; its `run` has to be called anew."""
        assert self.dead
        self.state = task_states.restarting(self.state, task_events.restarting(self._now(), 0, ""))
        self._killing = self._restart_wanted = False
        self._interruption.clear()
        self.permit.clear()

    def fail(self, event: TaskEvent) -> None:
        """Give the task up, with the event that says why."""
        self.process.abandon()
        self.state = task_states.with_event(self.state, event)
        self._give_up("Error was unrecoverable")
        self._around.changed()

    async def signal(self, signal: str) -> None:
        """Raises DriverError when the driver refuses."""
        self.note(task_events.signaling(self._now(), signal))
        await self.process.signal(signal)

    async def stop_now(self, timeout_s: float) -> None:
        """Kill the process and nothing else: for an agent that takes its tasks with it."""
        await self.process.stop_now(self.task.kill_signal, min(timeout_s, self._kill_timeout_s()))

    # Its life

    async def run(self) -> None:
        try:
            await self.process.discard()
            await self._find_again()
            while not self.dead:
                await self._live_once()
        finally:
            await self._tasks.cancel()

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
        result = await self.process.exit_or_interruption()
        if result is None and self._killing:
            await self._kill_running()
        elif result is None or (self._restart_wanted and not self._killing):
            await self._restart_running(result)
        else:
            await self._ended(result)

    async def _find_again(self) -> None:
        """After the agent was away."""
        try:
            await self.process.find_again()
        except DriverError as error:
            logger.warning("task %s is gone: %s", self.task.name, error)
            self.note(task_events.failed_restoring(self._now(), str(error)))
            await self._ended(ExitResult(error=LOST))
            return
        if self.handle is not None and self.state.state != TaskStatus.RUNNING:
            # It was started, and the agent died before it could say so.
            self._running()

    # Starting

    async def _turn(self) -> bool:
        """Wait for the delay of a restart and for the group's life cycle; False when the task was killed meanwhile."""
        await self._interruption.or_else(self._clock.sleep(self._remaining_delay_s()))
        if not self._killing:
            await self._interruption.or_else(self.permit.wait())
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
            request = driver_task(setting, self.task, driver, self._told_by_driver)
        except ValidationError as error:
            return self._failed(task_events.failed_validation(self._now(), str(error)), Ending.UNRECOVERABLE)
        except (DirectoryError, OSError) as error:
            return self._failed(task_events.setup_failure(self._now(), str(error)), Ending.UNRECOVERABLE)
        try:
            if not await self.process.start(driver, request, self._kill_timeout_s()):
                return Ending.UNRECOVERABLE
        except DriverError as error:
            ending = Ending.START_FAILED if error.recoverable else Ending.UNRECOVERABLE
            return self._failed(task_events.driver_failure(self._now(), str(error)), ending)
        self._running()
        return None

    def _told_by_driver(self, message: str, details: Mapping[str, str]) -> None:
        self.note(task_events.driver_message(self._now(), message, details))

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

    def _running(self) -> None:
        self.state = task_states.running(self.state, task_events.started(self._now()))
        self._around.changed()

    # Ending

    async def _ended(self, result: ExitResult) -> None:
        self._terminated(result)
        await self._after(Ending.SUCCESS if result.successful else Ending.FAILURE)

    async def _after(self, ending: Ending) -> None:
        """What the end of an attempt means: another one, success or failure."""
        if self._killing:
            self._finish_killed()
        else:
            self._decide(ending)
        self._around.changed()
        await self.process.discard()

    def _decide(self, ending: Ending) -> None:
        setting = self._around.setting()
        decision, self._history = decide(
            self.task.restart_policy or setting.group.restart_policy,
            self._history,
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

    def _give_up(self, reason: str) -> None:
        self.state = task_states.with_event(self.state, task_events.not_restarting(self._now(), reason))
        self.state = task_states.dead(self.state, self._now())

    async def _restart_running(self, result: ExitResult | None) -> None:
        """A restart that was asked for: no policy, no delay. result: how the task ended meanwhile, if it did."""
        self._restart_wanted = False
        self._interruption.clear()
        if result is None:
            result, _ = await self._stop()
        self._terminated(result)
        if self._killing:
            self._finish_killed()
        else:
            self.state = task_states.restarting(self.state, task_events.restarting(self._now(), 0, ""))
        self._around.changed()
        await self.process.discard()

    async def _kill_running(self) -> None:
        self.note(task_events.killing(self._now(), int(self._kill_timeout_s() * 1e9)))
        await self._shutdown_delay()
        result, error = await self._stop()
        self._terminated(result)
        self.state = task_states.with_event(self.state, task_events.killed(self._now(), error))
        self.state = task_states.dead(self.state, self._now())
        self._around.changed()
        await self.process.discard()

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
        ended = self._tasks.start(self.process.exit(), "wait")
        await asyncio.wait({delay, ended}, return_when=asyncio.FIRST_COMPLETED)
        delay.cancel()
        ended.cancel()

    async def _stop(self) -> tuple[ExitResult, str]:
        return await self.process.stop(self.task.kill_signal, self._kill_timeout_s())

    def _finish_killed(self) -> None:
        """Killed before it ran, or between two attempts."""
        event = task_events.killing(self._now(), int(self._kill_timeout_s() * 1e9))
        self.process.starting = False
        self.state = task_states.dead(task_states.with_event(self.state, event), self._now())
        self._around.changed()

    def _terminated(self, result: ExitResult) -> None:
        self.process.retire()
        self.state = task_states.with_event(self.state, task_events.terminated(self._now(), result))

    def _kill_timeout_s(self) -> float:
        wanted_s = (self.task.kill_timeout_ns or KILL_TIMEOUT_DEFAULT_NS) / 1e9
        return min(wanted_s, self._around.setting().settings.max_kill_timeout_s)

    def _now(self) -> int:
        return self._clock.now_ns()
