"""What a scheduler sees of the state."""

from __future__ import annotations

from raftnomad.fsm.codec import Proposal, encode
from raftnomad.fsm.commands import ApplyPlan, ClaimLeadership, RegisterJob, RegisterNode, UpdateNodeStatus
from raftnomad.fsm.machine import StateMachine
from raftnomad.model.evaluation import Evaluation
from raftnomad.scheduler.input import read_input
from raftnomad.scheduler.schedule import schedule
from tests.scheduler.cluster import NOW_NS, a_group, a_job, a_node, rolling


def test_a_job_goes_through_the_state_and_is_seen_again() -> None:
    machine, sequence = StateMachine(), iter(range(1, 1000))

    def apply(command: object) -> None:
        raw = encode(Proposal(command=command, proposer="t", sequence=next(sequence), time_ns=NOW_NS))  # type: ignore[arg-type]
        machine.apply([raw])

    apply(ClaimLeadership(server_id="s"))
    for number in range(2):
        apply(RegisterNode(node=a_node(f"0000000{number}-0000-4000-8000-000000000000", secret_id=f"s{number}")))
    for node_id in list(machine.state.nodes):
        apply(UpdateNodeStatus(node_id=node_id, status="ready"))
    job = a_job(a_group(count=3, update=rolling()), region="global")
    evaluation = Evaluation(
        id="e0000000-0000-4000-8000-000000000000",
        namespace="default",
        job_id=job.id,
        type="service",
        priority=50,
        triggered_by="job-register",
        status="pending",
    )
    apply(RegisterJob(job=job, evaluation=evaluation))
    state = machine.state
    output = schedule(read_input(state, evaluation, NOW_NS, b"seed"), state.node_table)
    apply(ApplyPlan(plan=output.plan, evaluations=(output.evaluation,), epoch=state.epoch))
    assert len(state.allocations) == 3
    assert state.node_table.check(state.nodes.values(), state.allocations.values()) == []
    stored = state.evaluations[evaluation.id]
    assert (stored.status, stored.queued_allocations) == ("complete", {"g": 0})
    assert state.latest_deployment("default", job.id) is not None
    first = next(iter(state.allocations.values())).node_id
    apply(UpdateNodeStatus(node_id=first, status="down"))
    asked = read_input(state, evaluation, NOW_NS, b"seed")
    assert asked.tainted == {first: "down"}
    assert len(asked.allocations) == 3
    assert {alloc.demand for alloc in asked.allocations} == {(100.0, 100.0, 10.0, 0.0)}
