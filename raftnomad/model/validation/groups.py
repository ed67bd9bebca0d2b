"""A task group: its policies, disk, ports, volumes, services and tasks."""

from __future__ import annotations

import re

from raftnomad.model.job import Job, TaskGroup, VolumeRequest
from raftnomad.model.resources import Port
from raftnomad.model.status import JobType
from raftnomad.model.validation import policies
from raftnomad.model.validation.placement import affinity_errors, constraint_errors, spread_errors
from raftnomad.model.validation.services import group_check_errors, group_service_errors
from raftnomad.model.validation.tasks import task_errors
from raftnomad.model.validation.texts import wrapped

PORT_MAX = 65535
DISK_MB_MIN = 10
_MODES = re.compile(r"|host|bridge|none|cni/.+")


def group_errors(group: TaskGroup, job: Job) -> list[str]:
    return [*_basics(group, job), *_policies(group, job), *_tasks_together(group), *_parts(group, job)]


def _basics(group: TaskGroup, job: Job) -> list[str]:
    errors: list[str] = []
    if not group.name:
        errors.append("Missing task group name")
    elif "\0" in group.name:
        errors.append("Task group name contains null character")
    if group.count < 0:
        errors.append("Task group count can't be negative")
    if not group.tasks:
        errors.append("Missing tasks for task group")
    if group.max_run_duration_ns is not None:
        if job.type not in (JobType.BATCH, JobType.SYSBATCH):
            errors.append(f'Job type "{job.type}" does not allow max_run_duration')
        elif group.max_run_duration_ns < 0:
            errors.append("max_run_duration must be a positive value")
    if group.max_client_disconnect_ns is not None and group.stop_after_client_disconnect_ns is not None:
        errors.append(
            "Task group cannot be configured with both max_client_disconnect and stop_after_client_disconnect"
        )
    if group.max_client_disconnect_ns is not None and group.max_client_disconnect_ns < 0:
        errors.append("max_client_disconnect cannot be negative")
    if group.stop_after_client_disconnect_ns is not None and job.type not in (JobType.SERVICE, JobType.BATCH):
        errors.append("stop_after_client_disconnect can only be set in batch and service jobs")
    if group.disconnect is not None:
        errors += policies.disconnect_errors(group.disconnect, job.type)
    for number, constraint in enumerate(group.constraints or (), 1):
        errors += wrapped(f"Constraint {number} validation failed", constraint_errors(constraint))
    if job.type == JobType.SYSTEM:
        if group.affinities:
            errors.append("System jobs may not have an affinity block")
    else:
        for number, affinity in enumerate(group.affinities or (), 1):
            errors += wrapped(f"Affinity {number} validation failed", affinity_errors(affinity))
    return errors


def _policies(group: TaskGroup, job: Job) -> list[str]:
    errors: list[str] = []
    if group.restart_policy is None:
        errors.append(f"Task Group {group.name} should have a restart policy")
    else:
        errors += policies.restart_errors(group.restart_policy, group.name)
    if job.type == JobType.SYSTEM:
        if group.spreads:
            errors.append("System jobs may not have a spread block")
    else:
        for number, spread in enumerate(group.spreads or (), 1):
            errors += wrapped(f"Spread {number} validation failed", spread_errors(spread))
    if job.type in (JobType.SYSTEM, JobType.SYSBATCH):
        if group.reschedule_policy is not None:
            errors.append("System or sysbatch jobs should not have a reschedule policy")
    elif group.reschedule_policy is None:
        errors.append(f"Task Group {group.name} should have a reschedule policy")
    else:
        errors += policies.reschedule_errors(group.reschedule_policy)
    if group.ephemeral_disk is None:
        errors.append(f"Task Group {group.name} should have an ephemeral disk object")
    elif group.ephemeral_disk.size_mb < DISK_MB_MIN:
        errors.append(f"minimum DiskMB value is {DISK_MB_MIN}; got {group.ephemeral_disk.size_mb}")
    if group.update is not None:
        if job.type not in (JobType.SERVICE, JobType.SYSTEM):
            errors.append(f'Job type "{job.type}" does not allow update block')
        else:
            errors += policies.update_errors(group.update)
    if group.migrate is not None:
        if job.type == JobType.SERVICE:
            errors += policies.migrate_errors(group.migrate)
        else:
            errors.append(f'Job type "{job.type}" does not allow migrate block')
    return errors


def _tasks_together(group: TaskGroup) -> list[str]:
    errors: list[str] = []
    tasks = group.tasks or ()
    seen: dict[str, int] = {}
    for number, task in enumerate(tasks, 1):
        if not task.name:
            errors.append(f"Task {number} missing name")
        elif task.name in seen:
            errors.append(f"Task {number} redefines '{task.name}' from task {seen[task.name]}")
        seen.setdefault(task.name, number)
    if sum(task.leader for task in tasks) > 1:
        errors.append("Only one task may be marked as leader")
    if tasks and all(task.lifecycle is not None and task.lifecycle.hook for task in tasks):
        errors.append(f"Task group {group.name} must have at least one main task")
    return errors


def _parts(group: TaskGroup, job: Job) -> list[str]:
    errors = wrapped("Task group network validation failed", network_errors(group))
    for volume in (group.volumes or {}).values():
        errors += wrapped(f"Task group volume validation for {volume.name} failed", volume_errors(volume, group, job))
    errors += wrapped("Task group service validation failed", group_service_errors(group))
    errors += wrapped("Task group service check validation failed", group_check_errors(group))
    errors += wrapped("Task group scaling policy validation failed", policies.scaling_errors(group))
    for task in group.tasks or ():
        errors += wrapped(f"Task {task.name} validation failed", task_errors(task, group, job))
    return errors


def network_errors(group: TaskGroup) -> list[str]:
    errors: list[str] = []
    labels: dict[str, str] = {}
    static: dict[tuple[str, int], str] = {}
    for network in group.networks or ():
        if not _MODES.fullmatch(network.mode):
            errors.append(f'Invalid network mode "{network.mode}"; must be host, bridge, none or cni/<name>')
        for port in (*(network.reserved_ports or ()), *(network.dynamic_ports or ())):
            if port.label in labels:
                errors.append(f"Port label {port.label} already in use by {labels[port.label]}")
            labels[port.label] = "taskgroup network"
            if port.value != 0:
                errors += _static_port(port, static)
            errors += _target(port)
    return errors


def _static_port(port: Port, static: dict[tuple[str, int], str]) -> list[str]:
    if port.value > PORT_MAX:
        return [f"Port {port.label} ({port.value}) cannot be greater than {PORT_MAX}"]
    if port.value < 0:
        return [f"Port {port.label} ({port.value}) cannot be negative"]
    key = (port.host_network, port.value)
    if key in static and not port.ignore_collision:
        return [f"Static port {port.value} already reserved by taskgroup network:{static[key]}"]
    static.setdefault(key, port.label)
    return []


def _target(port: Port) -> list[str]:
    if port.to < -1:
        return [f'Port "{port.label}" cannot be mapped to negative value {port.to}']
    if port.to > PORT_MAX:
        return [f'Port "{port.label}" cannot be mapped to a port ({port.to}) greater than {PORT_MAX}']
    return []


def volume_errors(volume: VolumeRequest, group: TaskGroup, job: Job) -> list[str]:
    errors: list[str] = []
    if volume.type not in ("host", "csi"):
        return []
    if not volume.source:
        errors.append("volume has an empty source")
    if volume.per_alloc:
        if job.type in (JobType.SYSTEM, JobType.SYSBATCH):
            errors.append("volume cannot be per_alloc for system or sysbatch jobs")
        if group.update is not None and group.update.canary > 0:
            errors.append("volume cannot be per_alloc when canaries are in use")
        if volume.sticky:
            errors.append("volume cannot be per_alloc and sticky at the same time")
    if volume.type == "host":
        if volume.mount_options is not None:
            errors.append("host volumes cannot have mount options")
    else:
        if not volume.attachment_mode:
            errors.append("CSI volumes must have an attachment mode")
        if not volume.access_mode:
            errors.append("CSI volumes must have an access mode")
    return errors
