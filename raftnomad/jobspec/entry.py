"""The ways into this package: by HCL or JSON, with a command line's variables or a request's."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from raftnomad.errors import BadRequest, JobFileError
from raftnomad.hcl.diagnostics import HclError, Source
from raftnomad.hcl.functions import standard_functions
from raftnomad.jobspec.files import DISABLED_FILE_FUNCTIONS, FILE_FUNCTIONS
from raftnomad.jobspec.job_file import read_job, syntax_error
from raftnomad.jobspec.variables import Given, read_values
from raftnomad.model import submitted, wire
from raftnomad.model.api_defaults import fill
from raftnomad.model.defaults import canonicalize
from raftnomad.model.validation import multierror, multiwarning, validate, warnings


def parse_job(
    text: str,
    filename: str = "input.hcl",
    *,
    variables: str | Mapping[str, str] = "",
    variable_files: Sequence[tuple[str, str]] = (),
    environment: Mapping[str, str] = {},
    strict: bool = False,
    files: bool = False,
    canonical: bool = False,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> submitted.Job:
    """The job of a file in HCL or its JSON form; raises JobFileError.

    `variables` is the text of a variable file, or values by name. `strict` refuses values for undeclared variables,
    `files` allows the functions that read files, `canonical` fills in the defaults of Nomad's API package.
    """
    flags: tuple[str, ...] = ()
    if isinstance(variables, str):
        if variables:
            _check_variables(variables)
            variable_files = (*variable_files, ("input.hcl", variables))
    else:
        flags = tuple(f"{name}={value}" for name, value in variables.items())
    given = Given(flags=flags, files=variable_files, environment=environment, strict=strict)
    job = _read(text, filename, given, files, random_bytes)
    return fill(job) if canonical else job


def _check_variables(text: str) -> None:
    try:
        read_values(Source("input.hcl", text))
    except HclError as error:
        raise syntax_error(error.diagnostics, "unable to parse var content: ") from None


def _read(text: str, filename: str, given: Given, files: bool, random_bytes: Callable[[int], bytes]) -> submitted.Job:
    standard = standard_functions(random_bytes)
    no_files = {**standard, **DISABLED_FILE_FUNCTIONS}
    return read_job(Source(filename, text), given, {**standard, **FILE_FUNCTIONS} if files else no_files, no_files)


def parse_api_job(
    text: str,
    filename: str,
    *,
    as_json: bool = False,
    strict: bool = True,
    variables: Sequence[str] = (),
    variable_files: Sequence[tuple[str, str]] = (),
    environment: Mapping[str, str] = {},
    shown_as: str | None = None,
) -> dict[str, Any]:
    """A job in the API's spelling, for a command line that reads files; raises JobFileError in Nomad's words.

    `variables` are flags, `name=value`; `shown_as` is the path in the message, by default the name of the file.
    """
    if as_json:
        if variables or variable_files:
            raise JobFileError("Invalid job options: cannot use variables with JSON files.")
        return to_api(parse_json_job(text))
    given = Given(flags=variables, files=variable_files, environment=environment, strict=strict)
    try:
        job = _read(text, filename, given, True, os.urandom)
    except JobFileError as error:
        path = shown_as or ("-" if filename == "stdin" else filename)
        raise JobFileError(f"Error parsing job file from {path}:\n{error}", error.diagnostics) from None
    return to_api(job)


class _Nested(submitted.Job, frozen=True, kw_only=True):
    """A job as a file holds it: inside of `Job`, or bare."""

    job: submitted.Job | None = None


def parse_json_job(text: str) -> submitted.Job:
    """The job of a text in the API's JSON form, with or without `Job` around it; raises JobFileError."""
    try:
        fields = wire.named(_Nested, wire.read(text.encode() or b" "))
    except BadRequest as error:
        raise JobFileError(f"Failed to parse JSON job: {_as_nested(str(error))}") from None
    inner = fields.pop("Job", None)
    return msgspec.convert(fields if inner is None else inner, submitted.Job)


def _as_nested(message: str) -> str:
    """Go's words for a struct that is a job and may also contain one."""
    message = re.sub(r"Go struct field (\w+)\.(?:Job\.)?", r"Go struct field \1.Job.", message)
    message = message.replace("Go struct field _Nested.", "Go struct field .")
    both = 'struct { NestedJob *api.Job "json:\\"Job\\""; api.Job }'
    return message.replace("type api._Nested", f"type {both}")


def to_api(job: submitted.Job) -> dict[str, Any]:
    """The job in Nomad's spelling, with null for what it does not say."""
    built: dict[str, Any] = msgspec.to_builtins(job)
    return built


def validate_api_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """What a server would say to a job, as far as that can be seen without one: the answer of `/v1/validate/job`."""
    complete = canonicalize(job)
    errors, odd = validate(complete), warnings(complete)
    return {
        "DriverConfigValidated": True,
        "ValidationErrors": errors or None,
        "Error": multierror(errors) if errors else "",
        "Warnings": multiwarning(odd) if odd else "",
    }
