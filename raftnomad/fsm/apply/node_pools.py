"""Node pools: `all` and `default` are built in; the others come and go by name, or with the first node of a pool."""

from __future__ import annotations

from raftnomad.fsm.commands import DeleteNodePools, UpsertNodePools
from raftnomad.fsm.outcome import Applied, Outcome, Rejected
from raftnomad.fsm.state import State
from raftnomad.fsm.transaction import Transaction, stamped
from raftnomad.model.status import JobStatus
from raftnomad.model.validation import multierror

BUILT_IN = ("all", "default")


def upsert(txn: Transaction, command: UpsertNodePools) -> Outcome:
    for pool in command.node_pools:
        if pool.name in BUILT_IN:
            return Rejected(txn.index, f'modifying node pool "{pool.name}" is not allowed', 400)
    for pool in command.node_pools:
        txn.put(txn.state.node_pools, pool.name, stamped(pool, txn.state.node_pools.get(pool.name), txn.index))
    return Applied(txn.index)


def delete(txn: Transaction, command: DeleteNodePools) -> Outcome:
    for name in command.names:
        if name not in txn.state.node_pools:
            return Rejected(txn.index, f"node pool {name} not found")
        if needed := _needed_by(txn.state, name):
            where = f"in regions: [{command.region}]"
            return Rejected(txn.index, multierror([f'node pool "{name}" has {what} {where}' for what in needed]))
        if name in BUILT_IN:
            return Rejected(txn.index, f'deleting node pool "{name}" is not allowed')
    for name in dict.fromkeys(command.names):
        txn.remove(txn.state.node_pools, name)
    return Applied(txn.index)


def _needed_by(state: State, name: str) -> list[str]:
    needed = []
    if any(job.node_pool == name and job.status != JobStatus.DEAD for job in state.jobs.values()):
        needed.append("non-terminal jobs")
    if any(node.node_pool == name for node in state.nodes.values()):
        needed.append("nodes")
    return needed
