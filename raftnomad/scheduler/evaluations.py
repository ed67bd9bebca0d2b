"""The evaluations that scheduling one makes: what waits for room, and what waits for a time."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from raftnomad.clock import rfc3339
from raftnomad.fsm.node_columns import BoolColumn, NodeColumns
from raftnomad.model.allocation import AllocMetric
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import TaskGroup
from raftnomad.model.status import EvalStatus, EvalTrigger
from raftnomad.scheduler.explain import class_eligibility
from raftnomad.scheduler.feasible import Feasibility, escapes_class
from raftnomad.scheduler.input import SchedulerInput

BATCH_WINDOW_NS = 5_000_000_000
"""What becomes due within this time after the first shares its evaluation."""

_DESCRIPTIONS = {
    EvalTrigger.ALLOC_RESCHEDULE: "created for delayed rescheduling",
    EvalTrigger.MAX_DISCONNECT_TIMEOUT: "created for delayed disconnect timeout",
}


class FollowUps:
    """Evaluations of the same job at later times; ask in the order of time."""

    def __init__(self, input: SchedulerInput, new_id: Callable[[], str]) -> None:
        self._input = input
        self._new_id = new_id
        self._times: list[tuple[EvalTrigger, int, str]] = []
        self.evaluations: list[Evaluation] = []

    def at(self, time_ns: int, trigger: EvalTrigger) -> str:
        """The id of the evaluation that becomes due then (or up to 5 s earlier)."""
        for known, first_ns, evaluation_id in self._times:
            if known is trigger and 0 <= time_ns - first_ns <= BATCH_WINDOW_NS:
                return evaluation_id
        evaluation = msgspec.structs.replace(
            _child(self._input, self._new_id()),
            triggered_by=trigger,
            status=EvalStatus.PENDING,
            status_description=_DESCRIPTIONS[trigger],
            wait_until=rfc3339(time_ns),
        )
        self._times.append((trigger, time_ns, evaluation.id))
        self.evaluations.append(evaluation)
        return evaluation.id


def blocked_evaluation(
    input: SchedulerInput,
    nodes: NodeColumns,
    start: BoolColumn,
    waiting: list[tuple[TaskGroup, Feasibility]],
    failed: dict[str, AllocMetric],
    new_id: str,
) -> Evaluation:
    """What waits until a node of a class that may run it has room. One that was blocked already stays the same one."""
    job = input.job
    assert job is not None
    escaped = any(escapes_class(job, group) for group, _ in waiting)
    eligibility = None if escaped else class_eligibility(nodes, start, [found for _, found in waiting])
    if input.evaluation.status == EvalStatus.BLOCKED:
        child = input.evaluation
    else:
        child = msgspec.structs.replace(
            _child(input, new_id),
            triggered_by=EvalTrigger.QUEUED_ALLOCS,
            status=EvalStatus.BLOCKED,
            status_description="created to place remaining allocations",
            job_modify_index=input.evaluation.job_modify_index,
        )
    return msgspec.structs.replace(
        child,
        class_eligibility=eligibility or None,
        escaped_computed_class=escaped,
        failed_tg_allocs=failed,
        snapshot_index=input.index,
        modify_time_ns=input.now_ns,
    )


def _child(input: SchedulerInput, new_id: str) -> Evaluation:
    parent = input.evaluation
    return Evaluation(
        id=new_id,
        namespace=parent.namespace,
        priority=parent.priority,
        type=parent.type,
        job_id=parent.job_id,
        job_modify_index=input.job.job_modify_index if input.job else parent.job_modify_index,
        previous_eval=parent.id,
        snapshot_index=input.index,
        create_time_ns=input.now_ns,
        modify_time_ns=input.now_ns,
    )
