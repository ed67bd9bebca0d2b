"""A job as a whole: names, type, priority, and what its groups may not do together."""

from __future__ import annotations

from raftnomad.model.cron import parse_cron, zone_of
from raftnomad.model.job import Job
from raftnomad.model.policies import ParameterizedJobConfig, PeriodicConfig
from raftnomad.model.status import JobType
from raftnomad.model.validation.groups import group_errors
from raftnomad.model.validation.placement import affinity_errors, constraint_errors, spread_errors
from raftnomad.model.validation.texts import multierror, wrapped

PRIORITY_MAX = 100
COUNT_MAX = 50_000
_UI_DESCRIPTION_MAX = 1000
_PAYLOADS = ("", "optional", "required", "forbidden")


def validate(job: Job, priority_max: int = PRIORITY_MAX, count_max: int = COUNT_MAX) -> list[str]:
    """Everything for which a complete job is refused; empty if it is fine."""
    errors = [*_unavailable(job), *_names(job), *_placement(job), *_groups(job), *_launching(job), *_looks(job)]
    if not 1 <= job.priority <= priority_max:
        errors.append(f"job priority must be between [1, {priority_max}]")
    if job.type == "_core":
        errors = [error for error in errors if not error.startswith("Invalid job type")]
        errors.append("job type cannot be core")
    total = sum(group.count for group in job.task_groups or ())
    if total > count_max:
        errors.append(f"total count was greater than configured job_max_count: {total} > {count_max}")
    return errors


def _unavailable(job: Job) -> list[str]:
    """What a job asks of things that are not part of this system."""
    errors: list[str] = []
    tasks = [task for group in job.task_groups or () for task in group.tasks or ()]
    clusters = dict.fromkeys(task.vault.cluster or "default" for task in tasks if task.vault is not None)
    errors.extend(f'Vault "{cluster}" not enabled but used in the job' for cluster in clusters)
    if job.multiregion is not None:
        errors.append("Multiregion jobs are unlicensed.")
    for group in job.task_groups or ():
        consuls = [group.consul, *(task.consul for task in group.tasks or ())]
        if any(consul is not None and consul.cluster not in ("", "default") for consul in consuls):
            errors.append("non-default Consul cluster requires Nomad Enterprise")
    if any(task.schedule is not None and task.schedule.cron is not None for task in tasks):
        errors.append("task schedules requires Nomad Enterprise")
    if any(task.resources is not None and task.resources.numa is not None and _uses_numa(task) for task in tasks):
        errors.append("numa scheduling requires Nomad Enterprise")
    return errors


def _uses_numa(task: object) -> bool:
    numa = getattr(getattr(task, "resources", None), "numa", None)
    return numa is not None and numa.affinity not in ("", "none")


def _names(job: Job) -> list[str]:
    errors: list[str] = []
    if not job.region:
        errors.append("Missing job region")
    if not job.id:
        errors.append("Missing job ID")
    elif " " in job.id:
        errors.append("Job ID contains a space")
    elif "\0" in job.id:
        errors.append("Job ID contains a null character")
    if not job.name:
        errors.append("Missing job name")
    elif "\0" in job.name:
        errors.append("Job Name contains a null character")
    if not job.namespace:
        errors.append("Job must be in a namespace")
    if not job.type:
        errors.append("Missing job type")
    elif job.type not in tuple(JobType):
        errors.append(f'Invalid job type: "{job.type}"')
    if not job.datacenters:
        errors.append("Missing job datacenters")
    errors.extend("Job datacenter must be non-empty string" for dc in job.datacenters or () if not dc)
    if not job.task_groups:
        errors.append("Missing job task groups")
    return errors


def _placement(job: Job) -> list[str]:
    errors: list[str] = []
    for number, constraint in enumerate(job.constraints or (), 1):
        errors += wrapped(f"Constraint {number} validation failed", constraint_errors(constraint))
    if job.type == JobType.SYSTEM:
        if job.affinities:
            errors.append("System jobs may not have an affinity block")
    else:
        for number, affinity in enumerate(job.affinities or (), 1):
            errors += wrapped(f"Affinity {number} validation failed", affinity_errors(affinity))
    if job.type == JobType.SYSTEM:
        if job.spreads:
            errors.append("System jobs may not have a spread block")
    else:
        for number, spread in enumerate(job.spreads or (), 1):
            errors += wrapped(f"Spread {number} validation failed", spread_errors(spread))
    return errors


def _groups(job: Job) -> list[str]:
    errors: list[str] = []
    seen: dict[str, int] = {}
    for number, group in enumerate(job.task_groups or (), 1):
        if not group.name:
            errors.append(f"Job task group {number} missing name")
        elif group.name in seen:
            errors.append(f"Job task group {number} redefines '{group.name}' from group {seen[group.name]}")
        seen.setdefault(group.name, number)
        if group.shutdown_delay_ns is not None and group.shutdown_delay_ns < 0:
            errors.append("ShutdownDelay must be a positive value")
        if job.type in (JobType.SYSTEM, JobType.SYSBATCH):
            if group.count > 1:
                errors.append(
                    f"Job task group {group.name} has count {group.count}. Count cannot exceed 1 with system scheduler"
                )
            if group.scaling is not None:
                errors.append(f"Task groups with job type {job.type} do not support scaling blocks")
    for group in job.task_groups or ():
        errors += wrapped(f"Task group {group.name} validation failed", group_errors(group, job))
    return errors


def _launching(job: Job) -> list[str]:
    errors: list[str] = []
    batch = job.type in (JobType.BATCH, JobType.SYSBATCH)
    if job.periodic is not None:
        if not batch:
            errors.append('Periodic can only be used with "batch" or "sysbatch" scheduler')
        errors += periodic_errors(job.periodic)
    if job.parameterized_job is not None:
        if not batch:
            errors.append('Parameterized job can only be used with "batch" or "sysbatch" scheduler')
        parameterized = parameterized_errors(job.parameterized_job)
        errors += [multierror(parameterized)] if parameterized else []
    elif job.payload and not job.dispatched:
        errors.append("job can't be submitted with a payload, only dispatched")
    return errors


def periodic_errors(periodic: PeriodicConfig) -> list[str]:
    if not periodic.enabled:
        return []
    errors: list[str] = []
    if periodic.spec and periodic.specs:
        errors.append("Only cron or crons may be used")
    if not periodic.spec and not periodic.specs:
        errors.append("Must specify a spec")
    if periodic.spec_type not in ("", "cron", "_internal_test"):
        errors.append(f'Unknown periodic specification type "{periodic.spec_type}"')
    elif periodic.spec_type != "_internal_test":
        for spec in (periodic.spec, *(periodic.specs or ())):
            try:
                if spec:
                    parse_cron(spec)
            except ValueError as error:
                errors.append(f'Invalid cron spec "{spec}": {error}')
    try:
        zone_of(periodic.time_zone)
    except ValueError as error:
        errors.append(f'Invalid time zone "{periodic.time_zone}": {error}')
    return errors


def parameterized_errors(parameterized: ParameterizedJobConfig) -> list[str]:
    errors: list[str] = []
    if parameterized.payload not in _PAYLOADS:
        errors.append(f'Unknown payload requirement: "{parameterized.payload}"')
    both = sorted(set(parameterized.meta_required or ()) & set(parameterized.meta_optional or ()))
    if both:
        errors.append(
            f"Required and optional meta keys should be disjoint. Following keys exist in both: [{' '.join(both)}]"
        )
    return errors


def _looks(job: Job) -> list[str]:
    if job.ui is None or len(job.ui.description) <= _UI_DESCRIPTION_MAX:
        return []
    return [f"UI description must be under {_UI_DESCRIPTION_MAX} characters, currently {len(job.ui.description)}"]
