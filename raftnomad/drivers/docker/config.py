"""What a task's container looks like, as the body of the engine's create request. A plain function of task and
settings, but for reading a seccomp profile."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from raftnomad.drivers.docker.capabilities import capability_lists
from raftnomad.drivers.docker.mounts import binds, mounts
from raftnomad.drivers.docker.settings import Settings
from raftnomad.drivers.driver import DriverError, Task
from raftnomad.drivers.task_config import Kind, blocks, flag, number, problems, string_map, strings, text

LABEL_PREFIX = "com.hashicorp.nomad."

SCHEMA = {
    "image": Kind.STRING,
    "advertise_ipv6_address": Kind.BOOL,
    "args": Kind.STRINGS,
    "auth": Kind.BLOCK,
    "auth_soft_fail": Kind.BOOL,
    "cap_add": Kind.STRINGS,
    "cap_drop": Kind.STRINGS,
    "cgroupns": Kind.STRING,
    "command": Kind.STRING,
    "container_exists_attempts": Kind.NUMBER,
    "cpu_cfs_period": Kind.NUMBER,
    "cpu_hard_limit": Kind.BOOL,
    "cpuset_cpus": Kind.STRING,
    "devices": Kind.BLOCKS,
    "dns_options": Kind.STRINGS,
    "dns_search_domains": Kind.STRINGS,
    "dns_servers": Kind.STRINGS,
    "entrypoint": Kind.STRINGS,
    "extra_hosts": Kind.STRINGS,
    "force_pull": Kind.BOOL,
    "group_add": Kind.STRINGS,
    "healthchecks": Kind.BLOCK,
    "hostname": Kind.STRING,
    "image_pull_timeout": Kind.STRING,
    "init": Kind.BOOL,
    "interactive": Kind.BOOL,
    "ipc_mode": Kind.STRING,
    "ipv4_address": Kind.STRING,
    "ipv6_address": Kind.STRING,
    "isolation": Kind.STRING,
    "labels": Kind.STRING_MAP,
    "load": Kind.STRING,
    "logging": Kind.BLOCK,
    "mac_address": Kind.STRING,
    "memory_hard_limit": Kind.NUMBER,
    "mount": Kind.BLOCKS,
    "mounts": Kind.BLOCKS,
    "network_aliases": Kind.STRINGS,
    "network_mode": Kind.STRING,
    "oom_score_adj": Kind.NUMBER,
    "pid_mode": Kind.STRING,
    "pids_limit": Kind.NUMBER,
    "port_map": Kind.STRING_MAP,
    "ports": Kind.STRINGS,
    "privileged": Kind.BOOL,
    "readonly_rootfs": Kind.BOOL,
    "runtime": Kind.STRING,
    "security_opt": Kind.STRINGS,
    "shm_size": Kind.NUMBER,
    "storage_opt": Kind.STRING_MAP,
    "sysctl": Kind.STRING_MAP,
    "tty": Kind.BOOL,
    "ulimit": Kind.STRING_MAP,
    "userns_mode": Kind.STRING,
    "uts_mode": Kind.STRING,
    "volume_driver": Kind.STRING,
    "volumes": Kind.STRINGS,
    "work_dir": Kind.STRING,
}

NOT_BUILT = ("advertise_ipv6_address",)


def config_problems(config: Mapping[str, Any]) -> list[str]:
    return problems(config, SCHEMA, required=("image",))


def container_name(task: Task) -> str:
    return f"{task.name}-{task.alloc_id}"


def container_body(task: Task, settings: Settings, image_id: str, cgroup_version: int) -> dict[str, Any]:
    """The whole create request; raises DriverError for what the agent does not allow or nobody understands."""
    config = task.config
    for key in NOT_BUILT:
        if config.get(key):
            raise DriverError(f"docker's {key} is not built yet")
    if text(config, "isolation"):
        raise DriverError(
            "Failed to create container configuration, cannot use isolation mode "
            f'"{text(config, "isolation")}" on linux'
        )
    exposed, bindings = _ports(task)
    body: dict[str, Any] = {
        "Image": text(config, "image").removeprefix("https://").removeprefix("http://") or image_id,
        "Env": [f"{name}={value}" for name, value in sorted(task.env.items())],
        "Labels": _labels(task, settings),
        "User": task.user,
        "Hostname": text(config, "hostname"),
        "WorkingDir": text(config, "work_dir"),
        "Tty": flag(config, "tty"),
        "OpenStdin": flag(config, "interactive"),
        "MacAddress": _mac_address(config),
        "ExposedPorts": exposed or None,
        "HostConfig": _host_config(task, settings, cgroup_version) | {"PortBindings": bindings},
    }
    body |= _command(config)
    for checks in blocks(config, "healthchecks"):
        if flag(checks, "disable"):
            body["Healthcheck"] = {"Test": ["NONE"]}
    if endpoint := _endpoint(config):
        body["NetworkingConfig"] = {"EndpointsConfig": {body["HostConfig"]["NetworkMode"]: endpoint}}
    return body


def _command(config: Mapping[str, Any]) -> dict[str, Any]:
    """`command` and `args` replace the image's command, `entrypoint` its entry point."""
    found: dict[str, Any] = {}
    command, arguments = text(config, "command"), strings(config, "args")
    if command != command.strip():
        raise DriverError(f'command contains extra white space: "{command}"')
    if command:
        found["Cmd"] = [command, *arguments]
    elif arguments:
        found["Cmd"] = arguments
    if config.get("entrypoint"):
        found["Entrypoint"] = strings(config, "entrypoint")
    return found


def _labels(task: Task, settings: Settings) -> dict[str, str]:
    """The job's labels under Nomad's: who looks for an allocation's containers must be able to trust them."""
    known = {
        "job_id": task.job_id,
        "job_name": task.env.get("NOMAD_JOB_NAME", ""),
        "namespace": task.namespace,
        "task_group_name": task.env.get("NOMAD_GROUP_NAME", ""),
        "task_name": task.name,
        **task.labels,
    }
    extra = {
        f"{LABEL_PREFIX}{name}": value
        for name, value in known.items()
        if value and any(fnmatchcase(name, pattern) for pattern in settings.extra_labels)
    }
    return string_map(task.config, "labels") | extra | {f"{LABEL_PREFIX}alloc_id": task.alloc_id}


def _host_config(task: Task, settings: Settings, cgroup_version: int) -> dict[str, Any]:
    config = task.config
    privileged = flag(config, "privileged")
    if privileged and not settings.allow_privileged:
        raise DriverError("Docker privileged mode is disabled on this Nomad agent")
    add, drop = capability_lists(strings(config, "cap_add"), strings(config, "cap_drop"), settings.allow_caps)
    body = {
        "Binds": binds(task, settings),
        "Mounts": mounts(task, settings) or None,
        "VolumeDriver": text(config, "volume_driver"),
        "Privileged": privileged,
        "CapAdd": add or None,
        "CapDrop": drop or None,
        "NetworkMode": _network_mode(task),
        "LogConfig": _log_config(config, settings),
        "ReadonlyRootfs": flag(config, "readonly_rootfs"),
        "ShmSize": number(config, "shm_size"),
        "GroupAdd": strings(config, "group_add") or None,
        "ExtraHosts": strings(config, "extra_hosts") or None,
        "Dns": _addresses(config, "dns_servers") or None,
        "DnsSearch": strings(config, "dns_search_domains") or None,
        "DnsOptions": strings(config, "dns_options") or None,
        "Sysctls": string_map(config, "sysctl") or None,
        "StorageOpt": string_map(config, "storage_opt") or None,
        "Ulimits": _ulimits(config) or None,
        "SecurityOpt": _security_options(config) or None,
        "Devices": [_device(device) for device in blocks(config, "devices")] or None,
        "CgroupnsMode": text(config, "cgroupns"),
        "Runtime": _runtime(config, settings),
        "PidsLimit": _pids_limit(config, settings) or None,
        "OomScoreAdj": number(config, "oom_score_adj", settings.oom_score_adj or 0),
        **_modes(config, settings),
        **_memory(task, cgroup_version),
        **_cpu(task, settings),
    }
    if flag(config, "init"):
        body["Init"] = True
    return body


def _memory(task: Task, cgroup_version: int) -> dict[str, Any]:
    """Bytes. A hard limit above what the job reserves makes the latter a reservation; swap is never given."""
    hard_mb = number(task.config, "memory_hard_limit") or task.memory_max_mb
    if number(task.config, "memory_hard_limit") and hard_mb < task.memory_mb:
        raise DriverError(f"task memory requirements exceed driver hard limit of {hard_mb} MB")
    limit_mb = max(hard_mb, task.memory_mb)
    body = {"Memory": limit_mb << 20, "MemorySwap": limit_mb << 20}
    if limit_mb > task.memory_mb:
        body["MemoryReservation"] = task.memory_mb << 20
    if cgroup_version == 1:
        body["MemorySwappiness"] = 0
    return body


def _cpu(task: Task, settings: Settings) -> dict[str, Any]:
    config = task.config
    period = number(config, "cpu_cfs_period")
    if period and not 1000 <= period <= 1_000_000:
        raise DriverError("invalid value for cpu_cfs_period")
    cpus = ",".join(str(core) for core in task.cores) or text(config, "cpuset_cpus")
    body: dict[str, Any] = {"CpuShares": task.cpu_shares, "CpusetCpus": cpus}
    if flag(config, "cpu_hard_limit"):
        if not settings.total_compute_mhz:
            raise DriverError("docker's cpu_hard_limit is not built yet for a node whose MHz are unknown")
        body["CpuPeriod"] = period or 100_000
        cores = settings.cores or 1
        body["CpuQuota"] = max(body["CpuPeriod"] * cores * task.cpu_shares // settings.total_compute_mhz, 1000)
    return body


def _network_mode(task: Task) -> str:
    if mode := text(task.config, "network_mode"):
        return mode
    if task.network_mode in ("", "host"):
        return "default"
    if task.network_mode == "none":
        return "none"
    raise DriverError(f'docker in a group network of mode "{task.network_mode}" is not built yet')


def _ports(task: Task) -> tuple[dict[str, Any], dict[str, Any]]:
    """Exposed ports and their bindings, each for tcp and udp."""
    if task.config.get("port_map"):
        raise DriverError("'port_map' cannot map group network ports, use 'ports' instead")
    by_label = {port.label: port for port in task.ports}
    exposed: dict[str, Any] = {}
    bindings: dict[str, Any] = {}
    for label in strings(task.config, "ports"):
        if label not in by_label:
            raise DriverError(f'Port "{label}" not found, check network block')
        port = by_label[label]
        for protocol in ("tcp", "udp"):
            inside = f"{port.to or port.value}/{protocol}"
            exposed[inside] = {}
            bindings.setdefault(inside, []).append({"HostIp": port.host_ip, "HostPort": str(port.value)})
    return exposed, bindings


def _endpoint(config: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if aliases := strings(config, "network_aliases"):
        body["Aliases"] = aliases
    addresses = {}
    for key, field in (("ipv4_address", "IPv4Address"), ("ipv6_address", "IPv6Address")):
        if value := text(config, key):
            addresses[field] = _address(value, key)
    if addresses:
        body["IPAMConfig"] = addresses
    return body


def _log_config(config: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    for logging in blocks(config, "logging"):
        kind = text(logging, "driver") or text(logging, "type") or settings.log_driver
        return {"Type": kind, "Config": string_map(logging, "config")}
    return {"Type": settings.log_driver, "Config": dict(settings.log_options)}


def _modes(config: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """Namespaces shared with others: only as the agent allows."""
    found = {}
    for kind, field in (("pid", "PidMode"), ("ipc", "IpcMode"), ("uts", "UTSMode"), ("userns", "UsernsMode")):
        mode = text(config, f"{kind}_mode")
        if mode and mode not in settings.allowed_modes.get(kind, ()):
            raise DriverError(f'cannot apply "{kind}_mode" configuration')
        found[field] = mode
    return found


def _runtime(config: Mapping[str, Any], settings: Settings) -> str:
    runtime = text(config, "runtime")
    if runtime and runtime not in settings.allow_runtimes:
        raise DriverError(f'requested runtime "{runtime}" is not allowed')
    return runtime


def _pids_limit(config: Mapping[str, Any], settings: Settings) -> int:
    limit = number(config, "pids_limit")
    if settings.pids_limit and limit > settings.pids_limit:
        raise DriverError(f"pids_limit cannot be greater than nomad plugin config pids_limit: {settings.pids_limit}")
    return limit or settings.pids_limit


def _ulimits(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, value in string_map(config, "ulimit").items():
        if not value:
            raise _bad_ulimit(f'Malformed ulimit specification {name}: "", cannot be empty')
        soft, _, hard = value.partition(":")
        for which, part in (("soft", soft), ("hard", hard or soft)):
            if not re.fullmatch(r"-?[0-9]+", part):
                raise _bad_ulimit(f"Malformed {which} ulimit {name}: {value}")
        found.append({"Name": name, "Soft": int(soft), "Hard": int(hard or soft)})
    return found


def _bad_ulimit(what: str) -> DriverError:
    return DriverError(f"failed to parse ulimit configuration: {what}")


def _security_options(config: Mapping[str, Any]) -> list[str]:
    found = []
    for option in strings(config, "security_opt"):
        name, separator, value = option.partition("=" if "=" in option else ":")
        if not separator and name != "no-new-privileges":
            raise DriverError(f'failed to parse security_opt configuration: invalid security_opt: "{option}"')
        if name == "seccomp" and value not in ("unconfined", "builtin"):
            option = f"seccomp={_seccomp_profile(value)}"
        found.append(option)
    return found


def _seccomp_profile(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return json.dumps(json.load(file))
    except OSError as error:
        reason = f"open {path}: {(error.strerror or '').lower()}"
        raise DriverError(
            f"failed to parse security_opt configuration: opening seccomp profile ({path}) failed: {reason}"
        ) from error
    except ValueError as error:
        # Its content is not said: the file may be any of the machine's.
        raise DriverError(
            f"failed to parse security_opt configuration: compacting json for seccomp profile ({path}) failed"
        ) from error


def _device(device: Mapping[str, Any]) -> dict[str, str]:
    path = text(device, "host_path")
    if not path:
        raise DriverError("host path must be set in configuration for devices")
    return {
        "PathOnHost": path,
        "PathInContainer": text(device, "container_path") or path,
        "CgroupPermissions": text(device, "cgroup_permissions") or "rwm",
    }


def _mac_address(config: Mapping[str, Any]) -> str:
    address = text(config, "mac_address")
    if address and not re.fullmatch(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}", address):
        raise DriverError(f'failed to parse mac_address "{address}": address {address}: invalid MAC address')
    return address


def _addresses(config: Mapping[str, Any], key: str) -> list[str]:
    found = strings(config, key)
    for value in found:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            raise DriverError(f"invalid ip address for container dns server: {value}") from None
    return found


def _address(value: str, key: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise DriverError(f'failed to parse {key} "{value}": not an IP address') from None
