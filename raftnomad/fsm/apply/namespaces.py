"""Namespaces: created and changed by name, deleted only when nothing of them runs."""

from __future__ import annotations

from raftnomad.fsm.commands import DeleteNamespaces, UpsertNamespaces
from raftnomad.fsm.outcome import Applied, Outcome, Rejected
from raftnomad.fsm.state import State, is_terminal
from raftnomad.fsm.transaction import Transaction, stamped
from raftnomad.model.status import JobStatus
from raftnomad.model.validation import multierror


def upsert(txn: Transaction, command: UpsertNamespaces) -> Outcome:
    for namespace in command.namespaces:
        old = txn.state.namespaces.get(namespace.name)
        txn.put(txn.state.namespaces, namespace.name, stamped(namespace, old, txn.index))
    return Applied(txn.index)


def delete(txn: Transaction, command: DeleteNamespaces) -> Outcome:
    for name in command.names:
        if name == "default":
            return Rejected(txn.index, "can not delete default namespace")
        if name not in txn.state.namespaces:
            return Rejected(txn.index, "namespace not found")
        if needed := _needed_by(txn.state, name):
            where = f"in regions: [{command.region}]"
            return Rejected(txn.index, multierror([f'namespace "{name}" has {what} {where}' for what in needed]))
    for name in dict.fromkeys(command.names):
        txn.remove(txn.state.namespaces, name)
    return Applied(txn.index)


def _needed_by(state: State, name: str) -> list[str]:
    needed = []
    if any(key[0] == name and job.status != JobStatus.DEAD for key, job in state.jobs.items()):
        needed.append("non-terminal jobs")
    if any(alloc.namespace == name and not is_terminal(alloc) for alloc in state.allocations.values()):
        needed.append("non-terminal allocations")
    return needed
