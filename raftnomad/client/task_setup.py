"""What happens before a task's driver is asked: is there anything in the way, and where do its files lie?"""

from __future__ import annotations

from raftnomad.client import not_built, task_events
from raftnomad.client.environment import task_resources
from raftnomad.client.task_request import Setting, wrong_service_name
from raftnomad.drivers.driver import Driver
from raftnomad.model.allocation import TaskEvent
from raftnomad.model.job import Task


def obstacle(setting: Setting, task: Task, driver: Driver | None, now_ns: int) -> TaskEvent | None:
    """Why no attempt to start this task can succeed, as the event that tells it."""
    if driver is None:
        return task_events.setup_failure(now_ns, f'driver "{task.driver}" is not on this node')
    missing = not_built.reasons(setting.group, task, task_resources(setting.alloc, task.name))
    if missing:
        return task_events.setup_failure(now_ns, "; ".join(missing))
    wrong = wrong_service_name(setting, task, driver)
    if wrong:
        return task_events.hook_failed(
            now_ns,
            f"validate: service ({wrong}) failed validation: Service name must be valid per RFC 1123 and can "
            "contain only alphanumeric characters or dashes and must be no longer than 63 characters",
        )
    return None


def lay_out(setting: Setting, task: Task) -> None:
    """The task's directories, as often as it starts: a reboot takes those in memory away. Raises OSError."""
    setting.directory.build_task(task.name)


def furnish(setting: Setting, task: Task) -> list[str]:
    """What is put into its directories once, before the first start; tells what the task runs without.

    Raises OSError and DirectoryError.
    """
    payload = task.dispatch_payload
    if payload is not None and payload.file and setting.job.payload:
        setting.directory.write_payload(task.name, payload.file, setting.job.payload)
    return not_built.notices(setting.group, task)
