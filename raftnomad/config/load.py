"""Files and folders of configuration, merged in order, and checked as a whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from raftnomad.config.decode import Decoder, merge
from raftnomad.config.settings import AgentConfig, ServerConfig
from raftnomad.config.sizes import parse_size
from raftnomad.errors import ConfigurationError
from raftnomad.hcl.legacy import LegacySyntaxError, parse

LOG_LEVELS = ("OFF", "TRACE", "DEBUG", "INFO", "WARN", "ERROR")
POOL_NAME = re.compile(r"^[a-zA-Z0-9-_]{1,128}$")
PORT_MAX = 65535
PRIORITY = 50
PRIORITY_MAX_LEAST, PRIORITY_MAX_MOST = 100, 32766


@dataclass(frozen=True)
class Configuration:
    """The settings, and the keys that stand in the files and have no effect."""

    agent: AgentConfig
    without_effect: tuple[str, ...] = ()
    files: tuple[Path, ...] = field(default=())


def load(
    paths: Sequence[str], flags: dict[str, Any] | None = None, defaults: dict[str, Any] | None = None
) -> Configuration:
    """Defaults, then files in order (a folder is its *.hcl and *.json by name), then flags; each nested by field name.

    Raises ConfigurationError with Nomad's wording, naming the file.
    """
    decoder = Decoder()
    values = dict(defaults or {})
    read: list[Path] = []
    for path in paths:
        for file in _files(path):
            values = merge(values, _read(decoder, path, file))
            read.append(file)
    values = merge(values, flags or {})
    return Configuration(
        agent=msgspec.convert(_wire(values), AgentConfig, strict=False),
        without_effect=tuple(dict.fromkeys(decoder.without_effect)),
        files=tuple(read),
    )


def dev_values() -> dict[str, Any]:
    """What `-dev` means: a server and a client on loopback, with nothing kept."""
    return {
        "dev_mode": True,
        "bind_addr": "127.0.0.1",
        "log_level": "DEBUG",
        "server": {"enabled": True, "bootstrap_expect": 1},
        "client": {
            "enabled": True,
            "network_interface": "lo",
            "options": {"driver.raw_exec.enable": "true", "docker.volumes.enabled": "true"},
            "gc_interval_ns": 600 * 1_000_000_000,
            "gc_disk_usage_threshold": 99.0,
            "gc_inode_usage_threshold": 99.0,
        },
        "telemetry": {"prometheus_metrics": True},
    }


def _files(path: str) -> list[Path]:
    place = Path(path)
    if place.is_dir():
        return sorted(file for file in place.iterdir() if file.suffix in (".hcl", ".json") and file.is_file())
    if not place.exists():
        raise ConfigurationError(f"Error loading configuration from {path}: stat {path}: no such file or directory")
    return [place]


def _read(decoder: Decoder, path: str, file: Path) -> dict[str, Any]:
    failing = f"Error loading configuration from {path}: Error loading {file}: "
    try:
        return decoder.decode(AgentConfig, parse(file.read_text()))
    except LegacySyntaxError as wrong:
        raise ConfigurationError(f"{failing}failed to decode HCL file {file.resolve()}: {wrong}") from wrong
    except ConfigurationError as wrong:
        prefix = f"failed to decode HCL file {file.resolve()}: " if str(wrong).startswith("decodeBool") else ""
        raise ConfigurationError(f"{failing}{prefix}{wrong}") from wrong
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigurationError(f"{failing}{wrong}") from wrong


def _wire(values: dict[str, Any]) -> dict[str, Any]:
    """Field names become the names that rows are encoded with."""
    return _renamed(AgentConfig, values)


def _renamed(row_type: Any, values: dict[str, Any]) -> dict[str, Any]:
    renamed = {}
    for one in msgspec.structs.fields(row_type):
        if one.name not in values:
            continue
        value = values[one.name]
        if isinstance(one.type, type) and issubclass(one.type, msgspec.Struct):
            value = _renamed(one.type, value)
        elif getattr(one.type, "__origin__", None) is dict:
            inner = one.type.__args__[1]
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                value = {label: _renamed(inner, item) for label, item in value.items()}
        renamed[one.encode_name] = value
    return renamed


def problems(config: AgentConfig) -> str:
    """What makes the whole impossible; empty when an agent can be started with it. Nomad's wording and order."""
    if not (config.server.enabled or config.client.enabled or config.dev_mode):
        return "Must specify either server, client or dev mode for the agent."
    if re.search(r"[*\0]", config.datacenter):
        return "Datacenter contains invalid characters (null or '*')"
    if "\0" in config.region:
        return "Region contains invalid characters"
    if not config.dev_mode and not config.data_dir:
        return 'Must specify "data_dir" config option or "data-dir" CLI flag'
    for name, value in (
        ("data-dir", config.data_dir),
        ("alloc-dir", config.client.alloc_dir),
        ("state-dir", config.client.state_dir),
    ):
        if value and not value.startswith("/"):
            return f"{name} must be given as an absolute path: got {value}"
    if config.log_level.upper() not in LOG_LEVELS:
        return f"Invalid log level: {config.log_level.upper()}. Valid log levels are: [{' '.join(LOG_LEVELS)}]"
    return _client_problems(config) or _server_problems(config)


def _client_problems(config: AgentConfig) -> str:
    client = config.client
    if client.node_pool == "all":
        return 'Invalid node pool: node is not allowed to register in node pool "all"'
    if not POOL_NAME.match(client.node_pool):
        return f'Invalid node pool: invalid name "{client.node_pool}", must match regex {POOL_NAME.pattern}'
    for name, port in (("min", client.min_dynamic_port), ("max", client.max_dynamic_port)):
        if not 0 <= port <= PORT_MAX:
            return f"Invalid dynamic port range: {name}_dynamic_port={port}"
    if client.min_dynamic_port > client.max_dynamic_port:
        return (
            f"Invalid dynamic port range: min_dynamic_port={client.min_dynamic_port} and "
            f"max_dynamic_port={client.max_dynamic_port}"
        )
    for part in filter(None, client.reserved.reserved_ports.split(",")):
        for number in part.strip().split("-"):
            if not number.isdigit():
                return (
                    f'reserved.reserved_ports "{client.reserved.reserved_ports}" invalid: '
                    f'strconv.ParseUint: parsing "{number}": invalid syntax'
                )
    return ""


def _server_problems(config: AgentConfig) -> str:
    if config.server.enabled and config.server.bootstrap_expect < 0:
        return "bootstrap_expect must not be negative"
    if wrong := _job_limit_problems(config.server):
        return wrong
    if config.acl.enabled:
        return (
            "acl.enabled: access control is not built yet, and an open cluster is not what this asks for; "
            "remove the key to start without it"
        )
    return ""


def _job_limit_problems(server: ServerConfig) -> str:
    if not PRIORITY_MAX_LEAST <= server.job_max_priority <= PRIORITY_MAX_MOST:
        allowed = f"between {PRIORITY_MAX_LEAST} and {PRIORITY_MAX_MOST}"
        return f"job_max_priority cannot be {server.job_max_priority}. Must be {allowed}"
    if not PRIORITY <= server.job_default_priority < server.job_max_priority:
        return (
            f"job_default_priority cannot be {server.job_default_priority}. "
            f"Must be between {PRIORITY} and {server.job_max_priority}"
        )
    if server.job_max_count < 0:
        return f"job_max_count cannot be {server.job_max_count}: 0 is no limit"
    try:
        parse_size(server.job_max_source_size)
    except ValueError as wrong:
        return f"job_max_source_size: {wrong}"
    return ""
