"""A submitted job becomes the job that servers keep: defaults by its type, what it implies, and what it was not asked.

`canonicalize` is what a server does at registration; validation comes after it and looks at its result.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from raftnomad.model import submitted
from raftnomad.model.api_defaults import fill
from raftnomad.model.implied import with_implied_constraints
from raftnomad.model.job import Job, Secret, Task, TaskGroup
from raftnomad.model.merging import merged
from raftnomad.model.policies import ScalingPolicy, UpdateStrategy
from raftnomad.model.resources import NetworkResource, Port, Resources
from raftnomad.model.row import Row
from raftnomad.model.service import Service, WorkloadIdentity

R = TypeVar("R", bound=Row)

AUDIENCE = "nomadproject.io"
DEFAULT_IDENTITY = WorkloadIdentity(name="default", audience=(AUDIENCE,))


def canonicalize(job: Mapping[str, Any] | submitted.Job | Job) -> Job:
    """The job as servers keep it. A mapping is a job in the API's spelling, where null and absent are the same.

    Complete jobs may be given again, such as an older version that is brought back: they come out as they are.
    """
    if isinstance(job, Mapping):
        job = msgspec.convert(_without_nulls(job), submitted.Job)
    if isinstance(job, submitted.Job):
        job = _converted(_with_task_scaling(fill(job)))
    return with_implied_constraints(_completed(job))


def _without_nulls(value: Any) -> Any:
    """JSON without nulls, but for those inside of driver configuration, which is nobody's business here."""
    if isinstance(value, Mapping):
        return {
            name: item if name == "Config" else _without_nulls(item) for name, item in value.items() if item is not None
        }
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    return value


def _with_task_scaling(job: submitted.Job) -> submitted.Job:
    """A task's scaling is on unless it says otherwise; users see that only on the servers."""
    if not any(task.scaling_policies for group in job.task_groups or () for task in group.tasks or ()):
        return job
    default = submitted.ScalingPolicy(enabled=True, min=0)

    def of_task(task: submitted.Task) -> submitted.Task:
        policies = task.scaling_policies
        return replace(task, scaling_policies=policies and tuple(merged(policy, default) for policy in policies))

    groups = tuple(
        replace(group, tasks=group.tasks and tuple(of_task(task) for task in group.tasks))
        for group in job.task_groups or ()
    )
    return replace(job, task_groups=groups)


def _converted(job: submitted.Job) -> Job:
    result = _as_row(job, Job)
    update = UpdateStrategy()
    if job.update is not None:
        # The rest of a job's update block has gone to its groups; only these two stay, for old clients.
        update = UpdateStrategy(stagger_ns=job.update.stagger_ns or 0, max_parallel=job.update.max_parallel or 0)
    return replace(result, update=update)


def _as_row(source: Row, target: type[R]) -> R:
    """The server's twin of a submitted struct: fields of one name, where None becomes the zero of the field."""
    values: dict[str, Any] = {}
    for name, hint in _hints(target).items():
        value = getattr(source, name, None)
        if value is not None and value is not msgspec.UNSET:
            values[name] = _as_value(value, hint)
    return target(**values)


@cache
def _hints(target: type[Row]) -> dict[str, Any]:
    return {name: _bare(hint) for name, hint in typing.get_type_hints(target).items()}


def _bare(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(one for one in typing.get_args(hint) if one is not type(None))
    return hint


def _as_value(value: Any, hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(value, Row):
        if isinstance(hint, type) and issubclass(hint, Row):
            return value if type(value) is hint else _as_row(value, hint)
        return msgspec.to_builtins(value)
    if origin is tuple and value and isinstance(value[0], Row):
        return tuple(_as_value(item, arguments[0]) for item in value)
    if origin is dict and isinstance(value, dict):
        return {name: _as_value(item, arguments[1]) for name, item in value.items()}
    return value


def _completed(job: Job) -> Job:
    namespace = job.namespace or "default"
    job = replace(
        job,
        namespace=namespace,
        meta=job.meta or None,
        datacenters=job.datacenters or ("*",),
        node_pool=job.node_pool or "default",
        priority=job.priority or 50,
        constraints=job.constraints or None,
        affinities=job.affinities or None,
        spreads=job.spreads or None,
    )
    if job.parameterized_job is not None and not job.parameterized_job.payload:
        job = replace(job, parameterized_job=replace(job.parameterized_job, payload="optional"))
    groups = job.task_groups
    return replace(job, task_groups=None if not groups else tuple(_group(group, job) for group in groups))


def _group(group: TaskGroup, job: Job) -> TaskGroup:
    group = replace(
        group,
        meta=group.meta or None,
        constraints=group.constraints or None,
        affinities=group.affinities or None,
        spreads=group.spreads or None,
        volumes=group.volumes or None,
        networks=_networks(group.networks),
        services=_services(group.services, job, group, None),
        scaling=_scaling(group.scaling, job, group, None),
        # Settings of old that `disconnect` replaced; what they say has no effect any more.
        max_client_disconnect_ns=None,
        stop_after_client_disconnect_ns=None,
        prevent_reschedule_on_lost=False,
    )
    tasks = group.tasks
    return replace(group, tasks=None if not tasks else tuple(_task(task, group, job) for task in tasks))


def _task(task: Task, group: TaskGroup, job: Job) -> Task:
    identities = task.identities or None
    policies = task.scaling_policies
    if policies:
        policies = tuple(p for p in (_scaling(policy, job, group, task) for policy in policies) if p is not None)
    return replace(
        task,
        meta=task.meta or None,
        env=task.env or None,
        constraints=task.constraints or None,
        affinities=task.affinities or None,
        artifacts=task.artifacts or None,
        templates=task.templates or None,
        volume_mounts=task.volume_mounts or None,
        secrets=_secrets(task.secrets),
        resources=_resources(task.resources),
        actions=task.actions or None,
        scaling_policies=policies or None,
        services=_services(task.services, job, group, task),
        identity=_own_identity(task.identity),
        identities=identities,
    )


def _secrets(secrets: tuple[Secret, ...] | None) -> tuple[Secret, ...] | None:
    if not secrets:
        return None
    return tuple(replace(secret, config=secret.config or None, env=secret.env or None) for secret in secrets)


def _resources(resources: Resources | None) -> Resources | None:
    if resources is None or resources.networks is None:
        return resources
    return replace(resources, networks=_networks(resources.networks))


def _networks(networks: tuple[NetworkResource, ...] | None) -> tuple[NetworkResource, ...] | None:
    if not networks:
        return None
    return tuple(
        replace(network, dynamic_ports=_ports(network.dynamic_ports), reserved_ports=_ports(network.reserved_ports))
        for network in networks
    )


def _ports(ports: tuple[Port, ...] | None) -> tuple[Port, ...] | None:
    if not ports:
        return None
    return tuple(port if port.host_network else replace(port, host_network="default") for port in ports)


def _own_identity(identity: WorkloadIdentity | None) -> WorkloadIdentity:
    """Every task has an identity towards Nomad itself."""
    if identity is None:
        return DEFAULT_IDENTITY
    return replace(identity, name=identity.name or "default", audience=identity.audience or (AUDIENCE,))


def _scaling(policy: ScalingPolicy | None, job: Job, group: TaskGroup, task: Task | None) -> ScalingPolicy | None:
    if policy is None:
        return None
    target = {"Namespace": job.namespace, "Job": job.id, "Group": group.name}
    if task is not None:
        target["Task"] = task.name
    return replace(policy, type=policy.type or "horizontal", target=target)


def _services(
    services: tuple[Service, ...] | None, job: Job, group: TaskGroup, task: Task | None
) -> tuple[Service, ...] | None:
    if not services:
        return None
    return tuple(_service(service, job, group, task) for service in services)


def _service(service: Service, job: Job, group: TaskGroup, task: Task | None) -> Service:
    names = {"JOB": job.name, "TASKGROUP": group.name, "TASK": task.name if task else "group"}
    names["BASE"] = f"{job.name}-{group.name}-{names['TASK']}"
    name = service.name
    for variable, value in names.items():
        name = name.replace("${" + variable + "}", value)
    checks = service.checks or None
    if checks:
        checks = tuple(check if check.name else replace(check, name=f'service: "{name}" check') for check in checks)
    return replace(
        service,
        name=name,
        namespace=job.namespace if service.provider == "nomad" else service.namespace or "default",
        task_name=service.task_name or (task.name if task else ""),
        checks=checks,
    )
