"""Whether a running allocation of an older version can go on under the new one, or must be replaced."""

from __future__ import annotations

from typing import Any

from raftnomad.model.job import Job, Task, TaskGroup


def must_replace(before: Job, after: Job, group_name: str) -> bool:
    """What a task runs with can't be changed under it; what the servers and the client agent decide with can."""
    old, new = group_of(before, group_name), group_of(after, group_name)
    if old is None or new is None:
        return True
    if _of_group(old) != _of_group(new):
        return True
    tasks = {task.name: task for task in old.tasks or ()}
    if tasks.keys() != {task.name for task in new.tasks or ()}:
        return True
    return any(_of_task(before, old, tasks[task.name]) != _of_task(after, new, task) for task in new.tasks or ())


def group_of(job: Job, name: str) -> TaskGroup | None:
    return next((group for group in job.task_groups or () if group.name == name), None)


def _of_group(group: TaskGroup) -> tuple[Any, ...]:
    return (
        group.ephemeral_disk,
        group.networks or None,
        group.consul,
        group.volumes or None,
        bool(group.restart_policy and group.restart_policy.render_templates),
        tuple(service.connect for service in group.services or () if service.connect),
    )


def _of_task(job: Job, group: TaskGroup, task: Task) -> tuple[Any, ...]:
    resources = task.resources
    return (
        task.driver,
        task.user,
        task.config or None,
        task.env or None,
        task.artifacts or None,
        task.vault,
        task.secrets or None,
        task.consul,
        task.templates or None,
        task.csi_plugin_config,
        task.volume_mounts or None,
        {**(job.meta or {}), **(group.meta or {}), **(task.meta or {})},
        task.identity,
        task.identities or None,
        bool(task.log_config and task.log_config.disabled),
        None
        if resources is None
        else (
            resources.cpu,
            resources.cores,
            resources.memory_mb,
            resources.memory_max_mb,
            resources.secrets_mb,
            resources.devices or None,
            resources.numa,
            resources.networks or None,
        ),
    )
