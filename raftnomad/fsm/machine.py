"""The state machine: committed entries in, outcomes and changes out.

Equal logs give equal states on every server: nothing here reads a clock, chance or the environment, and nothing
depends on the order of a set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from raftnomad.fsm import dump
from raftnomad.fsm.apply import (
    allocations,
    children,
    deployments,
    evaluations,
    garbage,
    jobs,
    leadership,
    namespaces,
    node_pools,
    nodes,
    plans,
    scaling,
    scheduler_configuration,
)
from raftnomad.fsm.changes import Changes, Feed
from raftnomad.fsm.codec import Proposal, decode
from raftnomad.fsm.commands import (
    ApplyPlan,
    ClaimLeadership,
    CollectGarbage,
    Command,
    DeleteEvaluations,
    DeleteNamespaces,
    DeleteNodePools,
    DeregisterJob,
    DeregisterNode,
    DispatchJob,
    LaunchPeriodicJob,
    MarkJobStable,
    PromoteDeployment,
    ReconcileSummaries,
    RegisterJob,
    RegisterNode,
    RevertJob,
    ScaleJob,
    SetAllocationHealth,
    SetSchedulerConfiguration,
    TagJobVersion,
    TransitionAllocations,
    UpdateAllocations,
    UpdateDeployment,
    UpdateNodeDrain,
    UpdateNodeEligibility,
    UpdateNodeStatus,
    UpsertEvaluations,
    UpsertNamespaces,
    UpsertNodePools,
)
from raftnomad.fsm.outcome import Outcome, Rejected
from raftnomad.fsm.state import State
from raftnomad.fsm.transaction import Transaction

APPLY: dict[type[Command], Callable[[Transaction, Any], Outcome]] = {
    ClaimLeadership: leadership.claim,
    RegisterJob: jobs.register,
    DeregisterJob: jobs.deregister,
    RevertJob: jobs.revert,
    MarkJobStable: jobs.mark_stable,
    UpsertEvaluations: evaluations.upsert,
    ApplyPlan: plans.apply,
    UpdateAllocations: allocations.update,
    TransitionAllocations: allocations.transition,
    RegisterNode: nodes.register,
    DeregisterNode: nodes.deregister,
    UpdateNodeStatus: nodes.update_status,
    UpdateNodeEligibility: nodes.update_eligibility,
    UpdateNodeDrain: nodes.update_drain,
    UpdateDeployment: deployments.update,
    SetAllocationHealth: deployments.set_health,
    PromoteDeployment: deployments.promote,
    SetSchedulerConfiguration: scheduler_configuration.set_configuration,
    UpsertNodePools: node_pools.upsert,
    DeleteNodePools: node_pools.delete,
    UpsertNamespaces: namespaces.upsert,
    DeleteNamespaces: namespaces.delete,
    CollectGarbage: garbage.collect,
    ReconcileSummaries: garbage.reconcile_summaries,
    ScaleJob: scaling.scale,
    TagJobVersion: jobs.tag_version,
    DeleteEvaluations: evaluations.delete,
    LaunchPeriodicJob: children.launch,
    DispatchJob: children.dispatch,
}


class StateMachine:
    def __init__(self) -> None:
        self.state = State()
        self.feed = Feed()

    def apply(self, proposals: Sequence[bytes]) -> list[Outcome]:
        """One committed entry. Total for every command; raises UnknownCommand for bytes that are none, and then
        the server must stop, since nothing of the entry was applied."""
        decoded = [decode(raw) for raw in proposals]
        return [self.apply_one(proposal) for proposal in decoded]

    def apply_one(self, proposal: Proposal) -> Outcome:
        """One step of the index, unless the proposal was applied before."""
        state = self.state
        if proposal.proposer:
            known = state.outcomes.recall(proposal.proposer, proposal.sequence, state.index)
            if known is not None:
                return known
        txn = Transaction(state, proposal.time_ns)
        state.time_ns = max(state.time_ns, proposal.time_ns)
        outcome = APPLY[type(proposal.command)](txn, proposal.command)
        assert txn.is_untouched or not isinstance(outcome, Rejected), "a rejected command has written"
        changes = txn.finish(type(proposal.command).__name__)
        if proposal.proposer:
            state.outcomes.remember(proposal.proposer, proposal.sequence, proposal.time_ns, outcome)
        self.feed.publish(changes)
        return outcome

    def open_dump(self) -> dump.Dump:
        return dump.Dump(self.state)

    def begin_restore(self) -> dump.Restore:
        return dump.Restore(self._adopt)

    def _adopt(self, state: State) -> None:
        """Whoever holds the state goes on with the restored one; a change without rows says that all may differ."""
        self.state.__dict__.update(state.__dict__)
        self.feed.publish(Changes(state.index, "Restore", ()))
