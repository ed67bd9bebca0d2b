"""What is odd about a job that is not refused for it."""

from __future__ import annotations

from raftnomad.model.job import Job, TaskGroup
from raftnomad.model.service import WorkloadIdentity
from raftnomad.model.status import JobType
from raftnomad.model.validation.texts import multierror


def warnings(job: Job, memory_oversubscription: bool = False) -> list[str]:
    """Each as Nomad prints it; whether tasks may get more memory than they asked for is the cluster's setting."""
    found: list[str] = []
    for group in job.task_groups or ():
        of_group = _group(group, job)
        if of_group:
            found.append(f'Group "{group.name}" has warnings: {multierror(of_group)}'.strip())
    if job.periodic is not None and job.periodic.spec:
        found.append("cron is deprecated and may be removed in a future release. Use crons instead")
    promoting = [group for group in job.task_groups or () if group.update is not None and group.update.auto_promote]
    if promoting and len(promoting) < len(job.task_groups or ()):
        found.append("auto_promote must be true for all groups to enable automatic promotion")
    for group in job.task_groups or ():
        found += _shutdown_delays(group)
    if not memory_oversubscription:
        for group in job.task_groups or ():
            for task in group.tasks or ():
                if task.resources is not None and task.resources.memory_max_mb not in (0, task.resources.memory_mb):
                    found.append(
                        f'Memory oversubscription is not enabled; Task "{group.name}.{task.name}" memory_max value '
                        "will be ignored. Update the Scheduler Configuration to allow oversubscription."
                    )
    return found


def _group(group: TaskGroup, job: Job) -> list[str]:
    found: list[str] = []
    if group.update is not None and job.type == JobType.SERVICE:
        parallel = group.update.max_parallel
        if parallel > group.count > 0:
            found.append(
                f"Update max parallel count is greater than task group count ({parallel} > {group.count}). A "
                "destructive change would result in the simultaneous replacement of all allocations."
            )
    if any(network.mbits > 0 for network in group.networks or ()):
        found.append("mbits has been deprecated as of Nomad 0.12.0. Please remove mbits from the network block")
    for task in group.tasks or ():
        of_task = [warning for identity in task.identities or () for warning in _identity(identity)]
        if task.resources is not None and task.resources.iops:
            of_task.append("IOPS has been deprecated as of Nomad 0.9.0. Please remove IOPS from resources block.")
        if task.resources is not None and task.resources.networks:
            of_task.append(
                "task network resources have been deprecated as of Nomad 0.12.0. Please configure networking via group "
                "network block."
            )
        if of_task:
            found.append(f'Task "{task.name}" has warnings: {multierror(of_task)}')
    return found


def _identity(identity: WorkloadIdentity) -> list[str]:
    found: list[str] = []
    if not identity.audience:
        found.append("identities without an audience are insecure")
    if identity.ttl_ns == 0:
        found.append("identities without an expiration are insecure")
    return [multierror([f"Identity[{identity.name}] {one}" for one in found])] if found else []


def _shutdown_delays(group: TaskGroup) -> list[str]:
    """A service should be gone from the catalogue before its task stops."""
    tasks = group.tasks or ()
    found = [
        f'task "{task.name}" in group "{group.name}" defines services, but has no shutdown_delay set'
        for task in tasks
        if task.services and not task.shutdown_delay_ns
    ]
    delayed = group.shutdown_delay_ns or any(task.shutdown_delay_ns for task in tasks)
    if any(service.connect is None for service in group.services or ()) and not delayed:
        found.append(
            f'group "{group.name}" defines services, but neither the group nor any of its tasks have shutdown_delay set'
        )
    return found
