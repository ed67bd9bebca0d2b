"""What a job needs of a node without saying so: constraints that follow from what it uses."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from raftnomad.model.job import Job, Task, TaskGroup
from raftnomad.model.resources import Constraint

_CNI_PLUGINS = ("bridge", "firewall", "host-local", "loopback", "portmap")


def _at_least(attribute: str, version: str) -> Constraint:
    return Constraint(l_target=attribute, r_target=version, operand="semver")


VAULT = _at_least("${attr.vault.version}", ">= 0.6.1")
CONSUL = _at_least("${attr.consul.version}", ">= 1.8.0")
SERVICE_DISCOVERY = Constraint(l_target="${attr.nomad.service_discovery}", r_target="true", operand="=")
SERVICE_CHECKS = _at_least("${attr.nomad.version}", ">= 1.4.0")
IDENTITIES = _at_least("${attr.nomad.version}", ">= 1.7.0-a")
BRIDGE = tuple(_at_least(f"${{attr.plugins.cni.version.{name}}}", ">= 0.4.0") for name in _CNI_PLUGINS)


def with_implied_constraints(job: Job) -> Job:
    """The job with the constraints of its groups that it does not have yet."""
    if job.task_groups is None:
        return job
    return replace(job, task_groups=tuple(_constrained(group) for group in job.task_groups))


def _constrained(group: TaskGroup) -> TaskGroup:
    constraints = list(group.constraints or ())
    for implied in _implied(group):
        if implied not in constraints:
            constraints.append(implied)
    return replace(group, constraints=tuple(constraints) or None)


def _implied(group: TaskGroup) -> Iterable[Constraint]:
    tasks = group.tasks or ()
    if any(task.vault is not None for task in tasks):
        yield VAULT
    if any(task.identities for task in tasks):
        yield IDENTITIES
    signals = sorted({signal for task in tasks for signal in _signals(task)})
    if signals:
        yield Constraint(l_target="${attr.os.signals}", r_target=",".join(signals), operand="set_contains")
    services = [*(group.services or ()), *(service for task in tasks for service in task.services or ())]
    native = [service for service in services if service.provider == "nomad"]
    if native:
        yield SERVICE_DISCOVERY
        if any(service.checks for service in native):
            yield SERVICE_CHECKS
    if any(service.provider in ("consul", "") for service in services):
        yield CONSUL
    if any(network.mode == "bridge" for network in group.networks or ()):
        yield from BRIDGE
    for task in tasks:
        for secret in task.secrets or ():
            yield Constraint(l_target=f"${{attr.plugins.secrets.{secret.provider}.version}}", operand="is_set")


def _signals(task: Task) -> Iterable[str]:
    if task.kill_signal:
        yield task.kill_signal
    for template in task.templates or ():
        if template.change_mode == "signal" and template.change_signal:
            yield template.change_signal
    if task.vault is not None and task.vault.change_mode == "signal" and task.vault.change_signal:
        yield task.vault.change_signal
