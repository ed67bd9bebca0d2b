"""What the agent's configuration says about Docker, with Nomad's names and defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raftnomad.drivers.task_config import Kind, blocks, flag, number, problems, string_map, strings, text
from raftnomad.durations import parse_duration
from raftnomad.errors import ConfigurationError

DEFAULT_ENDPOINT = "unix:///var/run/docker.sock"

DEFAULT_CAPS = (
    "audit_write",
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "mknod",
    "net_bind_service",
    "setfcap",
    "setgid",
    "setpcap",
    "setuid",
    "sys_chroot",
)

SCHEMA = {
    "endpoint": Kind.STRING,
    "auth": Kind.BLOCK,
    "tls": Kind.BLOCK,
    "extra_labels": Kind.STRINGS,
    "logging": Kind.BLOCK,
    "gc": Kind.BLOCK,
    "volumes": Kind.BLOCK,
    "allow_privileged": Kind.BOOL,
    "allow_caps": Kind.STRINGS,
    "nvidia_runtime": Kind.STRING,
    "allow_runtimes": Kind.STRINGS,
    "infra_image": Kind.STRING,
    "infra_image_pull_timeout": Kind.STRING,
    "image_pull_timeout": Kind.STRING,
    "pull_activity_timeout": Kind.STRING,
    "container_exists_attempts": Kind.NUMBER,
    "oom_score_adj": Kind.NUMBER,
    "pids_limit": Kind.NUMBER,
    "disable_log_collection": Kind.BOOL,
    "windows_allow_insecure_container_admin": Kind.BOOL,
    "allowed_modes": Kind.BLOCK,
    # Not Nomad's: the client's own knowledge, for `cpu_hard_limit`, and the agent's option `env.denylist`.
    "total_compute_mhz": Kind.NUMBER,
    "env_denylist": Kind.STRINGS,
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Times are seconds."""

    endpoint: str = DEFAULT_ENDPOINT
    tls: Mapping[str, str] = field(default_factory=dict)
    """`cert`, `key`, `ca`: paths."""
    auth_file: str = ""
    extra_labels: tuple[str, ...] = ()
    log_driver: str = "json-file"
    log_options: Mapping[str, str] = field(default_factory=lambda: {"max-file": "2", "max-size": "2m"})
    remove_containers: bool = True
    volumes_enabled: bool = False
    selinux_label: str = ""
    allow_privileged: bool = False
    allow_caps: tuple[str, ...] = DEFAULT_CAPS
    allow_runtimes: tuple[str, ...] = ("runc", "nvidia")
    allowed_modes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By `pid`, `ipc`, `userns`, `uts`."""
    image_pull_timeout_s: float = 300.0
    pull_activity_timeout_s: float = 120.0
    container_exists_attempts: int = 5
    oom_score_adj: int | None = None
    pids_limit: int = 0
    disable_log_collection: bool = False
    total_compute_mhz: int = 0
    cores: int = 0


def parse_settings(plugin: Mapping[str, Any]) -> Settings:
    """The `config` of the agent's `plugin "docker"` block; raises ConfigurationError that names the key."""
    wrong = problems(plugin, SCHEMA)
    if wrong:
        raise ConfigurationError(f'plugin "docker": {wrong[0]}')
    auth, tls, logging, gc, volumes, modes = (
        next(iter(blocks(plugin, key)), {}) for key in ("auth", "tls", "logging", "gc", "volumes", "allowed_modes")
    )
    if auth.get("helper"):
        raise ConfigurationError('plugin "docker": auth.helper is not built yet; use auth.config')
    standard = Settings()
    return Settings(
        endpoint=text(plugin, "endpoint") or os.environ.get("DOCKER_HOST", "") or DEFAULT_ENDPOINT,
        tls={key: str(value) for key, value in tls.items() if value},
        auth_file=text(auth, "config"),
        extra_labels=tuple(strings(plugin, "extra_labels")),
        log_driver=text(logging, "type") or standard.log_driver,
        log_options=string_map(logging, "config") or ({} if text(logging, "type") else standard.log_options),
        remove_containers=flag(gc, "container", True),
        volumes_enabled=flag(volumes, "enabled"),
        selinux_label=text(volumes, "selinuxlabel"),
        allow_privileged=flag(plugin, "allow_privileged"),
        allow_caps=tuple(_cap(name) for name in strings(plugin, "allow_caps")) or DEFAULT_CAPS,
        allow_runtimes=tuple(strings(plugin, "allow_runtimes")) or standard.allow_runtimes,
        allowed_modes={kind: tuple(strings(modes, kind)) for kind in modes},
        image_pull_timeout_s=_seconds(plugin, "image_pull_timeout", standard.image_pull_timeout_s),
        pull_activity_timeout_s=_seconds(plugin, "pull_activity_timeout", standard.pull_activity_timeout_s),
        container_exists_attempts=number(plugin, "container_exists_attempts", 5),
        oom_score_adj=number(plugin, "oom_score_adj") if plugin.get("oom_score_adj") is not None else None,
        pids_limit=number(plugin, "pids_limit"),
        disable_log_collection=flag(plugin, "disable_log_collection"),
        total_compute_mhz=number(plugin, "total_compute_mhz"),
        cores=os.cpu_count() or 1,
    )


def _cap(name: str) -> str:
    return name.lower().removeprefix("cap_")


def _seconds(plugin: Mapping[str, Any], key: str, standard: float) -> float:
    value = text(plugin, key)
    try:
        return parse_duration(value) / 1e9 if value else standard
    except ValueError as error:
        raise ConfigurationError(f'plugin "docker": {key}: {error}') from error
