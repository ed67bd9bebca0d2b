"""From a task of a job to the `Task` that a driver is given: nothing left to resolve."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from raftnomad.client.alloc_directory import AllocDirectory
from raftnomad.client.environment import Environment, build, task_resources
from raftnomad.client.interpolation import InterpolationError, fill, fill_config
from raftnomad.client.settings import ClientSettings
from raftnomad.drivers.driver import Driver, Port, Task, Tell
from raftnomad.model import job as model
from raftnomad.model.allocation import Allocation
from raftnomad.model.node import Node

_SERVICE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


class ValidationError(Exception):
    """A task's config is wrong for its driver; the text is the event's."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where a task runs: all that is known before its own description is read."""

    alloc: Allocation
    job: model.Job
    group: model.TaskGroup
    node: Node
    settings: ClientSettings
    directory: AllocDirectory


def task_id(alloc_id: str, task_name: str) -> str:
    return f"{alloc_id}/{task_name}"


def environment(setting: Setting, task: model.Task, driver: Driver) -> Environment:
    """What the task sees and what its config may name."""
    directories = setting.directory.seen_by(task.name, driver.capabilities.isolation)
    return build(setting.alloc, setting.job, setting.group, task, setting.node, directories)


def driver_task(setting: Setting, task: model.Task, driver: Driver, tell: Tell) -> Task:
    """Raises ValidationError when the config names what is not there or the driver refuses it."""
    known = environment(setting, task, driver)
    given = task_resources(setting.alloc, task.name)
    log = task.log_config or model.LogConfig(max_files=10, max_file_size_mb=10)
    networks = setting.group.networks or ()
    return Task(
        id=task_id(setting.alloc.id, task.name),
        alloc_id=setting.alloc.id,
        name=task.name,
        job_id=setting.job.id,
        namespace=setting.alloc.namespace,
        config=_config(task, known, driver),
        env=known.variables,
        user=task.user,
        task_dir=setting.directory.task(task.name),
        alloc_dir=setting.directory.shared,
        log_dir=setting.directory.logs,
        log_files=log.max_files,
        log_file_size_mb=log.max_file_size_mb,
        log_disabled=log.disabled,
        cpu_shares=given.cpu.cpu_shares,
        cores=given.cpu.reserved_cores or (),
        memory_mb=given.memory.memory_mb,
        memory_max_mb=given.memory.memory_max_mb,
        ports=_ports(setting.alloc),
        network_mode=networks[0].mode or "host" if networks else "host",
        labels={"node_id": setting.node.id, "node_name": setting.node.name},
        tell=tell,
    )


def wrong_service_name(setting: Setting, task: model.Task, driver: Driver) -> str:
    """A service name of the task that is no name once it is filled in; "" when all are."""
    values = environment(setting, task, driver).values
    for service in task.services or ():
        name = fill(service.name, values)
        if not _SERVICE_NAME.fullmatch(name):
            return name
    return ""


def _config(task: model.Task, known: Environment, driver: Driver) -> dict[str, Any]:
    try:
        config: dict[str, Any] = fill_config(task.config or {}, known.values)
    except InterpolationError as error:
        raise ValidationError(_parse_errors([str(error)])) from None
    problems = driver.validate(config)
    if problems:
        raise ValidationError(_parse_errors(problems))
    return config


def _parse_errors(problems: list[str]) -> str:
    """The shape in which Nomad lists them; the heading counts as one."""
    lines = "".join(f"\t* {problem}\n" for problem in ["failed to parse config: ", *problems])
    return f"{len(problems) + 1} errors occurred:\n{lines}\n"


def _ports(alloc: Allocation) -> tuple[Port, ...]:
    resources = alloc.allocated_resources
    if resources is None:
        return ()
    return tuple(
        Port(label=port.label, host_ip=port.host_ip, value=port.value, to=port.to if port.to > 0 else port.value)
        for port in resources.shared.ports or ()
    )
