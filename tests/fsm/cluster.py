"""A state machine that is fed commands one by one, and checked after each."""

from __future__ import annotations

from typing import Any

from raftnomad.fsm.changes import Changes
from raftnomad.fsm.codec import Proposal, encode
from raftnomad.fsm.commands import ApplyPlan, Command, RegisterJob, RegisterNode
from raftnomad.fsm.invariants import violations
from raftnomad.fsm.machine import StateMachine
from raftnomad.fsm.outcome import Applied, Outcome, Rejected
from raftnomad.model.job import Job
from raftnomad.model.node import Node
from tests.makers import SECOND, a_block, a_job, a_node, a_plan, an_evaluation, an_id

START_NS = 1_800_000_000 * SECOND


class Cluster:
    def __init__(self) -> None:
        self.machine = StateMachine()
        self.state = self.machine.state
        self.time_ns = START_NS
        self.changes: list[Changes] = []
        self.machine.feed.subscribe(self.changes.append)

    def apply(self, command: Command) -> Applied:
        outcome = self.outcome(command)
        assert isinstance(outcome, Applied), outcome
        return outcome

    def refuse(self, command: Command) -> str:
        before = dict(self.state.table_indexes)
        outcome = self.outcome(command)
        assert isinstance(outcome, Rejected), outcome
        assert self.state.table_indexes == before
        return outcome.reason

    def outcome(self, command: Command) -> Outcome:
        self.time_ns += SECOND
        (outcome,) = self.machine.apply([encode(Proposal(command, time_ns=self.time_ns))])
        assert violations(self.state) == []
        return outcome

    def with_node(self, number: int = 1, **fields: Any) -> Node:
        self.apply(RegisterNode(node=a_node(number, **fields)))
        return self.state.nodes[an_id(number, "node")]

    def with_job(self, id: str = "web", number: int = 1, **fields: Any) -> Job:
        job = a_job(id, **fields)
        self.apply(RegisterJob(job=job, evaluation=an_evaluation(number, job)))
        return self.state.jobs["default", id]

    def place(self, job: Job, *numbers: int, node: int = 1, first_index: int = 0, **fields: Any) -> Applied:
        """Allocations with these numbers, on one node, and the job's first evaluation complete."""
        ids = [an_id(number, "allo") for number in numbers]
        block_fields = {
            name: fields.pop(name) for name in list(fields) if name in ("deployment_id", "canary", "previous")
        }
        block = a_block(ids, [an_id(node, "node")] * len(ids), first_index=first_index, **block_fields)
        evaluation = an_evaluation(1, job, status="complete")
        return self.apply(ApplyPlan(plan=a_plan(job, (block,), evaluation, **fields), evaluations=(evaluation,)))
