"""`job plan`, `stop`, `validate`, `inspect`, `history`, `eval`, `allocs` and `deployments`."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import Any

import click

from raftnomad.cli.deployment import deployment_table
from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, full_json, one_format
from raftnomad.cli.job_diff import job_diff
from raftnomad.cli.job_file import load_job
from raftnomad.cli.lookup import asked, confirm, job_by_prefix, one_argument, raise_usage
from raftnomad.cli.metrics import placement_failure
from raftnomad.cli.monitor import Monitor, allocation_table
from raftnomad.cli.output import error, key_values, local_time, out
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, ConnectionFailed

PLAN_FAILED = 255


def job_path(job_id: str) -> str:
    return f"/v1/job/{urllib.parse.quote(job_id, safe='')}"


@command("[options] <path>")
@option("diff", "Whether to show what would change in the job", default="true")
@switch("json", "The file is JSON, not HCL")
@option("hcl2-strict", "Whether unknown variables are errors", default="true")
@switch("policy-override", "Accepted for Nomad's sake; there are no soft policies")
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
    policy_override: bool,
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
        source = load_job(path, as_json=json, strict=hcl2_strict != "false", variables=var, variable_files=var_file)
        if api.settings.namespace and not source.job.get("Namespace"):
            source.job["Namespace"] = api.settings.namespace
        body = {"Job": source.job, "Diff": diff != "false", "PolicyOverride": policy_override}
        answer = asked("Error during plan", lambda: api.put(f"{source.path}/plan", body).json())
    except RaftnomadError as failed:
        error(str(failed))
        return PLAN_FAILED
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
    out("\n".join(lines) + "\n")
    if warnings := answer.get("Warnings"):
        out(f"Job Warnings:\n{warnings}\n")


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


@command("[options] <job>...")
@switch("detach", "Return immediately instead of following the evaluation")
@option("eval-priority", "The priority of the evaluation", type=int, default=0)
@switch("global", "Accepted for Nomad's sake; there is one region", variable="everywhere")
@switch("no-shutdown-delay", "Ignore the groups' and tasks' shutdown_delay")
@switch("purge", "Forget the job at once instead of keeping it until garbage collection")
@switch("yes", "Answer yes to every question")
@switch("verbose", "Display full information")
@connects
@click.argument("arguments", nargs=-1)
def stop(
    api: ApiClient,
    detach: bool,
    eval_priority: int,
    everywhere: bool,
    no_shutdown_delay: bool,
    purge: bool,
    yes: bool,
    verbose: bool,
    arguments: tuple[str, ...],
) -> int:
    """Stop jobs: their allocations end, and nothing takes their place."""
    if not arguments:
        raise_usage("This command takes at least one argument: <job>")
    code = 0
    for argument in arguments:
        namespace, job_id = job_by_prefix(api, argument, "Error deregistering job")
        if job_id != argument and not yes:
            question = f'Are you sure you want to stop job "{job_id}"?'
            if not confirm(question):
                out("Cancelling job stop")
                continue
        query = {"namespace": namespace, "purge": str(purge).lower()}
        query |= {"no_shutdown_delay": "true"} if no_shutdown_delay else {}
        query |= {"global": "true"} if everywhere else {}
        query |= {"eval_priority": str(eval_priority)} if eval_priority else {}
        eval_id = _deregister(api, job_id, query)
        if not eval_id:
            continue
        if detach:
            out(eval_id)
            continue
        code = max(code, Monitor(api, verbose).follow(eval_id))
    return code


def _deregister(api: ApiClient, job_id: str, query: dict[str, str]) -> str:
    answer = asked("Error deregistering job", lambda: api.delete(job_path(job_id), query).json())
    return str(answer.get("EvalID", ""))


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


@command("[options] <job>")
@option("version", "Show the job at this version", default=None)
@switch("json", "Output the job in its JSON format; the default")
@switch("hcl", "Show the job file as it was submitted")
@option("t", "Format and display the job using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def inspect(
    api: ApiClient, version: str | None, json: bool, hcl: bool, template: str | None, arguments: tuple[str, ...]
) -> int:
    """Show a job as the servers have it, in JSON."""
    one_format(json, template)
    argument = one_argument(arguments, "This command takes one argument: <job>")
    namespace, job_id = job_by_prefix(api, argument, "Error inspecting job")
    query = {"namespace": namespace}
    job = _job_at(api, job_id, version, query)
    if hcl:
        where = {**query, "version": str(job["Version"])}
        submission = asked(
            "Error retrieving job source", lambda: api.get(f"{job_path(job_id)}/submission", where).json()
        )
        out(submission["Source"].rstrip("\n"))
        return 0
    out(formatted(job, template, "Job") if template else full_json({"Job": job}, "JobFile"))
    return 0


def _job_at(api: ApiClient, job_id: str, version: str | None, query: Mapping[str, str]) -> dict[str, Any]:
    if version is None:
        found: dict[str, Any] = asked("Error inspecting job", lambda: api.get(job_path(job_id), query).json())
        return found
    answer = asked("Error retrieving job versions", lambda: api.get(f"{job_path(job_id)}/versions", query).json())
    for job in answer["Versions"] or ():
        if job["Version"] == _version(version):
            return dict(job)
    raise RaftnomadError(f"Error retrieving job: job version {version} doesn't exist")


def _version(text: str) -> int:
    if not text.isdigit():
        raise RaftnomadError(
            f'Error parsing version value "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)


@command("[options] <job>")
@switch("p", "Show what changed from each version to the next", variable="differences")
@switch("full", "Show the whole job of each version")
@option("version", "Show this version only", default=None)
@switch("json", "Output the versions in their JSON format")
@option("t", "Format and display versions using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def history(
    api: ApiClient,
    differences: bool,
    full: bool,
    version: str | None,
    json: bool,
    template: str | None,
    arguments: tuple[str, ...],
) -> int:
    """Show the versions of a job that the servers keep, newest first."""
    one_format(json, template)
    argument = one_argument(arguments, "This command takes one argument: <job>")
    wanted = None if version is None else _version(version)
    namespace, job_id = job_by_prefix(api, argument, "Error querying job")
    query = {"namespace": namespace} | ({"diffs": "true"} if differences else {})
    failing = "Error retrieving job versions"
    answer = asked(failing, lambda: api.get(f"{job_path(job_id)}/versions", query).json())
    diffs: list[Any] = [*(answer.get("Diffs") or []), None]
    pairs = [(job, diffs[i] if i < len(diffs) else None) for i, job in enumerate(answer["Versions"] or ())]
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


@command("[options] <job>")
@switch("verbose", "Display full information")
@switch("all", "Also allocations of an older job of this name", variable="everything")
@switch("json", "Output the allocations in their JSON format")
@option("t", "Format and display allocations using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def allocs(
    api: ApiClient, verbose: bool, everything: bool, json: bool, template: str | None, arguments: tuple[str, ...]
) -> int:
    """List the allocations of a job."""
    import time

    one_format(json, template)
    argument = one_argument(arguments, "This command takes one argument: <job>")
    namespace, job_id = job_by_prefix(api, argument, "Error listing jobs")
    query = {"namespace": namespace} | ({"all": "true"} if everything else {})
    failing = "Error retrieving allocations"
    rows = asked(failing, lambda: api.get(f"{job_path(job_id)}/allocations", query).json()) or []
    if json or template:
        out(formatted(rows, template, "AllocationListStub"))
        return 0
    rows.sort(key=lambda row: row["CreateTime"], reverse=True)
    now_ns = time.time_ns()  # noqa: TID251 - for ages, as the user's clock sees them
    out(allocation_table(rows, verbose=verbose, now_ns=now_ns))
    return 0


@command("[options] <job>")
@switch("latest", "Only the newest deployment")
@switch("all", "Also deployments of an older job of this name", variable="everything")
@switch("verbose", "Display full information")
@switch("json", "Output the deployments in their JSON format")
@option("t", "Format and display deployments using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def deployments(
    api: ApiClient,
    latest: bool,
    everything: bool,
    verbose: bool,
    json: bool,
    template: str | None,
    arguments: tuple[str, ...],
) -> int:
    """List the deployments of a job, newest first."""
    one_format(json, template)
    argument = one_argument(arguments, "This command takes one argument: <job>")
    namespace, job_id = job_by_prefix(api, argument, "Error listing jobs")
    query = {"namespace": namespace} | ({"all": "true"} if everything else {})
    failing = "Error retrieving deployments"
    rows = asked(failing, lambda: api.get(f"{job_path(job_id)}/deployments", query).json()) or []
    rows.sort(key=lambda row: row["CreateIndex"], reverse=True)
    rows = rows[:1] if latest else rows
    if json or template:
        out(formatted(rows, template, "Deployment"))
        return 0
    out(deployment_table(rows, verbose) if rows else "No deployments found")
    return 0


@command("[options] <job>")
@switch("force-reschedule", "Replace failed allocations even if their policy would not")
@switch("detach", "Return immediately instead of following the evaluation")
@switch("verbose", "Display full information")
@connects
@click.argument("arguments", nargs=-1)
def evaluate(api: ApiClient, force_reschedule: bool, detach: bool, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Ask the scheduler to look at a job again."""
    argument = one_argument(arguments, "This command takes one argument: <job>")
    namespace, job_id = job_by_prefix(api, argument, "Error evaluating job")
    body = {"JobID": job_id, "EvalOptions": {"ForceReschedule": force_reschedule}}
    path, query = f"{job_path(job_id)}/evaluate", {"namespace": namespace}
    answer = asked("Error evaluating job", lambda: api.put(path, body, query).json())
    if detach:
        out(f"Created eval ID: {answer['EvalID']}")
        return 0
    return Monitor(api, verbose).follow(answer["EvalID"])


@command("[options] <job> <version>")
@switch("detach", "Return immediately instead of following the evaluation")
@switch("verbose", "Display full information")
@connects
@click.argument("arguments", nargs=-1)
def revert(api: ApiClient, detach: bool, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Make an older version of a job the newest one again."""
    if len(arguments) != 2:
        raise_usage("This command takes two arguments: <job> <version|tag>")
    namespace, job_id = job_by_prefix(api, arguments[0], "Error listing jobs")
    body = {"JobID": job_id, "JobVersion": _version(arguments[1])}
    path, query = f"{job_path(job_id)}/revert", {"namespace": namespace}
    answer = asked("Error retrieving job versions", lambda: api.put(path, body, query).json())
    eval_id = answer.get("EvalID", "")
    if detach or not eval_id:
        return 0
    return Monitor(api, verbose).follow(eval_id)
