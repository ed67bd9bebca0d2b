"""Allocations: what client agents say of them, and what servers ask of them outside of plans."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from raftnomad.fsm.apply import evaluations
from raftnomad.fsm.commands import AllocationUpdate, TransitionAllocations, UpdateAllocations
from raftnomad.fsm.outcome import Applied, Outcome
from raftnomad.fsm.transaction import Transaction
from raftnomad.model.allocation import Allocation, AllocDeploymentStatus, AllocState, DesiredTransition
from raftnomad.model.status import ClientStatus


def update(txn: Transaction, command: UpdateAllocations) -> Outcome:
    """Reports of allocations that are gone, or of another node's, change nothing."""
    reported: dict[str, None] = {}
    for report in command.updates:
        alloc = txn.state.allocations.get(report.id)
        if alloc is None or command.node_id not in ("", alloc.node_id):
            continue
        txn.put_allocation(_reported(txn, alloc, report))
        reported[alloc.node_id] = None
    for node_id in reported:
        _note_report(txn, node_id)
    evaluations.store(txn, command.evaluations)
    return Applied(txn.index)


def _reported(txn: Transaction, alloc: Allocation, report: AllocationUpdate) -> Allocation:
    status = report.client_status or alloc.client_status
    fields: dict[str, Any] = {
        "client_status": status,
        "client_description": report.client_description or alloc.client_description,
        "modify_index": txn.index,
        "modify_time_ns": txn.time_ns,
    }
    if report.task_states is not None:
        fields["task_states"] = report.task_states
    if report.network_status is not None:
        fields["network_status"] = report.network_status
    if report.deployment_status is not None:
        fields["deployment_status"] = _health(txn, alloc.deployment_status, report.deployment_status)
    if alloc.client_status == ClientStatus.UNKNOWN and status != ClientStatus.UNKNOWN:
        fields["alloc_states"] = with_state(alloc, status, txn.time)
        fields["followup_eval_id"] = ""  # Nobody waits for its return any more.
    return replace(alloc, **fields)


def _health(
    txn: Transaction, old: AllocDeploymentStatus | None, reported: AllocDeploymentStatus
) -> AllocDeploymentStatus:
    """The client judges health only; whether it is a canary, the servers know."""
    if old is not None and old.healthy is not None and reported.healthy is None:
        return old
    if old is not None and (old.healthy, old.timestamp) == (reported.healthy, reported.timestamp):
        return old
    return replace(reported, canary=old.canary if old is not None else False, modify_index=txn.index)


def with_state(alloc: Allocation, status: str, time: str) -> tuple[AllocState, ...]:
    """The list of an allocation's disconnects and reconnects, one longer."""
    return (*(alloc.alloc_states or ()), AllocState(value=str(status), time=time))


def _note_report(txn: Transaction, node_id: str) -> None:
    """A node that was away is ready again only when it has said what its allocations did meanwhile."""
    node = txn.state.nodes.get(node_id)
    if node is not None and node.last_alloc_update_index <= node.last_missed_heartbeat_index:
        txn.put_node(replace(node, last_alloc_update_index=txn.index))


def transition(txn: Transaction, command: TransitionAllocations) -> Outcome:
    if (stale := evaluations.stale_epoch(txn, command.epoch)) is not None:
        return stale
    for alloc_id, wanted in (command.transitions or {}).items():
        alloc = txn.state.allocations.get(alloc_id)
        if alloc is not None:
            merged = _merged(alloc.desired_transition, wanted)
            txn.put_allocation(
                replace(alloc, desired_transition=merged, modify_index=txn.index, modify_time_ns=txn.time_ns)
            )
    evaluations.store(txn, command.evaluations)
    return Applied(txn.index)


def _merged(old: DesiredTransition, new: DesiredTransition) -> DesiredTransition:
    fields = ("migrate", "reschedule", "force_reschedule", "no_shutdown_delay", "migrate_disable_placement")
    wanted = {name: getattr(new, name) for name in fields if getattr(new, name) is not None}
    return replace(old, **wanted)
