from __future__ import annotations

from raftnomad.model.evaluation import Evaluation
from raftnomad.server.blocked_evals import BlockedEvals
from tests.makers import a_job, an_evaluation


def blocked_of(job_id: str, number: int, **fields: object) -> Evaluation:
    fields.setdefault("snapshot_index", 10)
    return an_evaluation(number, a_job(job_id), status="blocked", create_index=number, **fields)


def test_room_on_a_class_that_may_run_it_frees_it() -> None:
    blocked = BlockedEvals()
    picky = blocked_of("picky", 1, class_eligibility={"gpu": True, "small": False})
    escaped = blocked_of("escaped", 2, escaped_computed_class=True)
    for evaluation in (picky, escaped):
        assert blocked.block(evaluation) is None
    assert blocked.unblock("small", 11) == [escaped]
    assert blocked.unblock("gpu", 12) == [picky]
    assert len(blocked) == 0


def test_a_class_that_was_not_judged_may_be_the_right_one() -> None:
    blocked = BlockedEvals()
    evaluation = blocked_of("web", 1, class_eligibility={"small": False})
    blocked.block(evaluation)
    assert blocked.unblock("new", 11) == [evaluation]


def test_what_was_decided_on_an_older_state_than_the_room_must_not_wait() -> None:
    blocked = BlockedEvals()
    blocked.unblock("gpu", 20)
    late = blocked_of("web", 1, snapshot_index=19, class_eligibility={"gpu": True})
    assert blocked.block(late) is late
    assert blocked.block(blocked_of("web", 2, snapshot_index=20)) is None
    assert blocked.block(blocked_of("other", 3, snapshot_index=5, class_eligibility={"gpu": False})) is None


def test_a_job_has_one_blocked_evaluation_the_newest() -> None:
    blocked = BlockedEvals()
    older, newer = blocked_of("web", 1), blocked_of("web", 2)
    blocked.block(newer)
    blocked.block(older)
    assert blocked.duplicates == [older]
    assert blocked.unblock("any", 11) == [newer]


def test_the_same_one_that_is_blocked_again_is_no_duplicate() -> None:
    blocked = BlockedEvals()
    blocked.block(blocked_of("web", 1))
    blocked.block(blocked_of("web", 1, snapshot_index=30))
    assert (blocked.duplicates, len(blocked)) == ([], 1)


def test_system_jobs_wait_at_each_node() -> None:
    blocked = BlockedEvals()
    one = blocked_of("sys", 1, type="system", node_id="a", class_eligibility={"x": False})
    other = blocked_of("sys", 2, type="system", node_id="b", class_eligibility={"x": False})
    blocked.block(one)
    blocked.block(other)
    assert blocked.duplicates == []
    assert blocked.unblock_node("b") == [other]
    assert len(blocked) == 1


def test_those_blocked_by_conflicts_are_freed_by_time() -> None:
    blocked = BlockedEvals()
    conflict = blocked_of("web", 1, triggered_by="max-plan-attempts")
    blocked.block(conflict)
    blocked.block(blocked_of("other", 2))
    assert blocked.unblock_conflicts(59.0) == []
    assert blocked.unblock_conflicts(60.0) == [conflict]
    blocked.forget("unknown")
    assert len(blocked) == 1
