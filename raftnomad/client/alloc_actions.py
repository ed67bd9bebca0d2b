"""What users ask of an allocation that runs: restarts and signals, refused in Nomad's words."""

from __future__ import annotations

from raftnomad.client import task_events
from raftnomad.client.alloc_runner import AllocRunner
from raftnomad.client.lifecycle import POSTSTOP
from raftnomad.client.task_runner import TaskRunner
from raftnomad.drivers.driver import DriverError
from raftnomad.errors import RaftnomadError
from raftnomad.model.status import DesiredStatus


def restart(alloc: AllocRunner, task_name: str, *, all_tasks: bool) -> None:
    """One task, the running ones when no name is given, or the group from the beginning. Raises RaftnomadError."""
    if task_name and all_tasks:
        raise RaftnomadError("task name cannot be set when restarting all tasks")
    if alloc.stopping or alloc.terminal or alloc.alloc.desired_status != DesiredStatus.RUN:
        raise RaftnomadError("restart of an alloc that should not run")
    if all_tasks:
        _restart_from_the_beginning(alloc)
    elif task_name:
        _restart_task(alloc, task_name)
    else:
        _restart_running(alloc, "User requested running tasks to restart")


def _restart_task(alloc: AllocRunner, name: str) -> None:
    runner = alloc.tasks.get(name)
    if runner is None:
        raise RaftnomadError(f"Could not find task runner for task: {name}")
    if not runner.running:
        raise RaftnomadError("Task not running")
    runner.restart(task_events.restart_signaled(alloc.clock.now_ns(), "User requested task to restart"))


def _restart_running(alloc: AllocRunner, reason: str) -> None:
    for runner in alloc.tasks.values():
        if runner.running:
            runner.restart(task_events.restart_signaled(alloc.clock.now_ns(), reason))


def _restart_from_the_beginning(alloc: AllocRunner) -> None:
    """What had completed runs again, in the order of the life cycle: first all of it is pending, then it may go."""
    dead = [runner for runner in alloc.tasks.values() if runner.dead and runner.hook != POSTSTOP]
    for runner in dead:
        runner.revive()
    _restart_running(alloc, "User requested all tasks to restart")
    for runner in dead:
        alloc.begin_life(runner)
    alloc.changed()


async def signal(alloc: AllocRunner, task_name: str, signal_name: str) -> None:
    """To one task, or to all when no name is given. Raises RaftnomadError."""
    if task_name:
        if task_name not in alloc.tasks:
            raise RaftnomadError("Task not found")
        await _signal_task(alloc.tasks[task_name], signal_name)
        return
    problems = []
    for name, runner in alloc.tasks.items():
        try:
            await _signal_task(runner, signal_name)
        except RaftnomadError as error:
            problems.append(f"Failed to signal task: {name}, err: {error}")
    if problems:
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        listed = "".join(f"\t* {problem}\n" for problem in problems)
        raise RaftnomadError(f"{count} occurred:\n{listed}\n")


async def _signal_task(runner: TaskRunner, signal_name: str) -> None:
    if not runner.running:
        raise RaftnomadError("Task not running")
    try:
        await runner.signal(signal_name)
    except DriverError as error:
        raise RaftnomadError(str(error)) from error
