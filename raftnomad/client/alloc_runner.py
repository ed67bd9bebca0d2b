"""The life of one allocation on this node: its directories, its tasks in their order, its health, its end.

Whatever changes passes through `changed`: the life cycle is decided anew, the state is written to disk, and then the
servers are told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from raftnomad.client import alloc_report, not_built, task_events
from raftnomad.client.alloc_changes import is_whole
from raftnomad.client.alloc_directory import AllocDirectory
from raftnomad.client.alloc_reporter import AllocReporter
from raftnomad.client.health_watch import HealthWatch
from raftnomad.client.lifecycle import POSTSTOP, Kill, KillCause, TaskView, decide, is_coming_down
from raftnomad.client.local_state import AllocationRecord, LocalState
from raftnomad.client.settings import ClientSettings
from raftnomad.client.task_request import Setting
from raftnomad.client.task_runner import TaskRunner
from raftnomad.clock import Clock, from_rfc3339
from raftnomad.drivers.driver import Driver
from raftnomad.model.allocation import Allocation, TaskEvent
from raftnomad.model.job import Job, TaskGroup
from raftnomad.model.node import Node
from raftnomad.model.row import ZERO_TIME
from raftnomad.model.status import ClientStatus, DesiredStatus
from raftnomad.sdk.agent_protocol import AllocationReport
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)

SAVE_PAUSE_S = 1.0
"""Between tries when the disk is full."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all allocations of a client share."""

    settings: ClientSettings
    drivers: Mapping[str, Driver]
    node: Callable[[], Node]
    local_state: LocalState
    reporter: AllocReporter
    clock: Clock
    chance: Callable[[], float]


class AllocRunner:
    """`start` once; `ended` when every task is dead; `destroy` when nobody needs its files any more.

    record: what the last agent on this node remembered, or None for an allocation that is new here.
    previous: the allocation on this node that this one replaces; its tasks end before ours begin.
    """

    def __init__(
        self,
        alloc: Allocation,
        around: Surroundings,
        *,
        record: AllocationRecord | None = None,
        previous: AllocRunner | None = None,
    ) -> None:
        assert alloc.job is not None, "the servers send allocations with their jobs"
        self.alloc = alloc
        self.clock = around.clock
        self.directory = AllocDirectory(
            around.settings.alloc_path / alloc.id, mount_secrets=around.settings.mount_secrets
        )
        self.collected = record.collected if record else False
        self.stopping = False
        """It was told to stop, or to go altogether; set once, never cleared."""
        self._around = around
        self._previous = previous
        self._is_new = self._confirmed = record is None
        self._unwanted = asyncio.Event()
        self._dirty = asyncio.Event()
        self._ended = asyncio.Event()
        self._begun = False
        self._forgotten = False
        self._tasks = Tasks(f"allocation {alloc.id}")
        self._lives: dict[str, asyncio.Task[None]] = {}
        known = record.tasks if record else {}
        self.tasks = {
            task.name: TaskRunner(task, self, alloc.id, known.get(task.name)) for task in self.group.tasks or ()
        }
        self._health = HealthWatch(
            self,
            record.deployment_status if record else None,
            record.first_seen_ns if record else self.clock.now_ns(),
        )

    @property
    def job(self) -> Job:
        assert self.alloc.job is not None
        return self.alloc.job

    @property
    def group(self) -> TaskGroup:
        return next(group for group in self.job.task_groups or () if group.name == self.alloc.task_group)

    @property
    def terminal(self) -> bool:
        """Every task is dead, and none will be started again."""
        return all(task.dead for task in self.tasks.values())

    @property
    def finished_ns(self) -> int:
        times = [task.state.finished_at for task in self.tasks.values()]
        return max((from_rfc3339(time) for time in times if time != ZERO_TIME), default=0)

    # Its life

    def start(self) -> None:
        self._tasks.start(self._publish(), "publish")
        self._tasks.start(self._run(), "run")

    async def ended(self) -> None:
        await self._ended.wait()

    def confirm(self) -> None:
        """The servers still list this allocation: what has to be started again may be."""
        if not self._confirmed:
            self._confirmed = True
            self.changed()

    def update(self, alloc: Allocation) -> None:
        """The servers' newest word: perhaps a job that changed in place, perhaps the order to stop."""
        was_unknown = alloc.client_status == ClientStatus.UNKNOWN
        if alloc.deployment_id != self.alloc.deployment_id:
            self._health.begin_anew()
        self.alloc = alloc if is_whole(alloc) else replace(alloc, job=self.alloc.job)
        for task in self.group.tasks or ():
            if task.name in self.tasks:
                self.tasks[task.name].task = task
        self._confirmed = True
        if alloc.desired_status != DesiredStatus.RUN:
            self.stop()
        if was_unknown and not self.terminal:
            for runner in self.tasks.values():
                runner.note(task_events.reconnected(self.clock.now_ns()))
        if was_unknown:
            self._tell(again=True)
        self.changed()

    def stop(self) -> None:
        """Stop all tasks in their order; returns at once."""
        if not self.stopping:
            self.stopping = True
            self._unwanted.set()
            self._tasks.start(self._stop_tasks(), "stop")

    async def leave(self) -> None:
        """Stop looking after the tasks, which run on: the agent is going, and another will find them."""
        await self._tasks.cancel()
        if not self._forgotten:
            await self.save()

    async def kill_for_good(self, timeout_s: float) -> None:
        """End it, with its files, because the agent goes and takes all with it; nothing is remembered or reported."""
        await self._tasks.cancel()
        await asyncio.gather(*(task.stop_now(timeout_s) for task in self.tasks.values()))
        await asyncio.to_thread(self.directory.destroy)

    async def collect(self) -> None:
        """Remove the files of an allocation that has ended; its states can still be asked for."""
        assert self.terminal
        await self._lives_over()
        self.collected = True
        await asyncio.to_thread(self.directory.destroy)
        await self.save()

    async def destroy(self) -> None:
        """Stop it if it runs, and forget it altogether."""
        self.stop()
        await self.ended()
        await self._lives_over()
        await self._tasks.cancel()
        await asyncio.to_thread(self.directory.destroy)
        self._forgotten = True
        self._around.reporter.forget(self.alloc.id)
        await self._around.local_state.forget(self.alloc.id)

    async def _lives_over(self) -> None:
        """A dead task's driver may still be cleaning up."""
        if self._lives:
            await asyncio.wait(self._lives.values())

    async def _run(self) -> None:
        if not self.terminal:
            if self._is_new and self._previous is None:
                self._tell_all(not_built.disk_left_behind(self.alloc, self.group))
            await self.save()
            await self._prepare()
        self._begun = True
        for runner in self.tasks.values():
            self.begin_life(runner)
        self._tasks.start(self._health.run(), "health")
        if self.alloc.desired_status != DesiredStatus.RUN and not self.terminal:
            self.stop()
        self.changed()

    def _tell_all(self, text: str) -> None:
        for runner in self.tasks.values() if text else ():
            runner.note(task_events.hook_message(self.clock.now_ns(), text))

    def begin_life(self, runner: TaskRunner) -> None:
        """Let a task that is not dead run, in its turn."""
        if not runner.dead:
            name = runner.task.name
            self._lives[name] = self._tasks.start(self._life(runner, self._lives.get(name)), name)

    async def _life(self, runner: TaskRunner, before: asyncio.Task[None] | None) -> None:
        """One run of a task runner, after its last one is over; a bug in it ends this task and no other."""
        if before is not None:
            await asyncio.wait({before})
        try:
            await runner.run()
        except Exception as error:
            logger.exception("task %s of allocation %s", runner.task.name, self.alloc.id)
            await runner.stop_now(self._around.settings.max_kill_timeout_s)
            runner.fail(task_events.setup_failure(self.clock.now_ns(), f"internal error of the client: {error!r}"))

    async def _prepare(self) -> None:
        """The files for all tasks; a failure fails them all."""
        if self._previous is not None:
            waits = {
                self._tasks.start(self._previous.ended(), "previous"),
                self._tasks.start(self._unwanted.wait(), "unwanted"),
            }
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        try:
            await asyncio.to_thread(self._build_directory)
        except OSError as error:
            for runner in self.tasks.values():
                if not runner.dead and runner.handle is None:
                    runner.fail(task_events.setup_failure(self.clock.now_ns(), f"allocation directory: {error}"))
        self._previous = None

    def _build_directory(self) -> None:
        self.directory.build()
        disk = self.group.ephemeral_disk
        if self._previous is not None and disk is not None and disk.sticky:
            self.directory.take_over(self._previous.directory, list(self.tasks))

    async def _stop_tasks(self) -> None:
        """The group's delay, then the leader, then the others; poststop tasks follow by their turn."""
        skip = bool(self.alloc.desired_transition.no_shutdown_delay)
        delay_s = (self.group.shutdown_delay_ns or 0) / 1e9
        if delay_s > 0 and not skip and any(task.running for task in self.tasks.values()):
            await self.clock.sleep(delay_s)
        killable = [runner for runner in self.tasks.values() if runner.hook != POSTSTOP]
        for leader in (runner for runner in killable if runner.task.leader):
            leader.kill(skip_delay=skip)
            life = self._lives.get(leader.task.name)
            if life is not None:
                await asyncio.wait({life})
        for runner in killable:
            runner.kill(skip_delay=skip)
        self.changed()

    # Changes

    def changed(self) -> None:
        self._decide()
        self._dirty.set()
        self._health.look()

    def _decide(self) -> None:
        if not self._begun:
            return
        decision = decide(self._views(), stopping=self.stopping)
        for name, runner in self.tasks.items():
            if name in decision.may_start and (self._confirmed or self.stopping):
                runner.permit.set()
            else:
                runner.permit.clear()
        for kill in decision.kill:
            self.tasks[kill.task].kill(self._kill_event(kill))

    def _views(self) -> list[TaskView]:
        return [_view(name, runner) for name, runner in self.tasks.items()]

    def _kill_event(self, kill: Kill) -> TaskEvent:
        now_ns = self.clock.now_ns()
        match kill.cause:
            case KillCause.SIBLING_FAILED:
                return task_events.sibling_failed(now_ns, kill.sibling)
            case KillCause.LEADER_DEAD:
                return task_events.leader_dead(now_ns)
            case KillCause.MAIN_DEAD:
                return task_events.main_dead(now_ns)

    async def _publish(self) -> None:
        """First to the disk, then to the servers: nothing is reported that a crash could take back."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self.save()
            self._tell()
            if self.terminal and not self._ended.is_set():
                self._ended.set()
            elif not self.terminal:
                self._ended.clear()

    def _tell(self, *, again: bool = False) -> None:
        """Not while the tasks of a failed allocation still end: the servers would give their room and ports away."""
        if not is_coming_down(self._views()):
            self._around.reporter.note(self.report(), again=again)

    async def save(self) -> None:
        """Nothing goes on until the disk has taken it: what is not on disk would be forgotten."""
        while True:
            try:
                return await self._around.local_state.save(self.record())
            except OSError as error:
                logger.error("the state of allocation %s can't be saved: %s", self.alloc.id, error)
                await self.clock.sleep(SAVE_PAUSE_S)

    def record(self) -> AllocationRecord:
        return AllocationRecord(
            allocation=self.alloc,
            tasks={name: runner.record for name, runner in self.tasks.items()},
            deployment_status=self._health.status,
            first_seen_ns=self._health.since_ns,
            collected=self.collected,
        )

    def report(self) -> AllocationReport:
        states = {name: runner.state for name, runner in self.tasks.items()}
        return alloc_report.report(self.alloc.id, states, self._health.status)

    # For its task runners

    def setting(self) -> Setting:
        return Setting(
            alloc=self.alloc,
            job=self.job,
            group=self.group,
            node=self._around.node(),
            settings=self._around.settings,
            directory=self.directory,
        )

    def driver(self, name: str) -> Driver | None:
        return self._around.drivers.get(name)

    def chance(self) -> float:
        return self._around.chance()


def _view(name: str, runner: TaskRunner) -> TaskView:
    lifecycle = runner.task.lifecycle
    return TaskView(
        name=name,
        hook=runner.hook,
        sidecar=lifecycle.sidecar if lifecycle is not None else False,
        leader=runner.task.leader,
        status=runner.state.state,
        failed=runner.state.failed,
    )
