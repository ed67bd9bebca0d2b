"""`eval list` and `eval status`."""

from __future__ import annotations

import time
from typing import Any

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.hints import show_hint
from raftnomad.cli.job_status import placement_failures_word
from raftnomad.cli.lookup import asked, by_prefix, one_argument, raise_usage
from raftnomad.cli.metrics import placement_failure
from raftnomad.cli.monitor import Monitor, allocation_table
from raftnomad.cli.output import ago, columns, key_values, limit_id, local_time, out, section
from raftnomad.sdk.http import ApiClient

LIST_FAILED = "Error querying evaluations"
_UPDATES = ("Ignore", "Place", "Stop", "InPlaceUpdate", "DestructiveUpdate")
_MORE_UPDATES = ("Migrate", "Canary", "Preemptions", "RescheduleNow", "RescheduleLater", "Disconnect", "Reconnect")
_UPDATE_TITLES = {
    "InPlaceUpdate": "InPlace",
    "DestructiveUpdate": "Destructive",
    "RescheduleNow": "Reschedule Now",
    "RescheduleLater": "Reschedule Later",
}


@command("[options]")
@switch("verbose", "Show full information")
@option("per-page", "How many results to show per page", type=int, default=None)
@option("page-token", "Where to start pagination", default="")
@option("filter", "Filter results", default="", variable="filter_text")
@option("job", "Only evaluations of this job", default="")
@option("status", "Only evaluations with this status", default="", variable="wanted")
@switch("json", "Output the evaluations in their JSON format")
@option("t", "Format and display evaluations using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def list_evaluations(
    api: ApiClient,
    verbose: bool,
    per_page: int | None,
    page_token: str,
    filter_text: str,
    job: str,
    wanted: str,
    json: bool,
    template: str | None,
    arguments: tuple[str, ...],
) -> int:
    """List evaluations, newest first."""
    if arguments:
        raise_usage("This command takes no arguments")
    one_format(json, template)
    query = {"filter": filter_text, "next_token": page_token, "job": job, "status": wanted}
    query |= {"per_page": str(per_page)} if per_page is not None else {}
    answer = asked(LIST_FAILED, lambda: api.get("/v1/evaluations", {k: v for k, v in query.items() if v}))
    evaluations = sorted(answer.json() or [], key=lambda evaluation: evaluation["CreateIndex"], reverse=True)
    if json or template:
        out(formatted(evaluations, template, "Evaluation"))
        return 0
    if not evaluations:
        out("No evals found")
        return 0
    out(evaluation_table(evaluations, verbose))
    if token := answer.headers.get("x-nomad-nexttoken"):
        out(f"\nResults have been paginated. To get the next page run:\n\nnomad eval list -page-token {token}")
    show_hint(api, "View evaluations", "evaluations")
    return 0


def evaluation_table(evaluations: list[dict[str, Any]], verbose: bool) -> str:
    """Evaluations as lists of them are printed."""
    rows = [["ID", "Priority", "Triggered By", "Job ID", "Namespace", "Node ID", "Status", "Placement Failures"]]
    rows += [
        [
            limit_id(evaluation["ID"], verbose),
            str(evaluation["Priority"]),
            evaluation["TriggeredBy"],
            evaluation.get("JobID", ""),
            evaluation.get("Namespace", ""),
            limit_id(evaluation.get("NodeID", ""), verbose),
            evaluation["Status"],
            placement_failures_word(evaluation),
        ]
        for evaluation in evaluations
    ]
    return columns(rows, empty="<none>")


@command("[options] <evaluation>")
@switch("monitor", "Follow the evaluation until it has settled")
@switch("verbose", "Show full information")
@switch("json", "Output the evaluation in its JSON format")
@option("t", "Format and display the evaluation using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def status(
    api: ApiClient, monitor: bool, verbose: bool, json: bool, template: str | None, arguments: tuple[str, ...]
) -> int:
    """Display an evaluation: why it was made, what came of it, and what could not be placed."""
    prefix = one_argument(arguments, "This command takes one argument")
    one_format(json, template)
    stub = by_prefix(
        api,
        prefix,
        path="/v1/evaluations",
        noun="evaluation",
        failing="Error querying evaluation",
        table=lambda stubs: evaluation_table(stubs, False),
    )
    query = {"namespace": stub["Namespace"], "related": "true"}
    path = f"/v1/evaluation/{stub['ID']}"
    if monitor:
        return Monitor(api, verbose).follow(stub["ID"])
    evaluation = asked("Error querying evaluation", lambda: api.get(path, query).json())
    if json or template:
        out(formatted(evaluation, template, "Evaluation"))
        return 0
    placed = asked("Error querying related allocations", lambda: api.get(f"{path}/allocations", query).json()) or []
    out("\n\n".join([_basic(evaluation, verbose), *_sections(evaluation, placed, verbose)]))
    show_hint(api, "View evaluation details", f"evaluations?currentEval={evaluation['ID']}")
    return 0


def _now_ns() -> int:
    return time.time_ns()  # noqa: TID251 - for ages, as the user's clock sees them


def _basic(evaluation: dict[str, Any], verbose: bool) -> str:
    def when(time_ns: int) -> str:
        return local_time(time_ns) if verbose else ago(time_ns, _now_ns())

    pairs = [
        ("ID", limit_id(evaluation["ID"], verbose)),
        ("Create Time", when(evaluation.get("CreateTime", 0))),
        ("Modify Time", when(evaluation.get("ModifyTime", 0))),
        ("Status", evaluation["Status"]),
        ("Status Description", evaluation.get("StatusDescription") or evaluation["Status"]),
        ("Type", evaluation["Type"]),
        ("TriggeredBy", evaluation["TriggeredBy"]),
        ("Job ID", evaluation.get("JobID", "")),
        ("Namespace", evaluation.get("Namespace", "")),
    ]
    if node := evaluation.get("NodeID"):
        pairs.append(("Node ID", limit_id(node, verbose)))
    pairs += [
        ("Priority", str(evaluation["Priority"])),
        ("Placement Failures", placement_failures_word(evaluation)),
        ("Previous Eval", limit_id(evaluation.get("PreviousEval", ""), verbose)),
        ("Next Eval", limit_id(evaluation.get("NextEval", ""), verbose)),
        ("Blocked Eval", limit_id(evaluation.get("BlockedEval", ""), verbose)),
    ]
    return key_values(pairs)


def _sections(evaluation: dict[str, Any], placed: list[dict[str, Any]], verbose: bool) -> list[str]:
    sections = []
    if related := evaluation.get("RelatedEvals"):
        rows = [["ID", "Priority", "Triggered By", "Node ID", "Status", "Description"]]
        for other in sorted(related, key=lambda other: other.get("CreateIndex", 0)):
            node = limit_id(other.get("NodeID", ""), verbose)
            row = [limit_id(other["ID"], verbose), str(other["Priority"]), other["TriggeredBy"], node]
            rows.append([*row, other["Status"], other.get("StatusDescription", "")])
        sections.append(section("Related Evaluations", columns(rows, empty="<none>")))
    if annotations := (evaluation.get("PlanAnnotations") or {}).get("DesiredTGUpdates"):
        names = [*_UPDATES, *(_MORE_UPDATES if verbose else ())]
        rows = [["Task Group", *(_UPDATE_TITLES.get(name, name) for name in names)]]
        rows += [[group, *(str(updates[name]) for name in names)] for group, updates in sorted(annotations.items())]
        sections.append(section("Plan Annotations", columns(rows)))
    if placed:
        text = allocation_table(placed, verbose=verbose, now_ns=_now_ns(), node_name=False, eval_id=False, ages=True)
        sections.append(section("Placed Allocations", text))
    if failed := evaluation.get("FailedTGAllocs"):
        sections.append(section("Failed Placements", "\n\n".join(_failed(failed))))
    return sections


def _failed(failed: dict[str, Any]) -> list[str]:
    texts = []
    for group, metrics in sorted(failed.items()):
        count = metrics.get("CoalescedFailures", 0) + 1
        plural = "s" if count > 1 else ""
        title = f'Task Group "{group}" (failed to place {count} allocation{plural}):'
        texts.append("\n".join([title, *placement_failure(metrics, "  ")]))
    return texts
