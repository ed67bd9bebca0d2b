"""How far a deployment is: placed, healthy and unhealthy allocations, kept by steps as allocations change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from raftnomad.clock import from_rfc3339, rfc3339
from raftnomad.model.allocation import Allocation
from raftnomad.model.deployment import DeploymentState
from raftnomad.model.row import ZERO_TIME

if TYPE_CHECKING:
    from raftnomad.fsm.transaction import Transaction


class Step(msgspec.Struct):
    placed: int = 0
    healthy: int = 0
    unhealthy: int = 0
    canaries: list[str] = []


class Steps:
    def __init__(self) -> None:
        self.groups: dict[tuple[str, str], Step] = {}
        """(deployment id, group)"""

    def allocation(self, old: Allocation | None, new: Allocation) -> None:
        joins = old is None or old.deployment_id != new.deployment_id
        before = None if joins or old is None or old.deployment_status is None else old.deployment_status.healthy
        after = None if new.deployment_status is None else new.deployment_status.healthy
        if not joins and before == after:
            return
        key = (new.deployment_id, new.task_group)
        step = self.groups.get(key)
        if step is None:
            step = self.groups[key] = Step()
        if joins:
            step.placed += 1
            if new.deployment_status is not None and new.deployment_status.canary:
                step.canaries.append(new.id)
        if before != after:
            step.healthy += (after is True) - (before is True)
            step.unhealthy += (after is False) - (before is False)


def settle(txn: Transaction) -> None:
    """Write the deployments that the command's steps change."""
    for (deployment_id, group), step in txn.deployment_steps.groups.items():
        deployment = txn.state.deployments.get(deployment_id)
        if deployment is None or group not in (deployment.task_groups or {}):
            continue
        assert deployment.task_groups is not None
        groups = {**deployment.task_groups, group: _stepped(deployment.task_groups[group], step, txn.time_ns)}
        txn.put_deployment(replace(deployment, task_groups=groups, modify_index=txn.index, modify_time_ns=txn.time_ns))


def _stepped(state: DeploymentState, step: Step, time_ns: int) -> DeploymentState:
    progress_by = state.require_progress_by
    if state.progress_deadline_ns and (step.placed or step.healthy > 0):
        progress_by = later(progress_by, rfc3339(time_ns + state.progress_deadline_ns))
    return replace(
        state,
        placed_allocs=state.placed_allocs + step.placed,
        healthy_allocs=state.healthy_allocs + step.healthy,
        unhealthy_allocs=state.unhealthy_allocs + step.unhealthy,
        placed_canaries=(*(state.placed_canaries or ()), *step.canaries) or None,
        require_progress_by=progress_by,
    )


def later(one: str, other: str) -> str:
    """Of two times, the later; a text that is no time is earlier than any."""
    return one if one != ZERO_TIME and _nanoseconds(one) >= _nanoseconds(other) else other


def _nanoseconds(text: str) -> int:
    try:
        return from_rfc3339(text)
    except ValueError:
        return 0
