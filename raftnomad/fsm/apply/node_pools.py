"""Node pools: `all` and `default` are built in; the others come and go by name, or with the first node of a pool."""

from __future__ import annotations

from raftnomad.fsm.commands import DeleteNodePools, UpsertNodePools
from raftnomad.fsm.outcome import Applied, Outcome, Rejected
from raftnomad.fsm.transaction import Transaction, stamped
from raftnomad.model.status import JobStatus

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
        if name in BUILT_IN:
            return Rejected(txn.index, f'deleting node pool "{name}" is not allowed')
        if name not in txn.state.node_pools:
            return Rejected(txn.index, f"node pool {name} not found")
        if any(node.node_pool == name for node in txn.state.nodes.values()):
            return Rejected(txn.index, f'node pool "{name}" has nodes')
        if any(job.node_pool == name and job.status != JobStatus.DEAD for job in txn.state.jobs.values()):
            return Rejected(txn.index, f'node pool "{name}" has non-terminal jobs')
    for name in dict.fromkeys(command.names):
        txn.remove(txn.state.node_pools, name)
    return Applied(txn.index)
