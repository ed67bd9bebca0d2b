"""What of the machine a container sees: the allocation's directories, and more only where the agent allows it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from raftnomad.drivers.docker.settings import Settings
from raftnomad.drivers.driver import DriverError, Task
from raftnomad.drivers.task_config import blocks, flag, number, string_map, strings, text


def binds(task: Task, settings: Settings) -> list[str]:
    """The engine's Binds: the task's own directories, then `volumes`."""
    ending = f":{settings.selinux_label}" if settings.selinux_label else ""
    own = [
        f"{task.alloc_dir}:/alloc{ending}",
        f"{task.task_dir}/local:/local{ending}",
        f"{task.task_dir}/secrets:/secrets{ending}",
        f"{task.log_dir}:/alloc/logs:ro" + (f",{settings.selinux_label}" if settings.selinux_label else ""),
    ]
    return own + [_volume(volume, task, settings) for volume in strings(task.config, "volumes")]


def mounts(task: Task, settings: Settings) -> list[dict[str, Any]]:
    """The engine's Mounts, from `mount` and `mounts`."""
    return [_mount(mount, task, settings) for key in ("mount", "mounts") for mount in blocks(task.config, key) if mount]


def is_inside(path: str, task: Task) -> bool:
    """Whether a path lies in the task's own allocation, links followed: a task can make links."""
    real = os.path.realpath(path)
    alloc = os.path.realpath(task.task_dir.parent)
    return real == alloc or real.startswith(alloc + os.sep)


def _volume(volume: str, task: Task, settings: Settings) -> str:
    # What follows the mode is nothing to Nomad, and so is it here.
    source, *rest = volume.split(":")[:3]
    driver = text(task.config, "volume_driver")
    if not rest:
        raise DriverError(f'invalid docker volume "{volume}": not <src>:<destination> format')
    if not settings.volumes_enabled and driver:
        raise DriverError(f'volumes are not enabled; cannot use volume driver "{driver}"')
    if driver:
        return volume
    path = source if os.path.isabs(source) else os.path.normpath(task.task_dir / source)
    if not settings.volumes_enabled and not is_inside(path, task):
        raise DriverError(f'volumes are not enabled; cannot mount host path: "{volume}"')
    return ":".join([path, *rest])


def _mount(mount: Mapping[str, Any], task: Task, settings: Settings) -> dict[str, Any]:
    kind = text(mount, "type") or "volume"
    source, target = text(mount, "source"), text(mount, "target")
    body: dict[str, Any] = {"Type": kind, "Target": target}
    if flag(mount, "readonly"):
        body["ReadOnly"] = True
    match kind:
        case "bind":
            path = source if os.path.isabs(source) else os.path.normpath(task.task_dir / source)
            if not settings.volumes_enabled and not is_inside(path, task):
                raise DriverError(f'volumes are not enabled; cannot mount host path: "{path}"')
            body["Source"] = path
            for options in blocks(mount, "bind_options"):
                body["BindOptions"] = {"Propagation": text(options, "propagation")}
        case "volume":
            if not settings.volumes_enabled:
                raise DriverError(f'volumes are not enabled; cannot mount volume: "{source}"')
            body["Source"] = source
            for options in blocks(mount, "volume_options"):
                body["VolumeOptions"] = _volume_options(options)
        case "tmpfs":
            for options in blocks(mount, "tmpfs_options"):
                sizes = {"SizeBytes": number(options, "size"), "Mode": number(options, "mode")}
                body["TmpfsOptions"] = {key: value for key, value in sizes.items() if value}
        case _:
            raise DriverError(f'invalid mount type, must be "bind", "volume", "tmpfs": "{kind}"')
    return body


def _volume_options(options: Mapping[str, Any]) -> dict[str, Any]:
    driver = next(iter(blocks(options, "driver_config")), {})
    body: dict[str, Any] = {
        "NoCopy": flag(options, "no_copy"),
        "Labels": string_map(options, "labels"),
        "DriverConfig": {"Name": text(driver, "name"), "Options": string_map(driver, "options")} if driver else {},
    }
    return {key: value for key, value in body.items() if value or key == "DriverConfig"}
