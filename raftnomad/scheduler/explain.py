"""Why an allocation went where it went, or nowhere: the numbers that Nomad calls metrics."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from raftnomad.fsm.node_columns import CORES, CPU, DISK, MEMORY, BoolColumn, NodeColumns
from raftnomad.model.allocation import AllocMetric, NodeScoreMeta
from raftnomad.model.job import Job, TaskGroup
from raftnomad.model.resources import Resources
from raftnomad.scheduler.feasible import Feasibility
from raftnomad.scheduler.rank import Components, GroupRank

SCORES_MAX = 5


def base_metric(nodes: NodeColumns, job: Job, start: BoolColumn, found: Feasibility) -> AllocMetric:
    """What was looked at, and what the checks have filtered."""
    filtered = start & ~found.mask
    reasons = found.reason[filtered]
    counts = np.bincount(reasons[reasons >= 0], minlength=len(found.reasons)).tolist()
    number = int(start.sum())
    return AllocMetric(
        nodes_evaluated=number,
        nodes_filtered=int(filtered.sum()),
        nodes_in_pool=number,
        node_pool=job.node_pool or "default",
        nodes_available=by_value(nodes, "node.datacenter", start),
        class_filtered=by_value(nodes, "node.class", filtered) or None,
        constraint_filtered={reason: count for reason, count in zip(found.reasons, counts, strict=True) if count}
        or None,
    )


def with_exhausted(metric: AllocMetric, rank: GroupRank, scores: Components) -> AllocMetric:
    """Which of the nodes that may run the group have no room for one more, and what is missing first; and which of
    them are ruled out by where the job's other allocations are."""
    nodes = rank.room.nodes
    constraints = dict(metric.constraint_filtered or {})
    ruled_out = np.zeros(nodes.slots, np.bool_)
    for distinct in rank.distinct:
        for slot in np.flatnonzero(rank.mask & ~ruled_out & ~distinct.mask()).tolist():
            reason = distinct.reason(slot)
            constraints[reason] = constraints.get(reason, 0) + 1
            ruled_out[slot] = True
    hosts = rank.taken_hosts
    if hosts.any():
        constraints["distinct_hosts"] = constraints.get("distinct_hosts", 0) + int(hosts.sum())
        ruled_out |= hosts
    exhausted = rank.mask & ~scores.fits & ~ruled_out
    dimensions = _dimensions(rank, exhausted)
    for refusing, dimension in rank.refusals.items():
        if not exhausted[refusing]:
            dimensions[dimension] = dimensions.get(dimension, 0) + 1
            exhausted[refusing] = True
    classes = by_value(nodes, "node.class", ruled_out)
    for name, number in (metric.class_filtered or {}).items():
        classes[name] = classes.get(name, 0) + number
    return msgspec.structs.replace(
        metric,
        nodes_filtered=metric.nodes_filtered + int(ruled_out.sum()),
        constraint_filtered=constraints or None,
        class_filtered=classes or None,
        nodes_exhausted=int(exhausted.sum()),
        class_exhausted=by_value(nodes, "node.class", exhausted) or None,
        dimension_exhausted=dimensions or None,
    )


def _dimensions(rank: GroupRank, exhausted: BoolColumn) -> dict[str, int]:
    """The first dimension that is missing, in Nomad's order."""
    nodes = rank.room.nodes
    over = rank.room.used + rank.demand > nodes.total
    found: dict[str, int] = {}
    rest = exhausted.copy()
    for dimension, name in ((CORES, "cores"), (CPU, "cpu"), (MEMORY, "memory"), (DISK, "disk")):
        missing = rest & over[:, dimension]
        if missing.any():
            found[name] = int(missing.sum())
            rest &= ~missing
    if rest.any():
        found["max allocation exceeded"] = int(rest.sum())
    return found


def failed_metric(metric: AllocMetric, group: TaskGroup, failures: int) -> AllocMetric:
    """Of several that could not be placed the first is described, and the others are counted."""
    dimensions = metric.dimension_exhausted
    exhausted: dict[str, Resources] | None = None
    if dimensions:
        exhausted = {}
        for task in group.tasks or ():
            asked = task.resources or Resources()
            exhausted[task.name] = Resources(
                cpu=asked.cpu * failures if "cpu" in dimensions else 0,
                memory_mb=asked.memory_mb * failures if "memory" in dimensions else 0,
            )
    return msgspec.structs.replace(
        metric, resources_exhausted=exhausted, coalesced_failures=failures - 1, score_meta_data=None
    )


def with_scores(metric: AllocMetric, rank: GroupRank, scores: Components, only_binpack: bool = False) -> AllocMetric:
    """The best nodes, and what each score has said of them."""
    slots = np.flatnonzero(scores.fits)
    if not len(slots):
        return metric
    final = scores.binpack if only_binpack else scores.final
    if len(slots) > SCORES_MAX:
        part = np.argpartition(-final[slots], SCORES_MAX - 1)[:SCORES_MAX]
        slots = slots[np.sort(part)]
    ordered = slots[np.argsort(-final[slots], kind="stable")]
    return msgspec.structs.replace(
        metric, score_meta_data=tuple(_of_node(rank, scores, int(slot), only_binpack) for slot in ordered)
    )


def _of_node(rank: GroupRank, scores: Components, slot: int, only_binpack: bool) -> NodeScoreMeta:
    facts = rank.room.nodes.facts[slot]
    assert facts is not None
    named = {"binpack": float(scores.binpack[slot])}
    if only_binpack:
        return NodeScoreMeta(node_id=facts.id, scores=named, norm_score=named["binpack"])
    named["job-anti-affinity"] = float(scores.anti_affinity[slot])
    named["node-reschedule-penalty"] = float(scores.penalty[slot])
    named["node-affinity"] = 0.0 if scores.affinity is None else float(scores.affinity[slot])
    if scores.spread is not None and scores.spread[slot]:
        named["allocation-spread"] = float(scores.spread[slot])
    return NodeScoreMeta(node_id=facts.id, scores=named, norm_score=float(scores.final[slot]))


def by_value(nodes: NodeColumns, key: str, mask: BoolColumn) -> dict[str, int]:
    """How many of the nodes have each value; nodes with an empty value are not counted."""
    column = nodes.column(key)
    codes: NDArray[np.int32] = column.codes[mask]
    counts = np.bincount(codes[codes >= 0], minlength=len(column.values)).tolist()
    return {value: count for value, count in zip(column.values, counts, strict=True) if count and value}


def class_eligibility(nodes: NodeColumns, start: BoolColumn, found: Iterable[Feasibility]) -> dict[str, bool]:
    """Computed class -> whether some group that waits could run there, room apart."""
    column = nodes.column("class")
    seen = np.zeros(len(column.values) + 1, np.bool_)
    seen[column.codes[start]] = True
    eligible = np.zeros(len(column.values) + 1, np.bool_)
    for one in found:
        eligible[column.codes[one.by_class]] = True
    return {value: bool(eligible[code]) for code, value in enumerate(column.values) if seen[code]}
