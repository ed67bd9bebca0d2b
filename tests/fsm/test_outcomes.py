from __future__ import annotations

from raftnomad.fsm import outcomes
from raftnomad.fsm.codec import Proposal, encode
from raftnomad.fsm.commands import MarkJobStable, RegisterJob
from raftnomad.fsm.dump import state_bytes
from raftnomad.fsm.machine import StateMachine
from raftnomad.fsm.outcome import Applied, Outcome, Rejected
from tests.makers import SECOND, a_job


def propose(machine: StateMachine, sequence: int, time_s: int = 0, proposer: str = "p") -> Outcome:
    command = RegisterJob(job=a_job(f"job{sequence}"))
    return machine.apply([encode(Proposal(command, proposer, sequence, time_s * SECOND))])[0]


def test_a_retry_is_answered_and_not_applied() -> None:
    machine = StateMachine()
    first = propose(machine, 1)
    before = state_bytes(machine.state)
    assert propose(machine, 1) == first == Applied(2, value=2)
    assert state_bytes(machine.state) == before


def test_a_retry_of_what_was_refused_is_refused_in_the_same_words() -> None:
    machine = StateMachine()
    raw = encode(Proposal(MarkJobStable(job_id="web"), "p", 1, 0))
    first, second = machine.apply([raw]), machine.apply([raw])
    assert isinstance(first[0], Rejected)
    assert first == second


def test_equal_numbers_of_two_proposers_are_two_proposals() -> None:
    machine = StateMachine()
    assert propose(machine, 1, proposer="p") != propose(machine, 1, proposer="q")


def test_after_ten_minutes_of_its_proposer_s_clock_an_outcome_is_unknown() -> None:
    machine = StateMachine()
    propose(machine, 1, time_s=0)
    propose(machine, 2, time_s=599)
    assert isinstance(propose(machine, 1), Applied)
    propose(machine, 3, time_s=601)
    late = propose(machine, 1)
    assert isinstance(late, Rejected)
    assert "unknown" in late.reason
    assert machine.state.index == 4


def test_a_clock_far_ahead_makes_no_other_proposer_s_outcomes_unknown() -> None:
    machine = StateMachine()
    first = propose(machine, 1, proposer="p")
    propose(machine, 1, time_s=10**9, proposer="q")
    assert propose(machine, 1, proposer="p") == first


def test_only_so_many_are_kept(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(outcomes, "OUTCOMES_MAX", 3)
    machine = StateMachine()
    for sequence in range(1, 6):
        propose(machine, sequence)
    assert len(machine.state.outcomes.table) == 3
    assert isinstance(propose(machine, 2), Rejected)
    assert isinstance(propose(machine, 3), Applied)
