"""The job file that a command names: read, parsed here and not by the servers, and what went wrong told."""

from __future__ import annotations

import os
import sys
import urllib.parse
from pathlib import Path
from typing import Any

from raftnomad.errors import RaftnomadError


class JobSource:
    """A job as the API takes it, with the text that it came from."""

    def __init__(self, job: dict[str, Any], submission: dict[str, Any]) -> None:
        self.job = job
        self.submission = submission

    @property
    def path(self) -> str:
        return f"/v1/job/{urllib.parse.quote(self.job['ID'], safe='')}"


def load_job(
    path: str, *, as_json: bool, strict: bool, variables: tuple[str, ...], variable_files: tuple[str, ...]
) -> JobSource:
    """Parse the file at `path` (`-` is standard input); raises with Nomad's wording."""
    if as_json and (variables or variable_files):
        raise RaftnomadError("Invalid job options: cannot use variables with JSON files.")
    text = _read(path)
    read_files = tuple((name, _read_variables(path, name)) for name in variable_files)
    failing = "Error getting job struct"
    from raftnomad.jobspec import parse_api_job

    try:
        job = parse_api_job(
            text,
            "stdin" if path == "-" else os.path.basename(path),
            as_json=as_json,
            strict=strict,
            variables=variables,
            variable_files=read_files,
            environment=os.environ,
        )
    except RaftnomadError as wrong:
        raise RaftnomadError(f"{failing}: {wrong}") from wrong
    submission = {
        "Source": text,
        "Format": "json" if as_json else "hcl2",
        "VariableFlags": {n: v for n, _, v in (flag.partition("=") for flag in variables)},
        "Variables": "\n".join(content for _, content in read_files),
    }
    return JobSource(job, submission)


def _read(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text()
    except FileNotFoundError:
        raise RaftnomadError(
            f'Error getting job struct: Error getting jobfile from "{path}": '
            f"source path error: stat {os.path.abspath(path)}: no such file or directory"
        ) from None
    except (OSError, UnicodeDecodeError) as wrong:
        raise RaftnomadError(f'Error getting job struct: Error getting jobfile from "{path}": {wrong}') from wrong


def _read_variables(job_path: str, path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as wrong:
        why = (wrong.strerror or "").lower() if isinstance(wrong, OSError) else str(wrong)
        raise RaftnomadError(
            f"Error getting job struct: Error parsing job file from {job_path}:\nunable to parse var file: <nil>: "
            f'Failed to read file; failed to read "{path}": open {path}: {why}'
        ) from wrong
