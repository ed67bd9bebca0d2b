"""A submitted job becomes one that may be proposed: where it belongs, its defaults, and what is wrong with it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import msgspec

from raftnomad.api.requests import JobPlanRequest, JobRegisterRequest, JobValidateRequest
from raftnomad.errors import BadRequest, RaftnomadError, TooLarge
from raftnomad.fsm.state import State
from raftnomad.model import wire
from raftnomad.model.defaults import canonicalize
from raftnomad.model.job import Job
from raftnomad.model.submitted import Job as SubmittedJob
from raftnomad.model.validation import multierror, multiwarning, validate, warnings
from raftnomad.web import Request

JOB_BYTES_MAX = 1024 * 1024
"""Of a job as JSON, without its source. The log takes entries of 4 MiB."""

REGION_OF_ANY = "global"
"""Nomad's default region: a job that names it may be registered in any."""


@dataclass(frozen=True, kw_only=True)
class JobLimits:
    """What an operator may set: Nomad's `job_default_priority`, `job_max_priority` and so on."""

    priority_default: int = 50
    """Of jobs that say 0; those that say nothing have 50."""
    priority_max: int = 100
    count_max: int = 50_000
    """Of all groups together; 0 is no limit."""
    source_bytes_max: int = 1_000_000


JobBody = JobRegisterRequest | JobPlanRequest | JobValidateRequest


def submitted_job(body: JobBody) -> SubmittedJob:
    """Raises BadRequest when there is none."""
    if body.job is None:
        raise BadRequest("Job must be specified")
    return body.job


def take(body: JobBody, request: Request, region: str, limits: JobLimits) -> Job:
    """The job with its namespace, region and defaults.

    The query's namespace wins over the job's, and that over the body's. Raises BadRequest, TooLarge, and RaftnomadError
    for another region's job.
    """
    job = submitted_job(body)
    wanted = request.get("region") or job.region or body.region or region
    if wanted not in (region, REGION_OF_ANY):
        raise RaftnomadError("No path to region")
    namespace = request.get("namespace") or job.namespace or body.namespace or "default"
    priority = limits.priority_default if job.priority == 0 else job.priority
    taken = canonicalize(msgspec.structs.replace(job, namespace=namespace, region=wanted, priority=priority))
    size = len(wire.encode(taken))
    if size > JOB_BYTES_MAX:
        raise TooLarge(f'job "{taken.id}" has {size} bytes, and a job may have {JOB_BYTES_MAX}')
    return taken


def check(job: Job, state: State, limits: JobLimits) -> None:
    """Raises RaftnomadError with everything that is wrong with the job."""
    errors = all_errors(job, state, limits) or _missing(job, state)
    if errors:
        raise RaftnomadError(multierror(errors))


def all_errors(job: Job, state: State, limits: JobLimits) -> list[str]:
    """What is wrong with the job itself, and what its namespace does not allow."""
    return [*validate(job, limits.priority_max, limits.count_max or sys.maxsize), *_not_allowed(job, state)]


def _not_allowed(job: Job, state: State) -> list[str]:
    namespace = state.namespaces.get(job.namespace)
    rules = namespace.capabilities if namespace is not None else None
    if rules is None:
        return []
    groups = job.task_groups or ()
    drivers = dict.fromkeys(task.driver for group in groups for task in group.tasks or ())
    modes = dict.fromkeys(network.mode or "host" for group in groups for network in group.networks or ())
    errors = []
    for what, names, enabled, disabled in (
        ("task driver", drivers, rules.enabled_task_drivers, rules.disabled_task_drivers),
        ("group network mode", modes, rules.enabled_network_modes, rules.disabled_network_modes),
    ):
        refused = [
            f'"{name}"' for name in names if (enabled and name not in enabled) or (disabled and name in disabled)
        ]
        if len(refused) == 1:
            errors.append(f'used {what} {refused[0]} is not allowed in namespace "{job.namespace}"')
        elif refused:
            errors.append(f'used {what}s [{" ".join(refused)}] are not allowed in namespace "{job.namespace}"')
    return errors


def _missing(job: Job, state: State) -> list[str]:
    if job.namespace not in state.namespaces:
        return [f'job "{job.id}" is in nonexistent namespace "{job.namespace}"']
    if job.node_pool not in state.node_pools:
        return [f'job "{job.id}" is in nonexistent node pool "{job.node_pool}"']
    return []


def warnings_text(job: Job, *more: str) -> str:
    found = [*more, *warnings(job)]
    return multiwarning(found) if found else ""
