from __future__ import annotations

from raftnomad.fsm.commands import ClaimLeadership, DeleteEvaluations, SetSchedulerConfiguration, UpsertEvaluations
from raftnomad.model.allocation import AllocMetric
from raftnomad.model.scheduler_configuration import SchedulerConfiguration
from tests.fsm.cluster import Cluster
from tests.makers import an_evaluation, an_id, changed


def test_an_evaluation_keeps_when_it_was_made(cluster: Cluster) -> None:
    cluster.apply(UpsertEvaluations(evaluations=(an_evaluation(),)))
    first = cluster.state.evaluations[an_id(1, "eval")]
    cluster.apply(UpsertEvaluations(evaluations=(changed(first, status="complete", create_time_ns=0),)))
    second = cluster.state.evaluations[an_id(1, "eval")]
    assert (second.create_index, second.modify_index) == (2, 3)
    assert second.create_time_ns == first.create_time_ns > 0
    assert second.modify_time_ns > first.modify_time_ns


def test_success_cancels_what_is_blocked_of_the_job(cluster: Cluster) -> None:
    other_job = an_evaluation(4, status="blocked", job_id="other")
    cluster.apply(UpsertEvaluations(evaluations=(an_evaluation(2, status="blocked"), an_evaluation(3), other_job)))
    cluster.apply(UpsertEvaluations(evaluations=(an_evaluation(1, status="complete"),)))
    blocked = cluster.state.evaluations[an_id(2, "eval")]
    assert blocked.status == "canceled"
    assert blocked.status_description == f'evaluation "{an_id(1, "eval")}" successful'
    assert cluster.state.evaluations[an_id(3, "eval")].status == "pending"
    assert cluster.state.evaluations[an_id(4, "eval")].status == "blocked"


def test_one_that_could_not_place_all_cancels_nothing(cluster: Cluster) -> None:
    blocked = an_evaluation(2, status="blocked")
    done = an_evaluation(1, status="complete", failed_tg_allocs={"web": AllocMetric()}, blocked_eval=blocked.id)
    cluster.apply(UpsertEvaluations(evaluations=(done, blocked)))
    assert cluster.state.evaluations[blocked.id].status == "blocked"


def test_what_waits_is_in_the_summary_until_it_is_placed(cluster: Cluster) -> None:
    cluster.with_node()
    job = cluster.with_job(count=2)
    waiting = an_evaluation(2, queued_allocations={"web": 2, "unknown": 5})
    cluster.apply(UpsertEvaluations(evaluations=(waiting,)))

    def queued() -> int:
        return cluster.state.summaries["default", "web"].summary["web"].queued  # type: ignore[index]

    assert queued() == 2
    cluster.place(job, 1)
    assert queued() == 1


def test_a_former_leader_is_refused_and_a_user_is_not(cluster: Cluster) -> None:
    epoch = cluster.apply(ClaimLeadership(server_id="one")).value
    assert cluster.state.leader_id == "one"
    cluster.apply(UpsertEvaluations(evaluations=(an_evaluation(),), epoch=epoch))
    cluster.apply(ClaimLeadership(server_id="two"))
    assert "stale leader" in cluster.refuse(UpsertEvaluations(evaluations=(an_evaluation(2),), epoch=epoch))
    cluster.apply(UpsertEvaluations(evaluations=(an_evaluation(3),)))


def test_evaluations_are_deleted_by_hand_while_the_broker_is_paused_unless_something_of_them_runs(
    cluster: Cluster,
) -> None:
    cluster.with_node()
    cluster.place(cluster.with_job(), 1)
    cluster.apply(UpsertEvaluations(evaluations=(an_evaluation(2),)))
    needed, spare = an_id(1, "eval"), an_id(2, "eval")
    assert "must be paused" in cluster.refuse(DeleteEvaluations(eval_ids=(spare,)))
    cluster.apply(SetSchedulerConfiguration(configuration=SchedulerConfiguration(pause_eval_broker=True)))
    assert cluster.refuse(DeleteEvaluations(eval_ids=(spare, needed))) == f"eval {needed} is not safe to delete"
    assert cluster.refuse(DeleteEvaluations(eval_ids=(spare, an_id(9, "none")))) == "eval not found"
    cluster.apply(DeleteEvaluations(eval_ids=(spare, spare)))
    assert list(cluster.state.evaluations) == [needed]
