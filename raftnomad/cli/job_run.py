"""`job run`: submit a job file and follow what becomes of it."""

from __future__ import annotations

import json as json_module
import re
import urllib.parse
from typing import Any

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.hints import show_hint
from raftnomad.cli.job_children import next_launch
from raftnomad.cli.job_file import load_job
from raftnomad.cli.lookup import one_argument
from raftnomad.cli.monitor import Monitor
from raftnomad.cli.output import error, out
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, ConnectionFailed, UnexpectedResponse

ENFORCE_INDEX = re.compile(r"\((Enforcing job modify index.*)\)", re.DOTALL)


@command("[options] <path>")
@option("check-index", "Only run the job if its modify index is this one; 0 for a job that must be new", default=None)
@switch("detach", "Return immediately instead of following the evaluation")
@option("eval-priority", "The priority of the evaluation", type=int, default=0)
@switch("json", "The file is JSON, not HCL")
@option("hcl2-strict", "Whether unknown variables are errors", default="true")
@switch("output", "Print the job as JSON instead of submitting it")
@switch("policy-override", "Accepted for Nomad's sake; there are no soft policies")
@switch("preserve-counts", "Keep the counts of groups as they are")
@switch("preserve-resources", "Accepted for Nomad's sake; not built yet")
@switch("verbose", "Display full information")
@option("var", "A variable of the job file: key=value", multiple=True)
@option("var-file", "A file of variables", multiple=True)
@option("consul-namespace", "Accepted for Nomad's sake; there is no Consul", default="")
@option("vault-namespace", "Accepted for Nomad's sake; there is no Vault", default="")
@switch("ui", "Not built yet")
@connects
@click.argument("arguments", nargs=-1)
def run(
    api: ApiClient,
    check_index: str | None,
    detach: bool,
    eval_priority: int,
    json: bool,
    hcl2_strict: str,
    output: bool,
    policy_override: bool,
    preserve_counts: bool,
    preserve_resources: bool,
    verbose: bool,
    var: tuple[str, ...],
    var_file: tuple[str, ...],
    consul_namespace: str,
    vault_namespace: str,
    ui: bool,
    arguments: tuple[str, ...],
) -> int:
    """Run a new job or update an existing one, from a job file; `-` reads it from standard input.

    Follows the evaluation and the deployment until they have settled. Exit codes: 0 all is well, 1 the job or its
    deployment failed, 2 not everything could be placed.
    """
    path = one_argument(arguments, "This command takes one argument: <path>")
    index = _check_index(check_index)
    if ui or preserve_resources:
        raise RaftnomadError(f"-{'ui' if ui else 'preserve-resources'} is not built yet")
    source = load_job(path, as_json=json, strict=hcl2_strict != "false", variables=var, variable_files=var_file)
    if output:
        out(json_module.dumps({"Job": source.job}, indent=4))
        return 0
    if api.settings.namespace and not source.job.get("Namespace"):
        source.job["Namespace"] = api.settings.namespace
    body = {
        "Job": source.job,
        "Submission": source.submission,
        "PreserveCounts": preserve_counts,
        "PolicyOverride": policy_override,
        "EvalPriority": eval_priority,
    }
    if index is not None:
        body |= {"EnforceIndex": True, "JobModifyIndex": index}
    answer = _submit(api, body)
    if warnings := answer.get("Warnings"):
        out(f"Job Warnings:\n{warnings}\n")
    code = _follow(api, source.job, answer.get("EvalID", ""), detach, verbose)
    namespace = source.job.get("Namespace") or api.settings.namespace or "default"
    show_hint(api, "View this job", f"jobs/{urllib.parse.quote(source.job['ID'], safe='')}@{namespace}")
    if not detach and answer.get("EvalID"):
        error("")
    return code


def _check_index(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdigit():
        raise RaftnomadError(
            f'Error parsing check-index value "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)


def _submit(api: ApiClient, body: dict[str, object]) -> dict[str, str]:
    try:
        answer: dict[str, str] = api.put("/v1/jobs", body).json()
        return answer
    except UnexpectedResponse as refused:
        if conflict := ENFORCE_INDEX.search(str(refused)):
            raise RaftnomadError(f"{conflict[1]}\nJob not updated") from refused
        raise RaftnomadError(f"Error submitting job: {refused}") from refused
    except ConnectionFailed as failed:
        raise RaftnomadError(f"Error submitting job: {failed}") from failed


def _follow(api: ApiClient, job: dict[str, Any], eval_id: str, detach: bool, verbose: bool) -> int:
    if not detach and eval_id:
        return Monitor(api, verbose).follow(eval_id)
    out("Job registration successful")
    if eval_id:
        out(f"Evaluation ID: {eval_id}")
    elif job.get("Periodic") and (launch := next_launch(job["Periodic"])):
        out(f"Approximate next launch time: {launch}")
    return 0
