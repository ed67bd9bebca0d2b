"""System and sysbatch jobs: one allocation of each group on every node that may run it."""

from __future__ import annotations

from raftnomad.errors import NotBuilt
from raftnomad.fsm.node_columns import NodeColumns
from raftnomad.scheduler.input import SchedulerInput, SchedulerOutput


def schedule_system(input: SchedulerInput, nodes: NodeColumns) -> SchedulerOutput:
    raise NotBuilt("system jobs are not built yet")
