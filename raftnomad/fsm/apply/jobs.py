"""Jobs: registered, stopped, reverted; each change of the specification is a version."""

from __future__ import annotations

from msgspec.structs import replace

from raftnomad.fsm import summaries
from raftnomad.fsm.apply import evaluations
from raftnomad.fsm.commands import DeregisterJob, MarkJobStable, RegisterJob, RevertJob, TagJobVersion
from raftnomad.fsm.outcome import Applied, Outcome, Rejected
from raftnomad.fsm.state import JobKey, is_terminal
from raftnomad.fsm.transaction import Transaction
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import Job, JobSubmission, TaskGroup
from raftnomad.model.status import TERMINAL_CLIENT_STATUSES
from raftnomad.model.versions import specification_changed

VERSIONS_KEPT = 6
"""With the present one; versions with a tag are kept beside these."""


def register(txn: Transaction, command: RegisterJob) -> Outcome:
    job = command.job
    old = txn.state.jobs.get((job.namespace, job.id))
    if (refusal := _refusal(txn, command, old)) is not None:
        return Rejected(txn.index, refusal)
    if command.preserve_counts and old is not None:
        job = _with_counts_of(job, old)
    if command.preserve_resources and old is not None:
        job = _with_resources_of(job, old)
    if old is not None and not specification_changed(old, job):
        if command.evaluation is not None:  # It names no change, since there is none.
            evaluations.store(txn, (replace(command.evaluation, job_modify_index=0),))
        return Applied(txn.index, value=old.job_modify_index)
    add_version(txn, replace(job, stable=False), old, command.submission)
    store_evaluation(txn, command.evaluation, txn.state.jobs[job.namespace, job.id])
    return Applied(txn.index, value=txn.index)


def _refusal(txn: Transaction, command: RegisterJob, old: Job | None) -> str | None:
    job = command.job
    if job.namespace not in txn.state.namespaces:
        return f'job "{job.id}" is in nonexistent namespace "{job.namespace}"'
    if job.node_pool not in ("", *txn.state.node_pools):
        return f'job "{job.id}" is in nonexistent node pool "{job.node_pool}"'
    if not command.enforce_index:
        return None
    wanted = command.job_modify_index
    present = old.job_modify_index if old is not None else 0
    if wanted == present:
        return None
    if old is None:
        return f"Enforcing job modify index {wanted}: job does not exist"
    if wanted == 0:
        return "Enforcing job modify index 0: job already exists"
    return f"Enforcing job modify index {wanted}: job exists with conflicting job modify index: {present}"


def _with_counts_of(job: Job, old: Job) -> Job:
    counts = {group.name: group.count for group in old.task_groups or ()}
    groups = tuple(replace(group, count=counts.get(group.name, group.count)) for group in job.task_groups or ())
    return replace(job, task_groups=groups if job.task_groups is not None else None)


def _with_resources_of(job: Job, old: Job) -> Job:
    known = {(group.name, task.name): task.resources for group in old.task_groups or () for task in group.tasks or ()}

    def kept(group: TaskGroup) -> TaskGroup:
        tasks = tuple(
            replace(task, resources=known.get((group.name, task.name), task.resources)) for task in group.tasks or ()
        )
        return replace(group, tasks=tasks if group.tasks is not None else None)

    groups = tuple(kept(group) for group in job.task_groups or ())
    return replace(job, task_groups=groups if job.task_groups is not None else None)


def add_version(txn: Transaction, job: Job, old: Job | None, submission: JobSubmission | None) -> None:
    """`job` becomes the newest version; the server's own fields are set here."""
    key = (job.namespace, job.id)
    version = old.version + 1 if old is not None else 0
    job = replace(
        job,
        status=old.status if old is not None else "",
        status_description="",
        version=version,
        create_index=old.create_index if old is not None else txn.index,
        modify_index=txn.index,
        job_modify_index=txn.index,
    )
    txn.put_job(job)
    _keep_versions(txn, key, (job, *txn.state.job_versions.get(key, ())))
    summaries.for_job(txn, job)
    if submission is not None:
        submission = replace(
            submission, namespace=job.namespace, job_id=job.id, version=version, job_modify_index=txn.index
        )
        txn.put(txn.state.job_submissions, (*key, version), submission)


def _keep_versions(txn: Transaction, key: JobKey, versions: tuple[Job, ...]) -> None:
    untagged = [job for job in versions if job.version_tag is None]
    dropped = untagged[VERSIONS_KEPT:]
    if dropped and not any(job.stable for job in untagged[:VERSIONS_KEPT]):
        # A version to roll back to is worth more than the oldest of the others.
        stable = next((job for job in dropped if job.stable), None)
        if stable is not None:
            dropped = [*(job for job in dropped if job is not stable), untagged[VERSIONS_KEPT - 1]]
    gone = {job.version for job in dropped}
    for version in sorted(gone):
        if (*key, version) in txn.state.job_submissions:
            txn.remove(txn.state.job_submissions, (*key, version))
    txn.put(txn.state.job_versions, key, tuple(job for job in versions if job.version not in gone))


def store_evaluation(txn: Transaction, evaluation: Evaluation | None, job: Job | None) -> None:
    """The evaluation that comes with a change of a job names the change."""
    if evaluation is not None:
        index = job.job_modify_index if job is not None else txn.index
        evaluations.store(txn, (replace(evaluation, job_modify_index=index),))


def deregister(txn: Transaction, command: DeregisterJob) -> Outcome:
    """Stop a job. One that is unknown is stopped already: its evaluation clears what may be left of it."""
    key = (command.namespace, command.job_id)
    job = txn.state.jobs.get(key)
    if command.no_shutdown_delay:
        _skip_shutdown_delay(txn, key)
    if job is not None and command.purge:
        _purge(txn, key)
    elif job is not None:
        add_version(txn, replace(job, stop=True), job, None)
    store_evaluation(txn, command.evaluation, None)
    return Applied(txn.index, value=txn.index)


def _skip_shutdown_delay(txn: Transaction, key: JobKey) -> None:
    for alloc in txn.state.allocations_of_job(*key):
        if not is_terminal(alloc):
            transition = replace(alloc.desired_transition, no_shutdown_delay=True)
            txn.put_allocation(
                replace(alloc, desired_transition=transition, modify_index=txn.index, modify_time_ns=txn.time_ns)
            )


def _purge(txn: Transaction, key: JobKey) -> None:
    """Forget the job, and of what belongs to it all that is over; what still runs is stopped by the evaluation."""
    for alloc in txn.state.allocations_of_job(*key):
        if alloc.client_status in TERMINAL_CLIENT_STATUSES:
            txn.remove_allocation(alloc.id)
    for deployment in txn.state.deployments_of_job(*key):
        txn.remove_deployment(deployment)
    forget(txn, key)


def forget(txn: Transaction, key: JobKey) -> None:
    """Remove a job's own rows."""
    for version in txn.state.job_versions[key]:
        if (*key, version.version) in txn.state.job_submissions:
            txn.remove(txn.state.job_submissions, (*key, version.version))
    txn.remove(txn.state.job_versions, key)
    txn.remove_job(key)
    if key in txn.state.periodic_launches:
        txn.remove(txn.state.periodic_launches, key)
    if key in txn.state.scaling_events:
        txn.remove(txn.state.scaling_events, key)
    if key in txn.state.summaries:
        txn.remove(txn.state.summaries, key)


def revert(txn: Transaction, command: RevertJob) -> Outcome:
    key = (command.namespace, command.job_id)
    job = txn.state.jobs.get(key)
    if job is None:
        return Rejected(txn.index, f'job "{command.job_id}" not found')
    if command.enforce_prior_version not in (None, job.version):
        return Rejected(
            txn.index, f"Current job has version {job.version}; enforcing version {command.enforce_prior_version}"
        )
    if command.version == job.version:
        return Rejected(txn.index, "can't revert to current version")
    target = _kept_version(txn, key, command.version)
    if target is None:
        return Rejected(txn.index, _no_version(key, command.version))
    roll_back(txn, replace(target, submit_time_ns=txn.time_ns, version_tag=None), job)
    store_evaluation(txn, command.evaluation, txn.state.jobs[key])
    return Applied(txn.index, value=txn.index)


def roll_back(txn: Transaction, target: Job, job: Job) -> None:
    """An older version becomes the newest one, with the source that it was submitted as; what was stable still is."""
    submission = txn.state.job_submissions.get((job.namespace, job.id, target.version))
    add_version(txn, target, job, submission)


def _kept_version(txn: Transaction, key: JobKey, version: int) -> Job | None:
    return next((job for job in txn.state.job_versions.get(key, ()) if job.version == version), None)


def _no_version(key: JobKey, version: int) -> str:
    return f'job "{key[1]}" in namespace "{key[0]}" at version {version} not found'


def mark_stable(txn: Transaction, command: MarkJobStable) -> Outcome:
    key = (command.namespace, command.job_id)
    if _kept_version(txn, key, command.version) is None:
        return Rejected(txn.index, _no_version(key, command.version))
    set_stable(txn, key, command.version, command.stable)
    return Applied(txn.index)


def set_stable(txn: Transaction, key: JobKey, version: int, stable: bool) -> None:
    job = _kept_version(txn, key, version)
    if job is not None and job.stable != stable:
        _rewrite_version(txn, key, replace(job, stable=stable, modify_index=txn.index))


def _rewrite_version(txn: Transaction, key: JobKey, job: Job) -> None:
    """The version is marked, and stays the version that it is."""
    versions = txn.state.job_versions[key]
    if job.version == versions[0].version:
        txn.set_newest_version(job)
    else:
        rewritten = tuple(job if one.version == job.version else one for one in versions)
        txn.put(txn.state.job_versions, key, rewritten)


def tag_version(txn: Transaction, command: TagJobVersion) -> Outcome:
    """A version has one tag, a name stands for one version."""
    key = (command.namespace, command.job_id)
    versions = txn.state.job_versions.get(key, ())
    named = next((job for job in versions if job.version_tag and job.version_tag.name == command.name), None)
    if command.tag is None:
        if named is None:
            return Rejected(txn.index, f'tag "{command.name}" not found on job "{command.job_id}"')
        _rewrite_version(txn, key, replace(named, version_tag=None, modify_index=txn.index))
        _keep_versions(txn, key, txn.state.job_versions[key])
        return Applied(txn.index)
    job = _kept_version(txn, key, command.version)
    if job is None:
        return Rejected(txn.index, f'job "{command.job_id}" version {command.version} not found')
    if named is not None and named.version != job.version:
        reason = f'tag "{command.name}" already exists on a different version of job "{command.job_id}"'
        return Rejected(txn.index, reason)
    _rewrite_version(txn, key, replace(job, version_tag=command.tag, modify_index=txn.index))
    return Applied(txn.index)
