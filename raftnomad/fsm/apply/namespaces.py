"""Namespaces: created and changed by name, deleted only when nothing of them runs."""

from __future__ import annotations

from raftnomad.fsm.commands import DeleteNamespaces, UpsertNamespaces
from raftnomad.fsm.outcome import Applied, Outcome, Rejected
from raftnomad.fsm.transaction import Transaction, stamped
from raftnomad.model.status import JobStatus


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
        if any(key[0] == name and job.status != JobStatus.DEAD for key, job in txn.state.jobs.items()):
            return Rejected(txn.index, f'namespace "{name}" has non-terminal jobs')
    for name in dict.fromkeys(command.names):
        txn.remove(txn.state.namespaces, name)
    return Applied(txn.index)
