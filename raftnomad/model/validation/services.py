"""Services and their checks."""

from __future__ import annotations

import re

from raftnomad.durations import format_duration as shown
from raftnomad.model.job import Task, TaskGroup
from raftnomad.model.service import CheckRestart, Service, ServiceCheck
from raftnomad.model.validation.texts import multierror, nested, wrapped

_SECOND_NS = 1_000_000_000
_NAME = re.compile(r"(?i)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ADDRESS_MODES = ("", "auto", "host", "driver", "alloc", "auto_ipv6")
_ON_UPDATES = ("", "require_healthy", "ignore_warnings", "ignore")
_METHODS = ("", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")


def group_service_errors(group: TaskGroup) -> list[str]:
    """A group's services, and what must hold between all services of a group and its tasks."""
    errors: list[str] = []
    own = [("group", service) for service in group.services or ()]
    everyone = own + [(task.name, service) for task in group.tasks or () for service in task.services or ()]
    seen: set[tuple[str, str, str]] = set()
    twice: list[str] = []
    for where, service in everyone:
        key = (where, service.name, service.port_label)
        if key in seen:
            twice.append(f"{where}->{service.name}:{service.port_label}")
        seen.add(key)
    for index, (_, service) in enumerate(own):
        errors += wrapped(f"Service[{index}] {service.name} validation failed", service_errors(service, group))
        if service.address_mode == "driver":
            errors.append(
                f'service "{service.name}" cannot use address_mode="driver", only services defined in a "task" block '
                "can use this mode"
            )
    if twice:
        errors.append(f"Services are not unique: [{', '.join(twice)}]")
    if len({service.provider for _, service in everyone}) > 1:
        errors.append("Multiple service providers used: task group services must use the same provider")
    return errors


def group_check_errors(group: TaskGroup) -> list[str]:
    errors: list[str] = []
    names = {task.name for task in group.tasks or ()}
    for service in group.services or ():
        for check in service.checks or ():
            if check.type not in ("script", "grpc"):
                continue
            task = check.task_name or service.task_name
            where = f"Service [{group.name}]->{service.name} or Check {check.name}"
            if check.type == "script" and not task:
                errors.append(f"{where} must specify task parameter")
            elif task and task not in names:
                errors.append(f"{where} refers to non-existent task {task}")
    return errors


def task_service_errors(task: Task, group: TaskGroup) -> list[str]:
    errors: list[str] = []
    names: set[tuple[str, str]] = set()
    for index, service in enumerate(task.services or ()):
        found = service_errors(service, group)
        errors += wrapped(f'service[{index}] "{service.name}" validation failed', found)
        key = (service.name, service.port_label)
        if key in names:
            errors.append(f'service "{service.name}" is duplicate')
        names.add(key)
        if service.connect is not None:
            errors.append(
                f'service "{service.name}" cannot have "connect" block, only services defined in a "group" block can'
            )
        if service.address_mode == "driver" or not service.port_label:
            errors += _missing_ports(service)
    return nested(errors)


def _missing_ports(service: Service) -> list[str]:
    if service.port_label:
        return []
    checks = [check for check in service.checks or () if not check.port_label and check.type != "script"]
    quoted = [check.name.replace('"', '\\"') for check in checks]
    return [f'check "{name}" is missing a port' for name in quoted]


def service_errors(service: Service, group: TaskGroup) -> list[str]:
    errors: list[str] = []
    name = re.sub(r"\$\{[^}]*\}", "x", service.name)
    if not _NAME.fullmatch(name):
        errors.append(
            "Service name must be valid per RFC 1123 and can contain only alphanumeric characters or dashes and must "
            f'be no longer than 63 characters: "{service.name}"'
        )
    if service.address_mode not in _ADDRESS_MODES:
        errors.append(f'Service address_mode must be "auto", "host", or "driver"; not "{service.address_mode}"')
    if service.on_update not in _ON_UPDATES:
        errors.append(
            f'Service on_update must be "require_healthy", "ignore_warnings", or "ignore"; not "{service.on_update}"'
        )
    if service.provider not in ("consul", "nomad"):
        errors.append(f'Service provider must be "consul", or "nomad"; not "{service.provider}"')
    for check in service.checks or ():
        if not service.port_label and not check.port_label and check.type in ("http", "tcp", "grpc"):
            errors.append(
                f"Check {check.name} invalid: check requires a port but neither check nor service "
                f'"{service.name}" have a port'
            )
            continue
        if service.provider == "nomad":
            errors += _nomad_check_errors(check)
        elif service.provider == "consul":
            errors += [f"check {check.name} invalid: {error}" for error in _consul_check_errors(check)]
    if service.provider == "nomad" and service.connect is not None:
        errors.append("Service with provider nomad cannot include Connect blocks")
    return errors


def _nomad_check_errors(check: ServiceCheck) -> list[str]:
    """The first thing that is wrong with a check that Nomad itself makes."""
    if check.type not in ("tcp", "http"):
        return [f'invalid check type ("{check.type}"), must be one of tcp, http']
    wrong = _times_and_status(check) or _path(check)
    if wrong:
        return [wrong]
    if check.method.upper() not in _METHODS:
        return [f'method type "{check.method}" not supported in Nomad http check']
    if check.check_restart is not None:
        restart = _restart_errors(check.check_restart)
        if restart:
            return [multierror(restart)]
        if check.check_restart.ignore_warnings:
            return ["ignore_warnings on check_restart only supported for Consul service checks"]
    for name, used in (
        ("expose", check.expose),
        ("success_before_passing", check.success_before_passing),
        ("failures_before_critical", check.failures_before_critical),
        ("failures_before_warning", check.failures_before_warning),
    ):
        if used:
            return [f"{name} may only be set for Consul service checks"]
    return []


def _consul_check_errors(check: ServiceCheck) -> list[str]:
    if check.type not in ("tcp", "http", "grpc", "script"):
        return [f'invalid check type ("{check.type}"), must be one of tcp, http, grpc, or script']
    wrong = _times_and_status(check) or _path(check)
    if wrong:
        return [wrong]
    if check.type == "script" and not check.command:
        return ["script type must have a valid script path"]
    return _restart_errors(check.check_restart) if check.check_restart is not None else []


def _times_and_status(check: ServiceCheck) -> str:
    if check.interval_ns == 0:
        return "missing required value interval. Interval cannot be less than 1s"
    if check.interval_ns < _SECOND_NS:
        return f"interval ({shown(check.interval_ns)}) cannot be lower than 1s"
    if check.timeout_ns == 0:
        return "missing required value timeout. Timeout cannot be less than 1s"
    if check.timeout_ns < _SECOND_NS:
        return f"timeout ({shown(check.timeout_ns)}) is lower than required minimum timeout 1s"
    if check.initial_status not in ("", "passing", "warning", "critical"):
        return (
            f'invalid initial check state ({check.initial_status}), must be one of "passing", "warning", "critical" or '
            "empty"
        )
    return ""


def _path(check: ServiceCheck) -> str:
    if check.type != "http":
        return ""
    if not check.path:
        return "http type must have http path"
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", check.path):
        return "http type must have relative http path"
    return ""


def _restart_errors(restart: CheckRestart) -> list[str]:
    errors: list[str] = []
    if restart.limit < 0:
        errors.append(f"limit must be greater than or equal to 0 but found {restart.limit}")
    if restart.grace_ns < 0:
        errors.append(f"grace period must be greater than or equal to 0 but found {restart.grace_ns}")
    return errors
