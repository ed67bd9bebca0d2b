"""Evaluations: stored as they are proposed, with what a new status means for the job's others."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from raftnomad.fsm.commands import DeleteEvaluations, UpsertEvaluations
from raftnomad.fsm.outcome import Applied, Outcome, Rejected
from raftnomad.fsm.state import State, uses_node
from raftnomad.fsm.transaction import Transaction
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.status import EvalStatus


def upsert(txn: Transaction, command: UpsertEvaluations) -> Outcome:
    if (stale := stale_epoch(txn, command.epoch)) is not None:
        return stale
    store(txn, command.evaluations)
    return Applied(txn.index)


def stale_epoch(txn: Transaction, epoch: int) -> Rejected | None:
    """Commands of the leader carry its epoch; another leader has claimed office since. 0 is nobody's: let it pass."""
    if epoch in (0, txn.state.epoch):
        return None
    return Rejected(txn.index, f"stale leader: its epoch is {epoch}, the present one is {txn.state.epoch}")


def store(txn: Transaction, evaluations: Iterable[Evaluation]) -> None:
    for evaluation in evaluations:
        _store(txn, evaluation)


def _store(txn: Transaction, evaluation: Evaluation) -> None:
    old = txn.state.evaluations.get(evaluation.id)
    txn.put_evaluation(
        replace(
            evaluation,
            create_index=old.create_index if old else txn.index,
            modify_index=txn.index,
            create_time_ns=(old.create_time_ns if old else 0) or evaluation.create_time_ns or txn.time_ns,
            modify_time_ns=txn.time_ns,
        )
    )
    if evaluation.queued_allocations:
        key = (evaluation.namespace, evaluation.job_id)
        txn.summary_steps.queued.setdefault(key, {}).update(evaluation.queued_allocations)
    if evaluation.status == EvalStatus.COMPLETE and not evaluation.failed_tg_allocs:
        _cancel_blocked(txn, evaluation)


def _cancel_blocked(txn: Transaction, successful: Evaluation) -> None:
    """All of the job is placed: nothing is left for the job's blocked evaluations to do."""
    key = (successful.namespace, successful.job_id)
    if not txn.state.open_evaluations[key]:
        return
    for other in txn.state.evaluations_of_job(*key):
        if other.status == EvalStatus.BLOCKED and other.id != successful.id:
            txn.put_evaluation(
                replace(
                    other,
                    status=str(EvalStatus.CANCELED),
                    status_description=f'evaluation "{successful.id}" successful',
                    modify_index=txn.index,
                    modify_time_ns=txn.time_ns,
                )
            )


def delete(txn: Transaction, command: DeleteEvaluations) -> Outcome:
    """All of them or none. While the broker hands evaluations out, one that is deleted might be at work."""
    if not txn.state.scheduler_configuration.pause_eval_broker:
        return Rejected(txn.index, "eval broker is enabled; eval broker must be paused to delete evals")
    for eval_id in command.eval_ids:
        if eval_id not in txn.state.evaluations:
            return Rejected(txn.index, "eval not found")
        if not can_be_spared(txn.state, eval_id):
            return Rejected(txn.index, f"eval {eval_id} is not safe to delete")
    for eval_id in dict.fromkeys(command.eval_ids):
        txn.remove_evaluation(txn.state.evaluations[eval_id])
    return Applied(txn.index, value=txn.index)


def can_be_spared(state: State, eval_id: str) -> bool:
    """Nothing that was placed for it still runs."""
    return not any(uses_node(alloc) for alloc in state.allocations_of_evaluation(eval_id))
