from __future__ import annotations

from typing import Any

from raftnomad.fsm.commands import DeregisterJob, RegisterJob, ScaleJob, UpdateDeployment
from raftnomad.model.policies import ScalingPolicy
from raftnomad.model.scaling import ScalingEvent
from tests.fsm.cluster import Cluster
from tests.makers import a_deployment, a_group, a_job, a_plan, an_evaluation, an_id

KEY = ("default", "web")


def scale(count: int | None, **fields: Any) -> ScaleJob:
    message = fields.pop("message", "")
    return ScaleJob(
        **{"job_id": "web", "group": "web", "count": count, "event": ScalingEvent(message=message)} | fields
    )


def with_policy(cluster: Cluster) -> None:
    group = a_group(count=2, scaling=ScalingPolicy(min=1, max=4, enabled=True))
    cluster.apply(RegisterJob(job=a_job(task_groups=(group, a_group("other", count=1)))))


def test_another_count_is_another_version_with_its_evaluation_and_an_event(cluster: Cluster) -> None:
    with_policy(cluster)
    applied = cluster.apply(scale(3, evaluation=an_evaluation(), message="more"))
    job = cluster.state.jobs[KEY]
    assert job.task_groups is not None
    assert [group.count for group in job.task_groups] == [3, 1]
    assert (job.version, job.job_modify_index, applied.value) == (1, applied.index, applied.index)
    assert cluster.state.evaluations[an_id(1, "eval")].job_modify_index == applied.index
    (event,) = cluster.state.scaling_events[KEY].scaling_events["web"]
    assert (event.count, event.previous_count, event.message) == (3, 2, "more")
    assert (event.eval_id, event.create_index, event.time_ns) == (an_id(1, "eval"), applied.index, cluster.time_ns)


def test_without_a_count_only_the_event_is_kept(cluster: Cluster) -> None:
    with_policy(cluster)
    before = cluster.state.jobs[KEY]
    applied = cluster.apply(scale(None, message="no metrics"))
    assert cluster.state.jobs[KEY] is before
    assert applied.value == before.job_modify_index
    (event,) = cluster.state.scaling_events[KEY].scaling_events["web"]
    assert (event.count, event.previous_count, event.eval_id) == (None, 2, None)


def test_what_the_policy_the_limit_or_the_job_forbids_is_refused(cluster: Cluster) -> None:
    with_policy(cluster)
    for count, said in (
        (5, "greater than scaling policy maximum: 5 > 4"),
        (0, "less than scaling policy minimum: 0 < 1"),
    ):
        assert said in cluster.refuse(scale(count))
    assert cluster.refuse(scale(4, count_max=4)) == "total count was greater than configured job_max_count: 5 > 4"
    assert "conflicting job modify index: 2" in cluster.refuse(scale(3, job_modify_index=1))
    assert 'task group "nope"' in cluster.refuse(scale(3, group="nope"))
    assert cluster.refuse(scale(3, job_id="nope")) == 'job "nope" not found'


def test_a_job_that_is_being_deployed_is_not_scaled_but_events_are_kept(cluster: Cluster) -> None:
    cluster.with_node()
    job = cluster.with_job()
    evaluation = an_evaluation(1, job, status="complete")
    deployment = a_deployment(1, job)
    cluster.apply(a_rollout(job, evaluation, deployment))
    assert cluster.refuse(scale(3)) == "job scaling blocked due to active deployment"
    cluster.apply(scale(None))
    cluster.apply(UpdateDeployment(deployment_id=deployment.id, status="successful"))
    cluster.apply(scale(3))


def a_rollout(job: Any, evaluation: Any, deployment: Any) -> Any:
    from raftnomad.fsm.commands import ApplyPlan

    return ApplyPlan(plan=a_plan(job, (), evaluation, deployment=deployment), evaluations=(evaluation,))


def test_twenty_events_of_a_group_are_kept_newest_first_until_the_job_is_purged(cluster: Cluster) -> None:
    with_policy(cluster)
    for number in range(25):
        cluster.apply(scale(None, message=str(number)))
    events = cluster.state.scaling_events[KEY].scaling_events["web"]
    assert [event.message for event in events] == [str(number) for number in range(24, 4, -1)]
    cluster.apply(DeregisterJob(job_id="web", purge=True))
    assert KEY not in cluster.state.scaling_events
