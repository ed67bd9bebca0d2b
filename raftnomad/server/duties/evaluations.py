"""Evaluations that the brokers have given up: failed too often, superseded, blocked twice, blocked by conflicts."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from raftnomad.clock import rfc3339
from raftnomad.fsm.commands import UpsertEvaluations
from raftnomad.fsm.state import OPEN_EVAL_STATUSES, State
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.status import EvalStatus, EvalTrigger
from raftnomad.server.blocked_evals import BlockedEvals
from raftnomad.server.duties.decision import Decision
from raftnomad.server.eval_broker import EvalBroker
from raftnomad.server.triggered import NewId

REAP_S = 5.0
FOLLOW_UP_S, FOLLOW_UP_SPREAD_S = 60.0, 300.0


def decide(
    state: State,
    broker: EvalBroker,
    blocked: BlockedEvals,
    now_s: float,
    now_ns: int,
    epoch: int,
    new_id: NewId,
    chance: Callable[[], float],
) -> Decision:
    """Takes what the brokers have laid aside; what the state has closed meanwhile is let go."""
    for evaluation in blocked.unblock_conflicts(now_s):
        broker.enqueue(evaluation, now_s)
    written: list[Evaluation] = []
    for evaluation in broker.failed:
        if _is_open(state, evaluation):
            written.extend(_failed(evaluation, broker.delivery_limit, now_ns, new_id, chance))
    written.extend(
        _cancelled(evaluation, "canceled after more recent eval was processed")
        for evaluation in broker.superseded
        if _is_open(state, evaluation)
    )
    written.extend(
        _cancelled(evaluation, f'existing blocked evaluation exists for job "{evaluation.job_id}"')
        for evaluation in blocked.duplicates
        if _is_open(state, evaluation)
    )
    broker.failed.clear()
    broker.superseded.clear()
    blocked.duplicates.clear()
    commands = (UpsertEvaluations(evaluations=tuple(written), epoch=epoch),) if written else ()
    return Decision(commands, REAP_S)


def _is_open(state: State, evaluation: Evaluation) -> bool:
    current = state.evaluations.get(evaluation.id)
    return current is not None and current.status in OPEN_EVAL_STATUSES


def _failed(
    evaluation: Evaluation, limit: int, now_ns: int, new_id: NewId, chance: Callable[[], float]
) -> tuple[Evaluation, Evaluation]:
    """The failed one, and another that tries again when the trouble may be over, not all of them at once."""
    wait_s = FOLLOW_UP_S + FOLLOW_UP_SPREAD_S * chance()
    follow_up = Evaluation(
        id=new_id(),
        namespace=evaluation.namespace,
        priority=evaluation.priority,
        type=evaluation.type,
        triggered_by=str(EvalTrigger.FAILED_FOLLOW_UP),
        job_id=evaluation.job_id,
        job_modify_index=evaluation.job_modify_index,
        status=str(EvalStatus.PENDING),
        wait_until=rfc3339(now_ns + int(wait_s * 1_000_000_000)),
        previous_eval=evaluation.id,
        create_time_ns=now_ns,
        modify_time_ns=now_ns,
    )
    failed = replace(
        evaluation,
        status=str(EvalStatus.FAILED),
        status_description=f"evaluation reached delivery limit ({limit})",
        next_eval=follow_up.id,
    )
    return failed, follow_up


def _cancelled(evaluation: Evaluation, reason: str) -> Evaluation:
    return replace(evaluation, status=str(EvalStatus.CANCELED), status_description=reason)
