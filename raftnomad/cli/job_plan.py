"""`job plan` and `job validate`: what a job file would do, and whether it is one."""

from __future__ import annotations

import datetime
import time
from typing import Any

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted
from raftnomad.cli.job_children import from_now
from raftnomad.cli.job_diff import job_diff
from raftnomad.cli.job_file import load_job
from raftnomad.cli.lookup import asked, one_argument
from raftnomad.cli.metrics import placement_failure
from raftnomad.cli.output import error, out
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, ConnectionFailed

PLAN_FAILED = 255


@command("[options] <path>")
@option("diff", "Whether to show what would change in the job", default="true")
@switch("json", "The file is JSON, not HCL")
@option("hcl2-strict", "Whether unknown variables are errors", default="true")
@switch("json-output", "Print the plan in JSON", variable="as_json")
@option("t", "Format and display the plan using a Go template", default=None, variable="template")
@switch("policy-override", "Accepted for Nomad's sake; there are no soft policies")
@option("vault-namespace", "Accepted for Nomad's sake; there is no Vault", default="")
@option("var", "A variable of the job file: key=value", multiple=True)
@option("var-file", "A file of variables", multiple=True)
@switch("verbose", "Show the whole diff")
@connects
@click.argument("arguments", nargs=-1)
def plan(
    api: ApiClient,
    diff: str,
    json: bool,
    hcl2_strict: str,
    as_json: bool,
    template: str | None,
    policy_override: bool,
    vault_namespace: str,
    var: tuple[str, ...],
    var_file: tuple[str, ...],
    verbose: bool,
    arguments: tuple[str, ...],
) -> int:
    """Say what running a job file would do, without doing it.

    Exit codes: 0 nothing would be created or destroyed, 1 something would, 255 the plan failed.
    """
    path = one_argument(arguments, "This command takes one argument: <path>")
    try:
        if as_json and template:
            raise RaftnomadError("Both -json-output and -t formatting are not allowed")
        source = load_job(path, as_json=json, strict=hcl2_strict != "false", variables=var, variable_files=var_file)
        if api.settings.namespace and not source.job.get("Namespace"):
            source.job["Namespace"] = api.settings.namespace
        body = {"Job": source.job, "Diff": diff != "false", "PolicyOverride": policy_override}
        answer = asked("Error during plan", lambda: api.put(f"{source.path}/plan", body).json())
    except RaftnomadError as failed:
        error(str(failed))
        return PLAN_FAILED
    if as_json or template:
        plan = {"CreatedEvals": None, "FailedTGAllocs": None, "Warnings": "", **answer}
        plan.pop("Index", None)
        out(formatted(plan, template))
        return _plan_code(answer)
    if answer.get("Diff"):
        out(job_diff(answer["Diff"], verbose) + "\n")
    _dry_run(answer)
    flags = f' -namespace="{api.settings.namespace}"' if api.settings.namespace else ""
    flags += "".join(f' -var="{value}"' for value in var) + "".join(f' -var-file="{name}"' for name in var_file)
    index = answer["JobModifyIndex"]
    out(f"Job Modify Index: {index}\nTo submit the job with version verification run:\n")
    out(f"nomad job run -check-index {index}{flags} {path}\n")
    out(
        "When running the job with the check-index flag, the job will only be run if the\n"
        "job modify index given matches the server-side version. If the index has\n"
        "changed, another user has modified the job and the plan's results are\n"
        "potentially invalid."
    )
    return _plan_code(answer)


def _dry_run(answer: dict[str, Any]) -> None:
    lines = ["Scheduler dry-run:"]
    failed = answer.get("FailedTGAllocs") or {}
    if not failed:
        lines.append("- All tasks successfully allocated.")
    else:
        lines.append("- WARNING: Failed to place all allocations.")
    for group, metrics in sorted(failed.items()):
        count = metrics.get("CoalescedFailures", 0) + 1
        plural = "s" if count > 1 else ""
        lines.append(f'  Task Group "{group}" (failed to place {count} allocation{plural}):')
        lines += placement_failure(metrics, "    ")
    if launch := answer.get("NextPeriodicLaunch"):
        lines.append(f"- If submitted now, next periodic launch would be at {_from_now(launch)}.")
    out("\n".join(lines) + "\n")
    if warnings := answer.get("Warnings"):
        out(f"Job Warnings:\n{warnings}\n")


def _from_now(launch: str) -> str:
    now_ns = time.time_ns()  # noqa: TID251 - for a time that is told to a person
    return from_now(datetime.datetime.fromisoformat(launch), now_ns)


def _plan_code(answer: dict[str, Any]) -> int:
    updates = ((answer.get("Annotations") or {}).get("DesiredTGUpdates") or {}).values()
    failed = answer.get("FailedTGAllocs") or {}
    placed = sum(update["Place"] for update in updates) - sum(
        m.get("CoalescedFailures", 0) + 1 for m in failed.values()
    )
    changed = placed > 0 or any(
        update[name] for update in updates for name in ("Stop", "Migrate", "DestructiveUpdate", "Canary")
    )
    return 1 if changed else 0


@command("[options] <path>")
@switch("json", "The file is JSON, not HCL")
@option("hcl2-strict", "Whether unknown variables are errors", default="true")
@option("var", "A variable of the job file: key=value", multiple=True)
@option("var-file", "A file of variables", multiple=True)
@option("vault-namespace", "Accepted for Nomad's sake; there is no Vault", default="")
@connects
@click.argument("arguments", nargs=-1)
def validate(
    api: ApiClient,
    json: bool,
    hcl2_strict: str,
    var: tuple[str, ...],
    var_file: tuple[str, ...],
    vault_namespace: str,
    arguments: tuple[str, ...],
) -> int:
    """Check a job file: here for what can be seen without an agent, there for the rest."""
    path = one_argument(arguments, "This command takes one argument: <path>")
    source = load_job(path, as_json=json, strict=hcl2_strict != "false", variables=var, variable_files=var_file)
    try:
        answer = api.put("/v1/validate/job", {"Job": source.job}).json()
    except ConnectionFailed:
        answer = _validate_here(source.job)
        out("Error contacting the agent; the job was validated locally, without its drivers and namespace.")
    errors = answer.get("ValidationErrors") or []
    if answer.get("Error"):
        error(f"Job validation errors:\n{answer['Error']}" if errors else str(answer["Error"]))
        return 1
    if warnings := answer.get("Warnings"):
        out(f"Job Warnings:\n{warnings}\n")
    out("Job validation successful")
    return 0


def _validate_here(job: dict[str, Any]) -> dict[str, Any]:
    from raftnomad.jobspec import validate_api_job

    return dict(validate_api_job(job))
