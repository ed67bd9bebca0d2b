"""Nodes: what a client agent says of its machine, and what servers and users say of the node."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from raftnomad.fsm.apply import evaluations
from raftnomad.fsm.commands import (
    DeregisterNode,
    RegisterNode,
    UpdateNodeDrain,
    UpdateNodeEligibility,
    UpdateNodeStatus,
)
from raftnomad.fsm.outcome import Applied, Outcome, Rejected
from raftnomad.fsm.transaction import Transaction
from raftnomad.model.node import DrainMetadata, Node, NodeEvent, NodePool
from raftnomad.model.row import ZERO_TIME
from raftnomad.model.status import Eligibility, NodeStatus

EVENTS_KEPT = 10
_KEPT_AT_REGISTER = (
    "create_index",
    "drain_strategy",
    "events",
    "last_alloc_update_index",
    "last_drain",
    "last_missed_heartbeat_index",
    "scheduling_eligibility",
    "secret_id",
    "status",
    "status_description",
    "status_updated_at",
)
"""What the servers know better than the client agent."""


def register(txn: Transaction, command: RegisterNode) -> Outcome:
    node = command.node
    old = txn.state.nodes.get(node.id)
    if old is not None and old.secret_id and old.secret_id != node.secret_id:
        return Rejected(txn.index, "node secret ID does not match. Not registering node.", 403)
    node = replace(node, node_pool=node.node_pool or "default", modify_index=txn.index)
    if old is None:
        node = _first_registration(txn, node)
    else:
        node = replace(node, **{name: getattr(old, name) for name in _KEPT_AT_REGISTER})
        if old.status == NodeStatus.DOWN:
            node = with_event(txn, node, NodeEvent(message="Node re-registered", subsystem="Cluster"))
    if node.node_pool not in txn.state.node_pools:
        pool = NodePool(name=node.node_pool, create_index=txn.index, modify_index=txn.index)
        txn.put(txn.state.node_pools, pool.name, pool)
    txn.put_node(node)
    evaluations.store(txn, command.evaluations)
    return Applied(txn.index, value=txn.index)


def _first_registration(txn: Transaction, node: Node) -> Node:
    event = NodeEvent(message="Node registered", subsystem="Cluster", timestamp=txn.time)
    return replace(
        node,
        create_index=txn.index,
        status=node.status or str(NodeStatus.INITIALIZING),
        scheduling_eligibility=node.scheduling_eligibility or str(Eligibility.ELIGIBLE),
        status_updated_at=txn.time_ns // 1_000_000_000,
        events=(event,),
    )


def with_event(txn: Transaction, node: Node, event: NodeEvent | None) -> Node:
    if event is None:
        return node
    timestamp = event.timestamp if event.timestamp != ZERO_TIME else txn.time
    event = replace(event, timestamp=timestamp, create_index=txn.index)
    return replace(node, events=(*(node.events or ()), event)[-EVENTS_KEPT:])


def deregister(txn: Transaction, command: DeregisterNode) -> Outcome:
    if (stale := evaluations.stale_epoch(txn, command.epoch)) is not None:
        return stale
    for node_id in dict.fromkeys(command.node_ids):
        if node_id in txn.state.nodes:
            txn.remove_node(node_id)
    evaluations.store(txn, command.evaluations)
    return Applied(txn.index)


def _not_found(txn: Transaction) -> Rejected:
    return Rejected(txn.index, "node not found", 404)


def update_status(txn: Transaction, command: UpdateNodeStatus) -> Outcome:
    if (stale := evaluations.stale_epoch(txn, command.epoch)) is not None:
        return stale
    node = txn.state.nodes.get(command.node_id)
    if node is None:
        return _not_found(txn)
    fields: dict[str, Any] = {"status": command.status, "modify_index": txn.index}
    if command.status != node.status:
        fields["status_updated_at"] = txn.time_ns // 1_000_000_000
        if command.status in (NodeStatus.DOWN, NodeStatus.DISCONNECTED):
            fields["last_missed_heartbeat_index"] = txn.index
        elif command.status == NodeStatus.READY:
            fields["last_missed_heartbeat_index"] = 0
    txn.put_node(with_event(txn, replace(node, **fields), command.event))
    evaluations.store(txn, command.evaluations)
    return Applied(txn.index, value=txn.index)


def update_eligibility(txn: Transaction, command: UpdateNodeEligibility) -> Outcome:
    node = txn.state.nodes.get(command.node_id)
    if node is None:
        return _not_found(txn)
    if node.drain_strategy is not None and command.eligibility == Eligibility.ELIGIBLE:
        return Rejected(txn.index, "can not set node's scheduling eligibility to eligible while it is draining")
    node = replace(node, scheduling_eligibility=command.eligibility, modify_index=txn.index)
    txn.put_node(with_event(txn, node, command.event))
    evaluations.store(txn, command.evaluations)
    return Applied(txn.index, value=txn.index)


def update_drain(txn: Transaction, command: UpdateNodeDrain) -> Outcome:
    if (stale := evaluations.stale_epoch(txn, command.epoch)) is not None:
        return stale
    node = txn.state.nodes.get(command.node_id)
    if node is None:
        return _not_found(txn)
    if command.completed and node.drain_strategy is None:
        return Applied(txn.index, value=txn.index)  # The user ended it first.
    fields: dict[str, Any] = {
        "drain_strategy": command.strategy,
        "last_drain": _last_drain(txn, node, command),
        "modify_index": txn.index,
    }
    if command.strategy is not None:
        fields["scheduling_eligibility"] = str(Eligibility.INELIGIBLE)
    elif command.mark_eligible:
        fields["scheduling_eligibility"] = str(Eligibility.ELIGIBLE)
    # Ending a drain that is not there is no event of the node.
    event = None if command.strategy is None and node.drain_strategy is None else command.event
    txn.put_node(with_event(txn, replace(node, **fields), event))
    evaluations.store(txn, command.evaluations)
    return Applied(txn.index, value=txn.index)


def _last_drain(txn: Transaction, node: Node, command: UpdateNodeDrain) -> DrainMetadata | None:
    """The record of the drain that is under way, or of the last one. Its times have whole seconds, as Nomad's."""
    now = txn.time.partition(".")[0].removesuffix("Z") + "Z"
    last = node.last_drain
    if command.strategy is not None:
        goes_on = node.drain_strategy is not None and last is not None
        started_at = last.started_at if goes_on and last is not None else now
        return DrainMetadata(
            started_at=started_at,
            updated_at=now,
            status="draining",
            accessor_id=command.accessor_id,
            meta=command.meta,
        )
    if node.drain_strategy is None or last is None:
        return last
    status = "complete" if command.completed else "canceled"
    return replace(last, updated_at=now, status=status, meta=last.meta if command.meta is None else command.meta)
