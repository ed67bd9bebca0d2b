"""`job inspect` and `job history`: a job as the servers have it, and as they had it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, full_json, one_format
from raftnomad.cli.job import job_path, parse_version
from raftnomad.cli.job_diff import job_diff
from raftnomad.cli.lookup import asked, job_by_prefix, one_argument
from raftnomad.cli.output import error, key_values, local_time, out
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, UnexpectedResponse


@command("[options] <job>")
@option("version", "Show the job at this version", default=None)
@switch("json", "Output the job in its JSON format; the default")
@switch("hcl", "Show the job file as it was submitted")
@switch("with-vars", "With -hcl: also say with which variables it was submitted")
@option("t", "Format and display the job using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def inspect(
    api: ApiClient,
    version: str | None,
    json: bool,
    hcl: bool,
    with_vars: bool,
    template: str | None,
    arguments: tuple[str, ...],
) -> int:
    """Show a job as the servers have it, in JSON."""
    one_format(json, template)
    if hcl and json:
        raise RaftnomadError("can only use one of -hcl or -json")
    if with_vars and not hcl:
        raise RaftnomadError("can only use -with-vars with -hcl")
    argument = one_argument(arguments, "This command takes one argument: <job>")
    namespace, job_id = job_by_prefix(api, argument, "Error inspecting job")
    job = _job_at(api, job_id, version, {"namespace": namespace})
    if hcl:
        submission = _submission(api, namespace, job_id, job["Version"])
        out(submission["Source"].rstrip("\n"))
        if with_vars:
            error(_run_again(namespace, job_id, submission))
        return 0
    out(formatted(job, template, "Job") if template else full_json({"Job": job}, "JobFile"))
    return 0


def _submission(api: ApiClient, namespace: str, job_id: str, version: int) -> dict[str, Any]:
    query = {"namespace": namespace, "version": str(version)}
    try:
        found: dict[str, Any] | None = api.get(f"{job_path(job_id)}/submission", query).json()
    except UnexpectedResponse as failed:
        if failed.status != 404:
            raise RaftnomadError(f"Error inspecting job: {failed}") from failed
        found = None
    if found is None:
        raise RaftnomadError(_not_found(job_id, str(version)))
    return found


def _not_found(job_id: str, version: str) -> str:
    return f'Error inspecting job: job "{job_id}" with version {version} couldn\'t be found'


def _run_again(namespace: str, job_id: str, submission: dict[str, Any]) -> str:
    """The commands that submit a job once more, with its variables."""
    pairs = [f"{name}={value}" for name, value in sorted((submission.get("VariableFlags") or {}).items())]
    lines = (submission.get("Variables") or "").splitlines()
    pairs += ["=".join(part.strip() for part in line.split("=", 1)) for line in lines if "=" in line]
    flags = "".join(f" -var {shlex.quote(pair)}" for pair in pairs)
    return (
        "\nTo run this job as originally submitted:\n\n"
        f"$ nomad job inspect -namespace {namespace} -hcl {job_id} |\n"
        f"    nomad job run -namespace {namespace}{flags} -\n"
    )


def _job_at(api: ApiClient, job_id: str, version: str | None, query: Mapping[str, str]) -> dict[str, Any]:
    if version is None:
        found: dict[str, Any] = asked("Error inspecting job", lambda: api.get(job_path(job_id), query).json())
        return found
    answer = asked("Error retrieving job versions", lambda: api.get(f"{job_path(job_id)}/versions", query).json())
    for job in answer["Versions"] or ():
        if job["Version"] == parse_version(version):
            return dict(job)
    raise RaftnomadError(_not_found(job_id, version))


@command("[options] <job>")
@switch("p", "Show what changed from each version to the next", variable="differences")
@switch("full", "Show the whole job of each version")
@option("version", "Show this version only", default=None)
@option("diff-tag", "With -p: what differs from the version of this tag", default="")
@option("diff-version", "With -p: what differs from this version", default="")
@switch("json", "Output the versions in their JSON format")
@option("t", "Format and display versions using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def history(
    api: ApiClient,
    differences: bool,
    full: bool,
    version: str | None,
    diff_tag: str,
    diff_version: str,
    json: bool,
    template: str | None,
    arguments: tuple[str, ...],
) -> int:
    """Show the versions of a job that the servers keep, newest first."""
    one_format(json, template)
    if diff_tag and diff_version:
        raise RaftnomadError("-diff-tag and -diff-version are mutually exclusive")
    argument = one_argument(arguments, "This command takes one argument: <job>")
    wanted = None if version is None else parse_version(version)
    namespace, job_id = job_by_prefix(api, argument, "Error querying job")
    query = {"namespace": namespace, "diffs": "true" if differences else ""}
    query |= {"diff_tag": diff_tag, "diff_version": diff_version}
    query = {name: value for name, value in query.items() if value}
    failing = "Error retrieving job versions"
    answer = asked(failing, lambda: api.get(f"{job_path(job_id)}/versions", query).json())
    versions, diffs = answer["Versions"] or [], answer.get("Diffs") or []
    if diff_tag or diff_version:
        # The version that the others are compared with has no difference.
        diffs = _diffs_beside(versions, diffs, diff_tag, diff_version)
    pairs = list(zip_longest(versions, diffs[: len(versions)]))
    if wanted is not None:
        pairs = [(job, diff) for job, diff in pairs if job["Version"] == wanted]
        if not pairs:
            raise RaftnomadError("Error printing job history for non-existing job or job version")
    if json or template:
        jobs = [job for job, _ in pairs]
        out(formatted(jobs[0] if wanted is not None else jobs, template, "Job"))
        return 0
    out("\n\n".join(_version_text(job, diff if differences else None, full) for job, diff in pairs))
    return 0


def _version_text(job: dict[str, Any], diff: dict[str, Any] | None, full: bool) -> str:
    pairs = [
        ("Version", str(job["Version"])),
        ("Stable", str(job["Stable"]).lower()),
        ("Submit Date", local_time(job["SubmitTime"])),
    ]
    if tag := job.get("VersionTag"):
        pairs += [("Tag Name", tag["Name"])] + ([("Tag Description", tag["Description"])] if tag["Description"] else [])
    if diff is not None:
        pairs.append(("Diff", f"\n{job_diff(diff, False)}"))
    text = key_values(pairs)
    return f"{text}\n{full_json(job, 'Job')}" if full else text


def _diffs_beside(versions: list[Any], diffs: list[Any], tag: str, version: str) -> list[Any]:
    left = iter(diffs)

    def is_base(job: dict[str, Any]) -> bool:
        return bool((job.get("VersionTag") or {}).get("Name") == tag if tag else str(job["Version"]) == version)

    return [None if is_base(job) else next(left, None) for job in versions]
