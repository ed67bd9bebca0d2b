"""What a job may ask of a client and this one cannot give yet: said plainly, instead of running the task without it."""

from __future__ import annotations

from raftnomad.identifiers import short_id
from raftnomad.model.allocation import Allocation
from raftnomad.model.job import Task, TaskGroup
from raftnomad.model.resources import AllocatedTaskResources


def reasons(group: TaskGroup, task: Task, given: AllocatedTaskResources) -> list[str]:
    """Why this task cannot be started here; empty when it can."""
    networks = group.networks or ()
    asked = {
        "templates": bool(task.templates),
        "artifacts": bool(task.artifacts),
        "vault": task.vault is not None,
        "secrets": bool(task.secrets),
        "volume mounts": bool(task.volume_mounts),
        "CSI plugins": task.csi_plugin_config is not None,
        "devices": bool(given.devices),
        "a task schedule": task.schedule is not None,
        "Consul Connect": bool(task.kind)
        or any(s.connect is not None for s in (*(group.services or ()), *(task.services or ()))),
        "workload identities in files or the environment": any(
            identity.env or identity.file
            for identity in (*(task.identities or ()), *((task.identity,) if task.identity else ()))
        ),
        "max_run_duration": bool(group.max_run_duration_ns),
    }
    missing = [f"{name} in a client is not built yet" for name, wanted in asked.items() if wanted]
    missing += [
        f'network mode "{network.mode}" is not built yet'
        for network in networks
        if network.mode not in ("", "host", "none")
    ]
    return missing


def notices(group: TaskGroup, task: Task) -> list[str]:
    """What the task runs without, so that its owner reads it in the task's events."""
    services = [service.name for service in task.services or ()]
    services += [service.name for service in group.services or () if group.tasks and group.tasks[0].name == task.name]
    if not services:
        return []
    return [f"Services are not registered yet by this client: {', '.join(services)}"]


def disk_left_behind(alloc: Allocation, group: TaskGroup) -> str:
    """What the tasks are told when the allocation before this one is not on this node; "" when it left them nothing."""
    disk = group.ephemeral_disk
    if not alloc.previous_allocation or disk is None or not disk.migrate:
        return ""
    return (
        f"The disk of allocation {short_id(alloc.previous_allocation)} stays behind: "
        "moving it from another node is not built yet"
    )
