"""Why something was not placed, in the lines that people know."""

from __future__ import annotations

from typing import Any


def placement_failure(metrics: dict[str, Any], prefix: str) -> list[str]:
    """One line for each reason in an AllocMetric; `prefix` stands before each."""
    lines = []
    if not metrics.get("NodesEvaluated"):
        lines.append("* No nodes were eligible for evaluation")
    for datacenter, available in sorted((metrics.get("NodesAvailable") or {}).items()):
        if available == 0:
            lines.append(f'* No nodes are available in datacenter "{datacenter}"')
    lines += [
        f'* Class "{node_class}": {count} nodes excluded by filter'
        for node_class, count in sorted((metrics.get("ClassFiltered") or {}).items())
    ]
    lines += [
        f'* Constraint "{constraint}": {count} nodes excluded by filter'
        for constraint, count in sorted((metrics.get("ConstraintFiltered") or {}).items())
    ]
    if exhausted := metrics.get("NodesExhausted"):
        lines.append(f"* Resources exhausted on {exhausted} nodes")
    lines += [
        f'* Class "{node_class}" exhausted on {count} nodes'
        for node_class, count in sorted((metrics.get("ClassExhausted") or {}).items())
    ]
    lines += [
        f'* Dimension "{dimension}" exhausted on {count} nodes'
        for dimension, count in sorted((metrics.get("DimensionExhausted") or {}).items())
    ]
    lines += [f'* Quota limit hit "{quota}"' for quota in metrics.get("QuotaExhausted") or ()]
    return [prefix + line for line in lines]
