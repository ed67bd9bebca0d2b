"""Children: the jobs that a periodic job launches when its time has come, and a parameterized one when it is asked to.

A child is made here and not by its proposer: it is what its parent is at this very step, and whether the parent is
stopped, was launched for that time, or still has a child that runs, nothing can change in between.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from raftnomad.fsm.apply import evaluations, jobs
from raftnomad.fsm.commands import DispatchJob, LaunchPeriodicJob
from raftnomad.fsm.outcome import Applied, Outcome, Rejected
from raftnomad.fsm.state import JobKey
from raftnomad.fsm.transaction import Transaction, stamped
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import Job
from raftnomad.model.launch import PeriodicLaunch
from raftnomad.model.status import JobStatus

PAYLOAD_BYTES_MAX = 16 * 1024
PRIORITY_MAX = 100


def launch(txn: Transaction, command: LaunchPeriodicJob) -> Outcome:
    """Applied with the index at which the child was made, or 0: a child was there, or another one still runs."""
    if (stale := evaluations.stale_epoch(txn, command.epoch)) is not None:
        return stale
    key = (command.namespace, command.job_id)
    parent = txn.state.jobs.get(key)
    if (refusal := _not_launchable(command, parent)) is not None:
        return Rejected(txn.index, refusal)
    assert parent is not None
    if command.forced:
        return _have_child(txn, _periodic_child(parent, _free_second(txn, key, command.launch_s)), command.evaluation)
    last = txn.state.periodic_launches.get(key)
    if last is not None and last.launch_s == command.launch_s:
        return Rejected(txn.index, f'job "{parent.id}" has been launched for this time')
    row = PeriodicLaunch(namespace=parent.namespace, job_id=parent.id, launch_s=command.launch_s)
    txn.put(txn.state.periodic_launches, key, stamped(row, last, txn.index))
    child = _periodic_child(parent, command.launch_s)
    assert parent.periodic is not None
    if (parent.namespace, child.id) in txn.state.jobs or (parent.periodic.prohibit_overlap and _runs(txn, key)):
        return Applied(txn.index)
    return _have_child(txn, child, command.evaluation)


def _not_launchable(command: LaunchPeriodicJob, parent: Job | None) -> str | None:
    if parent is None:
        return "job not found"
    if parent.periodic is None:
        return "can't force launch non-periodic job"
    if parent.stop or not parent.periodic.enabled:
        name = f'"{parent.id}" ({parent.namespace})'
        return f'force launch for job "{parent.id}" failed: can\'t force run non-tracked job {name}'
    return None


def _free_second(txn: Transaction, key: JobKey, launch_s: int) -> int:
    """Whoever forces two launches in a second wants two of them."""
    while (key[0], _periodic_id(key[1], launch_s)) in txn.state.jobs:
        launch_s += 1
    return launch_s


def _periodic_id(parent_id: str, launch_s: int) -> str:
    return f"{parent_id}/periodic-{launch_s}"


def _periodic_child(parent: Job, launch_s: int) -> Job:
    child_id = _periodic_id(parent.id, launch_s)
    return replace(parent, id=child_id, name=child_id, parent_id=parent.id, periodic=None)


def _runs(txn: Transaction, key: JobKey) -> bool:
    return any(child.status != JobStatus.DEAD for child in txn.state.children_of_job(*key))


def _have_child(txn: Transaction, child: Job, evaluation: Evaluation | None) -> Applied:
    child = replace(child, stop=False, stable=False, version_tag=None, submit_time_ns=txn.time_ns)
    jobs.add_version(txn, child, None, None)
    if evaluation is not None:
        of_child = replace(evaluation, job_id=child.id, priority=child.priority, type=child.type)
        jobs.store_evaluation(txn, of_child, txn.state.jobs[child.namespace, child.id])
    return Applied(txn.index, value=txn.index)


def dispatch(txn: Transaction, command: DispatchJob) -> Outcome:
    """Applied with the index at which the child was made: an earlier one when the token has been used before."""
    key = (command.namespace, command.job_id)
    parent = txn.state.jobs.get(key)
    if parent is None:
        return Rejected(txn.index, "parameterized job not found")
    if (refusal := _not_dispatchable(command, parent)) is not None:
        return Rejected(txn.index, refusal)
    if command.idempotency_token:
        known = with_token(txn.state.children_of_job(*key), command.idempotency_token)
        if known is not None:
            return Applied(txn.index, value=known.create_index)
    if (command.namespace, command.child_id) in txn.state.jobs:
        return Rejected(txn.index, f'job "{command.child_id}" has been dispatched before')
    child = replace(
        parent,
        id=command.child_id,
        name=command.child_id,
        parent_id=parent.id,
        dispatched=True,
        dispatch_idempotency_token=command.idempotency_token,
        payload=command.payload or None,
        meta={**(parent.meta or {}), **(command.meta or {})} or None,
        priority=command.priority or parent.priority,
    )
    return _have_child(txn, child, command.evaluation)


def with_token(children: Iterable[Job], token: str) -> Job | None:
    return next((child for child in children if child.dispatch_idempotency_token == token), None)


def _not_dispatchable(command: DispatchJob, parent: Job) -> str | None:
    asked = parent.parameterized_job
    if asked is None or parent.dispatched:
        return f'Specified job "{parent.id}" is not a parameterized job'
    if parent.stop:
        return f'Specified job "{parent.id}" is stopped'
    if command.priority and not 1 <= command.priority <= PRIORITY_MAX:
        return f"dispatch job priority must be between [1, {PRIORITY_MAX}]"
    if command.payload and asked.payload == "forbidden":
        return "Payload provided but forbidden by parameterized job"
    if not command.payload and asked.payload == "required":
        return "Payload is not provided but required by parameterized job"
    if len(command.payload) > PAYLOAD_BYTES_MAX:
        return f"Payload exceeds maximum size; {len(command.payload)} > {PAYLOAD_BYTES_MAX}"
    given, required = command.meta or {}, asked.meta_required or ()
    permitted = {*required, *(asked.meta_optional or ())}
    if unpermitted := [name for name in sorted(given) if name not in permitted]:
        return f"Dispatch request included unpermitted metadata keys: [{' '.join(unpermitted)}]"
    if missing := [name for name in sorted(required) if name not in given]:
        return f"Dispatch did not provide required meta keys: [{' '.join(missing)}]"
    return None
