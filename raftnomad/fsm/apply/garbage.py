"""Garbage: rows of what is over are forgotten, unless something has begun to need them since they were chosen."""

from __future__ import annotations

from raftnomad.fsm import summaries
from raftnomad.fsm.apply import evaluations, jobs
from raftnomad.fsm.commands import CollectGarbage, ReconcileSummaries
from raftnomad.fsm.outcome import Applied, Outcome
from raftnomad.fsm.state import OPEN_EVAL_STATUSES, uses_node
from raftnomad.fsm.transaction import Transaction
from raftnomad.model.status import ACTIVE_DEPLOYMENT_STATUSES, JobStatus, NodeStatus


def collect(txn: Transaction, command: CollectGarbage) -> Outcome:
    """Allocations go first, since evaluations, deployments, jobs and nodes are kept for them."""
    if (stale := evaluations.stale_epoch(txn, command.epoch)) is not None:
        return stale
    for alloc_id in command.allocations:
        alloc = txn.state.allocations.get(alloc_id)
        if alloc is not None and not uses_node(alloc):
            txn.remove_allocation(alloc_id)
    for eval_id in command.evaluations:
        evaluation = txn.state.evaluations.get(eval_id)
        if evaluation is not None and evaluation.status not in OPEN_EVAL_STATUSES:
            txn.remove_evaluation(evaluation)
    for deployment_id in command.deployments:
        deployment = txn.state.deployments.get(deployment_id)
        if deployment is not None and deployment.status not in ACTIVE_DEPLOYMENT_STATUSES:
            txn.remove_deployment(deployment)
    for key in command.jobs:
        _forget_job(txn, (key[0], key[1]))
    for node_id in command.nodes:
        node = txn.state.nodes.get(node_id)
        if node is None or node.status != NodeStatus.DOWN:
            continue
        if not any(uses_node(alloc) for alloc in txn.state.allocations_of_node(node_id)):
            txn.remove_node(node_id)
    return Applied(txn.index)


def _forget_job(txn: Transaction, key: tuple[str, str]) -> None:
    job = txn.state.jobs.get(key)
    if job is None or job.status != JobStatus.DEAD or txn.state.has_history(key):
        return
    for deployment in txn.state.deployments_of_job(*key):
        txn.remove_deployment(deployment)
    jobs.forget(txn, key)


def reconcile_summaries(txn: Transaction, _command: ReconcileSummaries) -> Outcome:
    for key in list(txn.state.summaries):
        counted = summaries.counted(txn.state, key)
        if counted != txn.state.summaries[key]:
            txn.put(txn.state.summaries, key, counted)
    return Applied(txn.index)
