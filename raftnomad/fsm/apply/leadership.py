"""Leadership as the state knows it: whoever claims it last is obeyed, commands of earlier leaders are refused."""

from __future__ import annotations

from raftnomad.fsm.commands import ClaimLeadership
from raftnomad.fsm.outcome import Applied, Outcome
from raftnomad.fsm.transaction import Transaction


def claim(txn: Transaction, command: ClaimLeadership) -> Outcome:
    txn.state.epoch = txn.index
    txn.state.leader_id = command.server_id
    return Applied(txn.index, value=txn.index)
