"""Following an evaluation and its deployment until both have settled, telling the user what changes."""

from __future__ import annotations

import time
from typing import Any

from raftnomad.cli.metrics import placement_failure
from raftnomad.cli.output import ago, columns, error, key_values, limit_id, local_rfc3339, local_time, out, section
from raftnomad.sdk.http import ApiClient, UnexpectedResponse

POLL_S = 0.25
DEPLOYMENT_WAIT = "2000ms"
TOLD_MAX = 3
"""Unhealthy allocations that are told of: the others mostly fail for the same reason."""

TERMINAL_DEPLOYMENTS = ("successful", "failed", "cancelled", "blocked")


def _now() -> str:
    return local_time(time.time_ns())  # noqa: TID251 - what the user's own clock says


def _say(text: str) -> None:
    out(f"    {_now()}: {text}")


def _headline(text: str) -> None:
    out(f"==> {_now()}: {text}")


class Monitor:
    """Follows one evaluation: prints each change once. `follow` returns the command's exit code."""

    def __init__(self, api: ApiClient, verbose: bool) -> None:
        self._api = api
        self._verbose = verbose
        self._status = ""
        self._deployment = ""
        self._allocations: dict[str, dict[str, Any]] = {}

    def follow(self, eval_id: str) -> int:
        """0 settled, 1 the deployment failed, 2 not all was placed."""
        _headline(f'Monitoring evaluation "{limit_id(eval_id, self._verbose)}"')
        evaluation = self._until_terminal(eval_id)
        headline = f'Evaluation "{limit_id(eval_id, self._verbose)}" finished with status "{evaluation["Status"]}"'
        failed = evaluation.get("FailedTGAllocs") or {}
        if not failed:
            _headline(headline)
            return self._follow_next(evaluation)
        _headline(f"{headline} but failed to place all allocations:")
        self._explain(failed)
        if blocked := evaluation.get("BlockedEval"):
            _say(f'Evaluation "{limit_id(blocked, self._verbose)}" waiting for additional capacity to place remainder')
        return 2

    def _follow_next(self, evaluation: dict[str, Any]) -> int:
        following = evaluation.get("NextEval", "")
        if following and evaluation.get("Wait", 0):
            _say(f'Monitoring next evaluation "{limit_id(following, self._verbose)}" in {evaluation["Wait"]}')
        if following:
            return self.follow(following)
        if self._deployment:
            return follow_deployment(self._api, self._deployment, self._verbose)
        return 0

    def _until_terminal(self, eval_id: str) -> dict[str, Any]:
        first = True
        while True:
            evaluation: dict[str, Any] = self._api.get(f"/v1/evaluation/{eval_id}").json()
            if first:
                self._told_by(evaluation)
                first = False
            self._tell_deployment(evaluation.get("DeploymentID", ""))
            for allocation in self._api.get(f"/v1/evaluation/{eval_id}/allocations").json() or []:
                self._tell_allocation(allocation, eval_id)
            self._tell_status(evaluation["Status"])
            if evaluation["Status"] in ("complete", "failed", "canceled"):
                return evaluation
            time.sleep(POLL_S)

    def _told_by(self, evaluation: dict[str, Any]) -> None:
        self._status = "pending"
        if node := evaluation.get("NodeID"):
            _say(f'Evaluation triggered by node "{limit_id(node, self._verbose)}"')
        elif job := evaluation.get("JobID"):
            _say(f'Evaluation triggered by job "{job}"')

    def _tell_deployment(self, deployment_id: str) -> None:
        if deployment_id and not self._deployment:
            self._deployment = deployment_id
            _say(f'Evaluation within deployment: "{limit_id(deployment_id, self._verbose)}"')

    def _tell_status(self, status: str) -> None:
        if status != self._status:
            _say(f'Evaluation status changed: "{self._status}" -> "{status}"')
            self._status = status

    def _tell_allocation(self, allocation: dict[str, Any], eval_id: str) -> None:
        alloc_id = allocation["ID"]
        known = self._allocations.get(alloc_id)
        self._allocations[alloc_id] = allocation
        shown = limit_id(alloc_id, self._verbose)
        if known is None:
            verb = "created" if allocation["EvalID"] == eval_id and allocation["CreateIndex"] else "modified"
            _say(
                f'Allocation "{shown}" {verb}: node "{limit_id(allocation["NodeID"], self._verbose)}", '
                f'group "{allocation["TaskGroup"]}"'
            )
        elif known["ClientStatus"] != allocation["ClientStatus"]:
            description = allocation.get("ClientDescription", "")
            suffix = f" ({description})" if description else ""
            _say(
                f'Allocation "{shown}" status changed: "{known["ClientStatus"]}" -> '
                f'"{allocation["ClientStatus"]}"{suffix}'
            )

    def _explain(self, failed: dict[str, Any]) -> None:
        for group, metrics in sorted(failed.items()):
            count = metrics.get("CoalescedFailures", 0) + 1
            plural = "s" if count > 1 else ""
            _say(f'Task Group "{group}" (failed to place {count} allocation{plural}):')
            for line in placement_failure(metrics, "      "):
                out(line)


def follow_deployment(api: ApiClient, deployment_id: str, verbose: bool, mark: str = "==> ") -> int:
    """Print the deployment whenever it changes; 0 when it succeeded, else 1. `mark` begins the first line."""
    out(f'{mark}{_now()}: Monitoring deployment "{limit_id(deployment_id, verbose)}"')
    index = 0
    shown = ""
    while True:
        try:
            answer = api.get(f"/v1/deployment/{deployment_id}", {"index": str(index), "wait": DEPLOYMENT_WAIT})
        except UnexpectedResponse as gone:
            if gone.status == 404:
                return 1
            raise
        deployment = answer.json()
        index = answer.index
        text = deployment_text(deployment, verbose)
        if verbose:
            text += "\n\n" + _deployment_allocations(api, deployment_id)
        if text != shown:
            out(f"    \n{_now()}\n{text}")
            shown = text
        if deployment["Status"] in TERMINAL_DEPLOYMENTS:
            if deployment["Status"] == "failed":
                _tell_what_failed(api, deployment_id)
            return 0 if deployment["Status"] == "successful" else 1


def _tell_what_failed(api: ApiClient, deployment_id: str) -> None:
    """On stderr, since Nomad's output says nothing of it: the last word of each task that was not healthy."""
    stubs = api.get(f"/v1/deployment/allocations/{deployment_id}").json() or []
    unhealthy = [stub for stub in stubs if (stub.get("DeploymentStatus") or {}).get("Healthy") is False]
    for stub in unhealthy[:TOLD_MAX]:
        for task, state in sorted((stub.get("TaskStates") or {}).items()):
            if reason := _reason(state.get("Events") or []):
                error(f'Allocation "{limit_id(stub["ID"], False)}", task "{task}": {reason}')
    if unhealthy:
        error(f"More is told by: nomad alloc status {limit_id(unhealthy[0]['ID'], False)}")


def _reason(events: list[dict[str, Any]]) -> str:
    """What a task's events say went wrong; the newest of those that say most."""
    for kinds in (("Driver Failure", "Setup Failure", "Failed Validation"), ("Terminated", "Alloc Unhealthy")):
        for event in reversed(events):
            if event["Type"] in kinds:
                return f"{event['Type']}: {event.get('DisplayMessage', '')}"
    return ""


def deployment_text(deployment: dict[str, Any], verbose: bool) -> str:
    """A deployment as `deployment status` and the monitor show it."""
    pairs = [
        ("ID", limit_id(deployment["ID"], verbose)),
        ("Job ID", deployment["JobID"]),
        ("Job Version", str(deployment["JobVersion"])),
        ("Status", deployment["Status"]),
        ("Description", deployment["StatusDescription"]),
    ]
    return key_values(pairs) + "\n\n" + section("Deployed", deployed_groups(deployment))


def deployed_groups(deployment: dict[str, Any]) -> str:
    """The table of groups; columns that no group uses are left out."""
    groups = sorted((deployment.get("TaskGroups") or {}).items())
    any_revert = any(state["AutoRevert"] for _, state in groups)
    any_canary = any(state["DesiredCanaries"] for _, state in groups)
    any_deadline = any(state["ProgressDeadline"] for _, state in groups)
    header = ["Task Group"]
    header += ["Auto Revert"] if any_revert else []
    header += ["Promoted"] if any_canary else []
    header += ["Desired"]
    header += ["Canaries"] if any_canary else []
    header += ["Placed", "Healthy", "Unhealthy"]
    header += ["Progress Deadline"] if any_deadline else []
    rows = [header]
    for name, state in groups:
        row = [name]
        row += [str(bool(state["AutoRevert"])).lower()] if any_revert else []
        promoted = str(bool(state["Promoted"])).lower() if state["DesiredCanaries"] else "N/A"
        row += [promoted] if any_canary else []
        row += [str(state["DesiredTotal"])]
        row += [str(state["DesiredCanaries"])] if any_canary else []
        row += [str(state["PlacedAllocs"]), str(state["HealthyAllocs"]), str(state["UnhealthyAllocs"])]
        row += [local_rfc3339(state["RequireProgressBy"])] if any_deadline else []
        rows.append(row)
    return columns(rows)


def _deployment_allocations(api: ApiClient, deployment_id: str) -> str:
    rows = api.get(f"/v1/deployment/allocations/{deployment_id}").json() or []
    return section("Allocations", allocation_table(rows, verbose=True, now_ns=0))


def allocation_table(
    allocations: list[dict[str, Any]],
    *,
    verbose: bool,
    now_ns: int,
    node_name: bool = True,
    eval_id: bool = True,
    ages: bool = False,
) -> str:
    """Allocations as job, node, evaluation and deployment status list them.

    node_name, eval_id: whether these columns, which only `verbose` has, are shown at all.
    ages: times as `2s ago` even if `verbose`.
    """
    if not allocations:
        return "No allocations placed"
    wide = [name for name, wanted in (("Eval ID", verbose and eval_id), ("Node Name", verbose and node_name)) if wanted]
    who = ["ID", *(name for name in ("Eval ID", "Node ID", "Node Name") if name == "Node ID" or name in wide)]
    rows = [[*who, "Task Group", "Version", "Desired", "Status", "Created", "Modified"]]
    for allocation in allocations:
        cells = {
            "ID": limit_id(allocation["ID"], verbose),
            "Eval ID": allocation["EvalID"],
            "Node ID": limit_id(allocation["NodeID"], verbose),
            "Node Name": allocation["NodeName"],
        }
        row = [cells[name] for name in who]
        row += [allocation["TaskGroup"], str(allocation["JobVersion"])]
        row += [allocation["DesiredStatus"], allocation["ClientStatus"]]
        for time_ns in (allocation["CreateTime"], allocation["ModifyTime"]):
            row.append(local_time(time_ns) if verbose and not ages else ago(time_ns, now_ns))
        rows.append(row)
    return columns(rows)
