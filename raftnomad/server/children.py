"""What users ask of jobs that have children: launch the periodic one now, dispatch the parameterized one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raftnomad.fsm.apply.children import with_token
from raftnomad.fsm.commands import DispatchJob, LaunchPeriodicJob
from raftnomad.identifiers import new_id
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.status import EvalStatus, EvalTrigger

if TYPE_CHECKING:
    from raftnomad.server.server import Server

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Child:
    """`eval_id` is empty when a token was used again, and the child had been there before."""

    job_id: str
    job_create_index: int
    eval_id: str
    index: int


async def force_launch(server: Server, namespace: str, job_id: str) -> Child:
    """A child of a periodic job, now, whether or not another one runs. Raises CommandRejected."""
    evaluation = _evaluation(server, namespace, EvalTrigger.PERIODIC_JOB)
    command = LaunchPeriodicJob(
        namespace=namespace,
        job_id=job_id,
        launch_s=server.clock.now_ns() // SECOND_NS,
        forced=True,
        evaluation=evaluation,
    )
    applied = await server.propose(command)
    made = server.state.evaluations.get(evaluation.id)
    return Child(
        job_id=made.job_id if made is not None else "",
        job_create_index=applied.value,
        eval_id=evaluation.id,
        index=applied.index,
    )


async def dispatch(
    server: Server,
    namespace: str,
    job_id: str,
    *,
    payload: bytes = b"",
    meta: dict[str, str] | None = None,
    priority: int = 0,
    id_prefix: str = "",
    idempotency_token: str = "",
) -> Child:
    """A child of a parameterized job; with a token that was used before, the one of that time. Raises
    CommandRejected."""
    now_ns = server.clock.now_ns()
    evaluation = _evaluation(server, namespace, EvalTrigger.JOB_REGISTER)
    prefix = f"{id_prefix}-" if id_prefix else ""
    command = DispatchJob(
        namespace=namespace,
        job_id=job_id,
        child_id=f"{job_id}/dispatch-{prefix}{now_ns // SECOND_NS}-{new_id(server.random_bytes)[:8]}",
        payload=payload,
        meta=meta,
        priority=priority,
        idempotency_token=idempotency_token,
        evaluation=evaluation,
    )
    applied = await server.propose(command)
    if applied.value == applied.index:
        return Child(
            job_id=command.child_id, job_create_index=applied.value, eval_id=evaluation.id, index=applied.index
        )
    known = with_token(server.state.children_of_job(namespace, job_id), idempotency_token)
    return Child(
        job_id=known.id if known is not None else "", job_create_index=applied.value, eval_id="", index=applied.index
    )


def _evaluation(server: Server, namespace: str, trigger: EvalTrigger) -> Evaluation:
    """Of which job and of what priority, the state says when it makes the child."""
    now_ns = server.clock.now_ns()
    return Evaluation(
        id=new_id(server.random_bytes),
        namespace=namespace,
        triggered_by=str(trigger),
        status=str(EvalStatus.PENDING),
        create_time_ns=now_ns,
        modify_time_ns=now_ns,
    )
