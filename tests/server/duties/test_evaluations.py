from __future__ import annotations

from raftnomad.fsm.commands import UpsertEvaluations
from raftnomad.server.blocked_evals import BlockedEvals
from raftnomad.server.duties.evaluations import decide
from raftnomad.server.eval_broker import EvalBroker
from tests.fsm.cluster import Cluster
from tests.makers import a_job, an_evaluation, an_id


def test_what_plan_conflicts_have_blocked_is_tried_again_after_a_minute() -> None:
    cluster, broker, blocked = Cluster(), EvalBroker(), BlockedEvals()
    conflict = an_evaluation(1, a_job(), status="blocked", triggered_by="max-plan-attempts", snapshot_index=10)
    cluster.apply(UpsertEvaluations(evaluations=(conflict,)))
    blocked.block(cluster.state.evaluations[conflict.id], 100.0)
    for now_s, ready in ((159.0, 0), (160.0, 1)):
        decide(cluster.state, broker, blocked, now_s, cluster.time_ns, 0, lambda: an_id(9, "eval"), lambda: 0.0)
        assert broker.counts()["total_ready"] == ready
    assert len(blocked) == 0


def test_one_that_was_delivered_too_often_fails_and_is_followed_up() -> None:
    cluster, broker, blocked = Cluster(), EvalBroker(delivery_limit=1), BlockedEvals()
    cluster.with_job()
    broker.enqueue(cluster.state.evaluations[an_id(1, "eval")], 0)
    _, token = broker.dequeue(("service",), 0) or (None, "")
    broker.reject(an_id(1, "eval"), token, 0)
    (command,) = decide(
        cluster.state, broker, blocked, 0, cluster.time_ns, 0, lambda: an_id(9, "eval"), lambda: 0.5
    ).commands
    assert isinstance(command, UpsertEvaluations)
    failed, follow_up = command.evaluations
    assert (failed.status, failed.next_eval) == ("failed", follow_up.id)
    assert (follow_up.triggered_by, follow_up.previous_eval) == ("failed-follow-up", failed.id)
