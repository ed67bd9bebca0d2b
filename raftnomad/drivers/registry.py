"""Which drivers this agent has: the built-in ones and other people's, found by their entry points.

A package brings a driver by the entry point group `raftnomad.drivers`: `name = module:Class`, where
`Class(settings, state_dir)` is a `Driver`. One that cannot be loaded is reported and left out: the agent starts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, cast

from raftnomad.drivers.driver import Driver

GROUP = "raftnomad.drivers"

BUILT_IN = {
    "raw_exec": "raftnomad.drivers.raw_exec:RawExecDriver",
    "docker": "raftnomad.drivers.docker:DockerDriver",
    "mock_driver": "raftnomad.drivers.mock:MockDriver",
}

DriverClass = Callable[[Mapping[str, Any], Path], Driver]

logger = logging.getLogger(__name__)


def load_drivers(
    plugins: Mapping[str, Mapping[str, Any]], options: Mapping[str, str], state_dir: Path
) -> dict[str, Driver]:
    """The drivers by name. `plugins`: the `config` of each `plugin` block of the agent's configuration, by name;
    `options`: the client's `options`, which name drivers to allow or deny and hold a few older settings."""
    allowed = _names(options.get("driver.allowlist", options.get("driver.whitelist", "")))
    denied = _names(options.get("driver.denylist", options.get("driver.blacklist", "")))
    drivers: dict[str, Driver] = {}
    for name, entry in sorted(_found().items()):
        if name in denied or (allowed and name not in allowed):
            continue
        try:
            make = cast("DriverClass", entry())
            drivers[name] = make(settings_of(name, plugins.get(name), options), state_dir / name)
        except ImportError as error:
            logger.warning("driver %s can't be loaded and is left out: %s", name, error)
    return drivers


def settings_of(name: str, plugin: Mapping[str, Any] | None, options: Mapping[str, str]) -> dict[str, Any]:
    """A driver's settings: its plugin block, or else what the client's older options say about it, never both."""
    settings = dict(plugin or {})
    if "env.denylist" in options or "env.blacklist" in options:
        listed = options.get("env.denylist", options.get("env.blacklist", ""))
        settings.setdefault("env_denylist", sorted(_names(listed)))
    if plugin is not None:
        return settings
    if name == "raw_exec" and "driver.raw_exec.enable" in options:
        settings["enabled"] = _is_true(options["driver.raw_exec.enable"])
    if name == "docker":
        if "docker.endpoint" in options:
            settings["endpoint"] = options["docker.endpoint"]
        if "docker.volumes.enabled" in options:
            settings["volumes"] = {"enabled": _is_true(options["docker.volumes.enabled"])}
        if "docker.privileged.enabled" in options:
            settings["allow_privileged"] = _is_true(options["docker.privileged.enabled"])
    return settings


def _found() -> dict[str, Callable[[], Any]]:
    """How to load each driver's class; a built-in one can be replaced, by an entry point of its name."""
    found: dict[str, Callable[[], Any]] = {name: _loader(path) for name, path in BUILT_IN.items()}
    for entry in entry_points(group=GROUP):
        found[entry.name] = _entry_loader(entry)
    return found


def _loader(path: str) -> Callable[[], Any]:
    module, _, name = path.partition(":")
    return lambda: getattr(import_module(module), name)


def _entry_loader(entry: EntryPoint) -> Callable[[], Any]:
    return entry.load


def _names(text: str) -> set[str]:
    return {part.strip() for part in text.split(",") if part.strip()}


def _is_true(text: str) -> bool:
    return text.strip().lower() in ("1", "t", "true")
