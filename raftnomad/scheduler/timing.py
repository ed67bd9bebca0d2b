"""How long placing took, put into the metrics that people read: measured outside, since a decision has no clock."""

from __future__ import annotations

from msgspec.structs import replace

from raftnomad.model.allocation import AllocMetric
from raftnomad.model.evaluation import Evaluation
from raftnomad.scheduler.input import SchedulerOutput


def timed(output: SchedulerOutput, elapsed_ns: int) -> SchedulerOutput:
    """The same answer, with `elapsed_ns` shared among the groups that were to be placed."""
    failed = output.evaluation.failed_tg_allocs or {}
    groups = len({block.task_group for block in output.plan.placements} | set(failed))
    if groups == 0:
        return output
    each_ns = max(elapsed_ns // groups, 1)
    blocks = tuple(
        replace(block, metrics=_metric(block.metrics, each_ns)) if block.metrics is not None else block
        for block in output.plan.placements
    )
    return replace(
        output,
        plan=replace(output.plan, placements=blocks),
        evaluation=_evaluation(output.evaluation, each_ns),
        created=tuple(_evaluation(evaluation, each_ns) for evaluation in output.created),
    )


def _evaluation(evaluation: Evaluation, each_ns: int) -> Evaluation:
    if not evaluation.failed_tg_allocs:
        return evaluation
    metrics = {group: _metric(metric, each_ns) for group, metric in evaluation.failed_tg_allocs.items()}
    return replace(evaluation, failed_tg_allocs=metrics)


def _metric(metric: AllocMetric, each_ns: int) -> AllocMetric:
    return replace(metric, allocation_time_ns=each_ns)
