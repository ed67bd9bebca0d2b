"""The scheduler's settings: replaced as a whole, if need be only when they are still the ones that were read."""

from __future__ import annotations

from raftnomad.fsm.commands import SetSchedulerConfiguration
from raftnomad.fsm.outcome import Applied, Outcome
from raftnomad.fsm.transaction import Transaction, stamped


def set_configuration(txn: Transaction, command: SetSchedulerConfiguration) -> Outcome:
    """The outcome's value is 1, or 0 when the check failed, which is no error."""
    old = txn.state.scheduler_configuration
    if command.check_index is not None and command.check_index != old.modify_index:
        return Applied(txn.index, value=0)
    txn.put(txn.state.scheduler_configurations, "", stamped(command.configuration, old, txn.index))
    return Applied(txn.index, value=1)
