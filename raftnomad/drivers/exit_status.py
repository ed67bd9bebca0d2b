"""What an executor leaves in its directory: the file that says how the task stands, and how it ended.

The end is on disk before anybody is told, so that no crash of agent, executor or machine turns an exit code that was
reported once into another.
"""

from __future__ import annotations

import json
import os
from typing import Any

FILE = "status.json"

VERSION = 1

Status = dict[str, Any]
"""`version`, `run`, `task_id`, `state` ("running", "exited" or "lost"), `pid`, `start_time`, `executor_pid`,
`executor_start_time`, `boot_id`, `groups`; when ended also `exit_code`, `signal`, `oom_killed`, `error`."""


def write(directory: str, status: Status) -> None:
    path = os.path.join(directory, FILE)
    fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, json.dumps(status).encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(path + ".new", path)
    parent = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def read(directory: str) -> Status | None:
    """The status, or None when there is none; raises ValueError for one that a newer version has written."""
    try:
        with open(os.path.join(directory, FILE), "rb") as file:
            status = json.loads(file.read())
    except FileNotFoundError:
        return None
    if not isinstance(status, dict) or status.get("version") != VERSION:
        raise ValueError(f"{directory}/{FILE} is of a version that this raftnomad can't read")
    return status
