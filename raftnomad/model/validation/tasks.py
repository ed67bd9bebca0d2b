"""A task: its driver, resources, logs, files, identities and the like."""

from __future__ import annotations

import posixpath
import re

from raftnomad.durations import format_duration as shown
from raftnomad.model.job import Action, Job, Secret, Task, TaskArtifact, TaskGroup, Template
from raftnomad.model.resources import Resources
from raftnomad.model.service import WorkloadIdentity
from raftnomad.model.status import JobType
from raftnomad.model.validation.placement import affinity_errors, constraint_errors
from raftnomad.model.validation.services import task_service_errors
from raftnomad.model.validation.texts import nested, wrapped

MEMORY_MB_MIN = 10
_IDENTITY = re.compile(r"[a-zA-Z0-9-_]{1,128}")
_ACTION = re.compile(r"[^\0\s]{1,128}")
_CHECKSUMS = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}
_FEWEST_BITS = {16: "md5", 20: "sha1", 32: "sha256", 64: "sha512"}


def task_errors(task: Task, group: TaskGroup, job: Job) -> list[str]:
    return [
        *_basics(task, group, job),
        *_limits(task, group),
        *_placement(task, job),
        *_files(task),
        *_rest(task, group),
    ]


def _basics(task: Task, group: TaskGroup, job: Job) -> list[str]:
    errors: list[str] = []
    if not task.name:
        errors.append("Missing task name")
    elif "/" in task.name or "\\" in task.name:
        errors.append("Task name cannot include slashes")
    elif "\0" in task.name:
        errors.append("Task name cannot include null characters")
    elif task.name == "alloc":
        errors.append('Task cannot be named "alloc"')
    if not task.driver:
        errors.append("Missing task driver")
    if task.kill_timeout_ns < 0:
        errors.append("KillTimeout must be a positive value")
    elif group.update is not None and job.type == JobType.SERVICE:
        progress = group.update.progress_deadline_ns
        if 0 < progress < task.kill_timeout_ns:
            errors.append(
                f"KillTimout ({shown(task.kill_timeout_ns)}) longer than the group's ProgressDeadline "
                f"({shown(progress)})"
            )
    if task.shutdown_delay_ns < 0:
        errors.append("ShutdownDelay must be a positive value")
    return errors


def _limits(task: Task, group: TaskGroup) -> list[str]:
    errors: list[str] = []
    if task.resources is None:
        errors.append("Missing task resources")
    else:
        errors += nested(resource_errors(task.resources))
    logs, disk = task.log_config, group.ephemeral_disk
    if logs is None:
        errors.append("Missing Log Config")
        return errors
    found: list[str] = []
    if logs.max_files < 1:
        found.append(f"minimum number of files is 1; got {logs.max_files}")
    if logs.max_file_size_mb < 1:
        found.append(f"minimum file size is 1MB; got {logs.max_file_size_mb}")
    total = logs.max_files * logs.max_file_size_mb
    if disk is not None and not logs.disabled and disk.size_mb <= total:
        found.append(f"log storage ({total} MB) must be less than requested disk capacity ({disk.size_mb} MB)")
    return errors + nested(found)


def resource_errors(resources: Resources) -> list[str]:
    least: list[str] = []
    if resources.cores < 0:
        least.append(f"minimum Cores value is 0; got {resources.cores}")
    if resources.cores == 0 and resources.cpu < 1:
        least.append(f"minimum CPU value is 1; got {resources.cpu}")
    if resources.memory_mb < MEMORY_MB_MIN:
        least.append(f"minimum MemoryMB value is {MEMORY_MB_MIN}; got {resources.memory_mb}")
    errors = nested(least)
    if resources.cpu > 0 and resources.cores > 0:
        errors.append("Task can only ask for 'cpu' or 'cores' resource, not both.")
    for number, device in enumerate(resources.devices or (), 1):
        found: list[str] = (
            []
            if device.name
            else ["device name must be given as one of the following: type, vendor/type, or vendor/type/name"]
        )
        for index, constraint in enumerate(device.constraints or (), 1):
            found += wrapped(f"Constraint {index} validation failed", constraint_errors(constraint))
        for index, affinity in enumerate(device.affinities or (), 1):
            found += wrapped(f"Affinity {index} validation failed", affinity_errors(affinity))
        errors += wrapped(f"device {number} failed validation", found)
    most = resources.memory_max_mb
    if most not in (0, -1) and most < resources.memory_mb:
        errors.append(f"MemoryMaxMB value ({most}) should be larger than MemoryMB value ({resources.memory_mb})")
    if resources.secrets_mb > resources.memory_mb:
        errors.append(f"SecretsMB value ({resources.secrets_mb}) cannot exceed MemoryMB value ({resources.memory_mb})")
    return errors


def _placement(task: Task, job: Job) -> list[str]:
    errors: list[str] = []
    for number, constraint in enumerate(task.constraints or (), 1):
        errors += wrapped(f"Constraint {number} validation failed", constraint_errors(constraint))
        if constraint.operand in ("distinct_hosts", "distinct_property"):
            errors.append(f"Constraint {number} has disallowed Operand at task level: {constraint.operand}")
    if job.type == JobType.SYSTEM:
        if task.affinities:
            errors.append("System jobs may not have an affinity block")
    else:
        for number, affinity in enumerate(task.affinities or (), 1):
            errors += wrapped(f"Affinity {number} validation failed", affinity_errors(affinity))
    return errors


def _files(task: Task) -> list[str]:
    errors: list[str] = []
    for number, artifact in enumerate(task.artifacts or (), 1):
        errors += wrapped(f"Artifact {number} validation failed", artifact_errors(artifact))
    places: dict[str, int] = {}
    for number, template in enumerate(task.templates or (), 1):
        errors += wrapped(f"Template {number} validation failed", template_errors(template))
        if template.dest_path in places:
            errors.append(f"Template {number} has same destination as {places[template.dest_path]}")
        else:
            places[template.dest_path] = number
    if task.dispatch_payload is not None and _escapes(posixpath.join("local", task.dispatch_payload.file), task.name):
        errors.append("Dispatch Payload validation failed: destination escapes allocation directory")
    return errors


def artifact_errors(artifact: TaskArtifact) -> list[str]:
    errors: list[str] = []
    if not artifact.getter_source:
        errors.append("source must be specified")
    if artifact.getter_mode not in ("", "any", "file", "dir"):
        errors.append(f'invalid artifact mode "{artifact.getter_mode}"; must be one of: any, file, dir')
    if _escapes(artifact.relative_dest):
        errors.append("destination escapes allocation directory")
    errors += _checksum_errors((artifact.getter_options or {}).get("checksum"))
    return errors


def _checksum_errors(checksum: str | None) -> list[str]:
    if checksum is None or "${" in checksum or checksum.startswith("file:"):
        return []
    if not checksum:
        return ["checksum value cannot be empty"]
    kind, colon, value = checksum.partition(":")
    if not colon:
        return [f'checksum must be given as "type:value"; got "{checksum}"']
    if kind not in _CHECKSUMS:
        return [f"unsupported checksum type: {kind}"]
    if not re.fullmatch(r"(?:[0-9a-fA-F]{2})*", value) or len(value) != 2 * _CHECKSUMS[kind]:
        return [f"invalid {kind} checksum: {value}"]
    return []


def template_errors(template: Template) -> list[str]:
    errors: list[str] = []
    if not template.source_path and not template.embedded_tmpl:
        errors.append("Must specify a source path or have an embedded template")
    if not template.dest_path:
        errors.append("Must specify a destination for the template")
    elif _escapes(template.dest_path):
        errors.append("destination escapes allocation directory")
    if template.change_mode not in ("noop", "restart", "signal", "script"):
        errors.append("Invalid change mode. Must be one of the following: noop, signal, script, restart")
    if template.change_mode == "signal" and template.envvars:
        errors.append("cannot use signals with env var templates")
    if template.change_mode == "script":
        if template.change_script is None:
            errors.append("must specify change script configuration value when change mode is script")
        elif not template.change_script.command:
            errors.append("must specify script path value when change mode is script")
    if template.splay_ns < 0:
        errors.append("Must specify positive splay value")
    if template.perms and not re.fullmatch(r"[0-7]+", template.perms):
        reason = f'strconv.ParseUint: parsing "{template.perms}": invalid syntax'
        errors.append(f'Failed to parse "{template.perms}" as octal: {reason}')
    wait = template.wait
    if wait is not None and wait.min_ns is not None and wait.max_ns is not None and wait.min_ns > wait.max_ns:
        errors.append(f"wait min {shown(wait.min_ns)} is greater than max {shown(wait.max_ns)}")
    return errors


def _escapes(path: str, task: str = "task") -> bool:
    """Whether a path, seen from a task's folder, leads out of the allocation; variables count as plain names."""
    plain = re.sub(r"\$\{[^}]*\}", "x", path)
    return posixpath.normpath(posixpath.join(task or "task", plain.lstrip("/"))).startswith("..")


def _rest(task: Task, group: TaskGroup) -> list[str]:
    errors: list[str] = []
    if task.lifecycle is not None and task.lifecycle.hook not in ("prestart", "poststart", "poststop"):
        if task.lifecycle.hook:
            errors.append(f"Lifecycle validation failed: invalid hook: {task.lifecycle.hook}")
        else:
            errors.append("Lifecycle validation failed: no lifecycle hook provided")
    for index, mount in enumerate(task.volume_mounts or ()):
        if mount.volume not in (group.volumes or {}):
            errors.append(f"Volume Mount ({index}) references undefined volume {mount.volume}")
        if mount.propagation_mode not in ("", "private", "host-to-task", "bidirectional"):
            errors.append(f'Volume Mount ({index}) has an invalid propagation mode: "{mount.propagation_mode}"')
    errors += task_service_errors(task, group)
    errors += _kind_errors(task, group)
    seen: set[str] = set()
    for identity in (task.identity, *(task.identities or ())):
        if identity is None:
            continue
        errors += wrapped(f'Identity "{identity.name}" is invalid', identity_errors(identity))
        if identity.name in seen:
            errors.append(f'Identity "{identity.name}" is duplicated')
        seen.add(identity.name)
    names: set[str] = set()
    for secret in task.secrets or ():
        errors += wrapped(f'Secret "{secret.name}" is invalid', secret_errors(secret))
        if secret.name in names:
            errors.append(f'Secret "{secret.name}" is duplicated')
        names.add(secret.name)
    for action in task.actions or ():
        errors += wrapped(f"Action {action.name} validation failed", action_errors(action))
    return errors


def _kind_errors(task: Task, group: TaskGroup) -> list[str]:
    """A task that says it is a proxy needs the service that it is one for."""
    kind, _, name = task.kind.partition(":")
    if kind not in ("connect-proxy", "connect-native", "connect-ingress", "connect-terminating", "connect-mesh"):
        return []
    if any(service.name == name and service.connect is not None for service in group.services or ()):
        return []
    return [f'No Connect services in task group with Connect proxy ("{name}")']


def identity_errors(identity: WorkloadIdentity) -> list[str]:
    errors: list[str] = []
    if not _IDENTITY.fullmatch(identity.name):
        errors.append(f'invalid name "{identity.name}". Must match regex ^[a-zA-Z0-9-_]{{1,128}}$')
    if identity.change_mode not in ("", "noop", "restart", "signal"):
        errors.append(f"invalid change_mode: {identity.change_mode}")
    elif identity.change_mode == "signal" and not identity.change_signal:
        errors.append("change_signal must be specified if using change_mode=signal")
    if identity.ttl_ns < 0:
        errors.append("ttl must be >= 0")
    return errors


def secret_errors(secret: Secret) -> list[str]:
    errors: list[str] = []
    if not secret.name:
        errors.append("secret name cannot be empty")
    if not secret.provider:
        errors.append("secret provider cannot be empty")
    if not secret.path:
        errors.append("secret path cannot be empty")
    return errors


def action_errors(action: Action) -> list[str]:
    errors: list[str] = []
    if not action.command:
        errors.append("command cannot be empty")
    if not _ACTION.fullmatch(action.name):
        errors.append(f"invalid name '{action.name}'")
    return errors
