"""`job status`: the list of jobs, or one job with its summary, deployment and allocations."""

from __future__ import annotations

import time
import urllib.parse
from typing import Any

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.hints import show_hint
from raftnomad.cli.job_children import next_launch, parent_sections
from raftnomad.cli.lookup import asked, job_by_prefix, raise_usage
from raftnomad.cli.metrics import placement_failure
from raftnomad.cli.monitor import allocation_table, deployed_groups
from raftnomad.cli.output import columns, key_values, limit_id, local_time, out, section
from raftnomad.sdk.http import ApiClient

LIST_FAILED = "Error querying jobs"
SUMMARY_FAILED = "Error querying job summary"


@command("[options] <job>")
@switch("short", "Display short output: only the job's basic information")
@switch("evals", "Display the evaluations of the job")
@switch("all-allocs", "Display all allocations matching the job's id, also those of an older job of this name")
@switch("json", "Output the job in its JSON format")
@option("t", "Format and display jobs using a Go template", default=None, variable="template")
@switch("verbose", "Display full information")
@connects
@click.argument("arguments", nargs=-1)
def status(
    api: ApiClient,
    short: bool,
    evals: bool,
    all_allocs: bool,
    json: bool,
    template: str | None,
    verbose: bool,
    arguments: tuple[str, ...],
) -> int:
    """Display the status of jobs: of all without an argument, else of one with its allocations."""
    if len(arguments) > 1:
        raise_usage("This command takes either no arguments or one: <job>")
    one_format(json, template)
    if not arguments:
        return _list(api, json, template)
    namespace, job_id = job_by_prefix(api, arguments[0], LIST_FAILED)
    query = {"namespace": namespace}
    path = f"/v1/job/{urllib.parse.quote(job_id, safe='')}"
    if json or template:
        out(formatted([_job_json(api, path, query)], template, "JobJson"))
        return 0
    job = asked("Error querying job", lambda: api.get(path, query).json())
    out(_basic(job))
    if not short:
        _show_details(api, path, query, job, evals=evals, all_allocs=all_allocs, verbose=verbose)
    show_hint(api, "View job details and metrics", f"jobs/{urllib.parse.quote(job_id, safe='')}@{job['Namespace']}")
    return 0


def _list(api: ApiClient, json: bool, template: str | None) -> int:
    stubs = asked(LIST_FAILED, lambda: api.get("/v1/jobs").json()) or []
    if json or template:
        rows = [_job_json(api, f"/v1/job/{urllib.parse.quote(s['ID'], safe='')}", {}) for s in stubs]
        out(formatted(rows, template, "JobJson"))
        return 0
    if not stubs:
        out("No running jobs")
    else:
        out(job_table(stubs, api.settings.namespace == "*"))
    show_hint(api, "View and manage Nomad jobs", "jobs")
    return 0


def _job_json(api: ApiClient, path: str, query: dict[str, str]) -> dict[str, Any]:
    return {
        "Summary": api.get(f"{path}/summary", query).json(),
        "Allocations": api.get(f"{path}/allocations", query).json(),
        "LatestDeployment": api.get(f"{path}/deployment", query).json(),
        "Evaluations": api.get(f"{path}/evaluations", query).json(),
    }


def job_table(stubs: list[dict[str, Any]], all_namespaces: bool) -> str:
    """Jobs as lists of them are printed."""
    header = ["ID", *(["Namespace"] if all_namespaces else []), "Type", "Priority", "Status", "Submit Date"]
    rows = [header]
    for stub in sorted(stubs, key=lambda stub: (stub["ID"], stub.get("Namespace", ""))):
        kind = stub["Type"] + ("/periodic" if stub["Periodic"] else "")
        kind += "/parameterized" if stub["ParameterizedJob"] else ""
        rows.append(
            [
                stub["ID"],
                *([stub.get("Namespace", "")] if all_namespaces else []),
                kind,
                str(stub["Priority"]),
                _status(stub["Status"], stub["Stop"]),
                local_time(stub["SubmitTime"]),
            ]
        )
    return columns(rows, empty="<none>")


def _status(status: str, stop: bool) -> str:
    return f"{status} (stopped)" if stop else status


def _basic(job: dict[str, Any]) -> str:
    launch = "" if job["Periodic"] is None else next_launch(job["Periodic"])
    if job["Periodic"] is not None and job["Stop"]:
        launch = "none (job stopped)"
    return key_values(
        [
            ("ID", job["ID"]),
            ("Name", job["Name"]),
            ("Submit Date", local_time(job["SubmitTime"])),
            ("Type", job["Type"]),
            ("Priority", str(job["Priority"])),
            ("Datacenters", ",".join(job["Datacenters"] or ())),
            ("Namespace", job["Namespace"]),
            ("Node Pool", job["NodePool"]),
            ("Status", _status(job["Status"], job["Stop"])),
            ("Periodic", str(job["Periodic"] is not None).lower()),
            ("Parameterized", str(job["ParameterizedJob"] is not None).lower()),
            *([("Next Periodic Launch", launch)] if launch else []),
        ]
    )


def _show_details(
    api: ApiClient,
    path: str,
    query: dict[str, str],
    job: dict[str, Any],
    *,
    evals: bool,
    all_allocs: bool,
    verbose: bool,
) -> None:
    if job["Periodic"] is not None or job["ParameterizedJob"] is not None:
        summary = asked(SUMMARY_FAILED, lambda: api.get(f"{path}/summary", query).json())
        stubs = asked(LIST_FAILED, lambda: api.get("/v1/jobs", {**query, "prefix": f"{job['ID']}/"}).json()) or []
        out("\n" + "\n\n".join(parent_sections(job, summary, stubs)))
        return
    allocation_query = {**query, **({"all": "true"} if all_allocs else {})}
    allocations = asked(
        "Error querying job allocations", lambda: api.get(f"{path}/allocations", allocation_query).json()
    )
    evaluations = asked("Error querying job evaluations", lambda: api.get(f"{path}/evaluations", query).json()) or []
    deployment = asked("Error querying latest job deployment", lambda: api.get(f"{path}/deployment", query).json())
    summary = asked(SUMMARY_FAILED, lambda: api.get(f"{path}/summary", query).json())
    evaluations.sort(key=lambda evaluation: evaluation.get("CreateIndex", 0), reverse=True)
    sections = [_summary(summary)]
    if evals or verbose:
        sections.append(section("Evaluations", _evaluation_table(evaluations, verbose)))
    sections += _placement_failures(evaluations)
    if deployment:
        sections.append(section("Latest Deployment", _latest_deployment(deployment, verbose)))
    rows = sorted(allocations or [], key=lambda allocation: allocation["CreateTime"], reverse=True)
    now_ns = time.time_ns()  # noqa: TID251 - for ages, as the user's clock sees them
    sections.append(section("Allocations", allocation_table(rows, verbose=verbose, now_ns=now_ns)))
    out("".join("\n" + text + "\n" for text in sections).rstrip("\n"))


def _summary(summary: dict[str, Any]) -> str:
    rows = [["Task Group", "Queued", "Starting", "Running", "Failed", "Complete", "Lost", "Unknown"]]
    for name, counts in sorted((summary.get("Summary") or {}).items()):
        rows.append([name, *(str(counts[column]) for column in rows[0][1:])])
    return section("Summary", columns(rows))


def _evaluation_table(evaluations: list[dict[str, Any]], verbose: bool) -> str:
    rows = [["ID", "Priority", "Triggered By", "Status", "Placement Failures"]]
    rows += [
        [
            limit_id(evaluation["ID"], verbose),
            str(evaluation["Priority"]),
            evaluation["TriggeredBy"],
            evaluation["Status"],
            placement_failures_word(evaluation),
        ]
        for evaluation in evaluations
    ]
    return columns(rows)


def placement_failures_word(evaluation: dict[str, Any]) -> str:
    """Whether an evaluation could place everything, once it is known."""
    if evaluation["Status"] in ("blocked", "pending"):
        return "N/A - In Progress"
    return str(bool(evaluation.get("FailedTGAllocs"))).lower()


def _placement_failures(evaluations: list[dict[str, Any]]) -> list[str]:
    """Why the newest blocked evaluation waits: only while something does."""
    blocked = next((evaluation for evaluation in evaluations if evaluation["Status"] == "blocked"), None)
    if blocked is None:
        return []
    failed: dict[str, Any] = blocked.get("FailedTGAllocs") or next(
        (evaluation["FailedTGAllocs"] for evaluation in evaluations if evaluation.get("FailedTGAllocs")), {}
    )
    lines = []
    for group, metrics in sorted(failed.items()):
        lines += [f'Task Group "{group}":', *placement_failure(metrics, "  ")]
    return [section("Placement Failure", "\n".join(lines))]


def _latest_deployment(deployment: dict[str, Any], verbose: bool) -> str:
    pairs = [
        ("ID", limit_id(deployment["ID"], verbose)),
        ("Status", deployment["Status"]),
        ("Description", deployment["StatusDescription"]),
    ]
    return key_values(pairs) + "\n\n" + section("Deployed", deployed_groups(deployment))
