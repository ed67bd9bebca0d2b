"""`job stop`, `start`, `eval` and `revert`: what is done to a job that is there."""

from __future__ import annotations

import urllib.parse
from typing import Any

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.lookup import Answer, ask, asked, job_by_prefix, one_argument, raise_usage
from raftnomad.cli.monitor import Monitor
from raftnomad.cli.output import out
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, UnexpectedResponse

VERSIONS_FAILED = "Error retrieving job versions"


def job_path(job_id: str) -> str:
    return f"/v1/job/{urllib.parse.quote(job_id, safe='')}"


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
            answer = ask(question)
            if answer is Answer.NO:
                out("Cancelling job stop")
                continue
            if answer is Answer.NEITHER:
                out("No confirmation detected. For confirmation, an exact 'y' is required.")
                return 1
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
    answer = asked(f"Error deregistering job with id {job_id} err", lambda: api.delete(job_path(job_id), query).json())
    return str(answer.get("EvalID", ""))


@command("[options] <job>")
@switch("detach", "Return immediately instead of following the evaluation")
@switch("verbose", "Display full information")
@connects
@click.argument("arguments", nargs=-1)
def start(api: ApiClient, detach: bool, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Start a job that was stopped, as its newest version was that ran."""
    argument = one_argument(arguments, "This command takes one argument: <job>")
    namespace, job_id = job_by_prefix(api, argument, "Error starting job")
    versions = _versions(api, namespace, job_id)
    if not versions[0]["Stop"]:
        raise RaftnomadError(f'Job "{job_id}" has not been stopped')
    job = next((job for job in versions if not job["Stop"]), {**versions[0], "Stop": False})
    query = {"namespace": namespace}
    path, where = f"{job_path(job_id)}/submission", {**query, "version": str(job["Version"])}
    try:
        submission = api.get(path, where).json()
    except UnexpectedResponse:
        submission = None
    answer = asked(
        "Error starting job", lambda: api.put("/v1/jobs", {"Job": job, "Submission": submission}, query).json()
    )
    eval_id = answer.get("EvalID", "")
    if detach or not eval_id:
        out("Job start successful")
        if eval_id:
            out(f"Evaluation ID: {eval_id}")
        return 0
    return Monitor(api, verbose).follow(eval_id)


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
    body = {"JobID": job_id, "JobVersion": _named_version(api, namespace, job_id, arguments[1])}
    path, query = f"{job_path(job_id)}/revert", {"namespace": namespace}
    answer = asked(VERSIONS_FAILED, lambda: api.put(path, body, query).json())
    eval_id = answer.get("EvalID", "")
    if not eval_id:
        return 0
    if detach:
        out(f"Evaluation ID: {eval_id}")
        return 0
    return Monitor(api, verbose).follow(eval_id)


def _versions(api: ApiClient, namespace: str, job_id: str) -> list[dict[str, Any]]:
    """Newest first."""
    query = {"namespace": namespace}
    answer = asked(VERSIONS_FAILED, lambda: api.get(f"{job_path(job_id)}/versions", query).json())
    return list(answer["Versions"] or ())


def _named_version(api: ApiClient, namespace: str, job_id: str, name: str) -> int:
    """A version by its number or by its tag."""
    if name.isdigit():
        return int(name)
    for job in _versions(api, namespace, job_id):
        if (job.get("VersionTag") or {}).get("Name") == name:
            return int(job["Version"])
    raise RaftnomadError(f"{VERSIONS_FAILED}: version tag {name} not found for job {job_id}")


def parse_version(text: str) -> int:
    if not text.isdigit():
        raise RaftnomadError(
            f'Error parsing version value "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)
