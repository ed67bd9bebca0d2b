from __future__ import annotations

from raftnomad.fsm.commands import (
    AllocationUpdate,
    DeregisterJob,
    MarkJobStable,
    RegisterJob,
    RevertJob,
    TagJobVersion,
    UpdateAllocations,
    UpsertNamespaces,
)
from raftnomad.model.job import JobSubmission, JobVersionTag
from raftnomad.model.namespace import Namespace
from raftnomad.model.policies import ParameterizedJobConfig, PeriodicConfig
from raftnomad.model.resources import Resources
from tests.fsm.cluster import Cluster
from tests.makers import a_group, a_job, a_task, an_evaluation, an_id

KEY = ("default", "web")


def versions(cluster: Cluster) -> list[int]:
    return [job.version for job in cluster.state.job_versions[KEY]]


def test_a_job_is_stored_with_its_evaluation(cluster: Cluster) -> None:
    applied = cluster.apply(RegisterJob(job=a_job(), evaluation=an_evaluation()))
    job = cluster.state.jobs[KEY]
    assert (job.version, job.create_index, job.modify_index, job.job_modify_index) == (0, 2, 2, 2)
    assert (job.status, job.stable) == ("pending", False)
    evaluation = cluster.state.evaluations[an_id(1, "eval")]
    assert (evaluation.create_index, evaluation.modify_index, evaluation.job_modify_index) == (2, 2, 2)
    assert (applied.index, applied.value) == (2, 2)


def test_a_change_is_a_new_version(cluster: Cluster) -> None:
    cluster.with_job()
    cluster.with_job(count=2, number=2)
    job = cluster.state.jobs[KEY]
    assert (job.version, job.create_index, job.job_modify_index) == (1, 2, 3)
    assert versions(cluster) == [1, 0]


def test_an_unchanged_job_gets_no_new_version_but_an_evaluation(cluster: Cluster) -> None:
    cluster.with_job()
    same = a_job(version=9, submit_time_ns=5, status="dead", create_index=77)
    applied = cluster.apply(RegisterJob(job=same, evaluation=an_evaluation(2)))
    assert versions(cluster) == [0]
    assert (applied.index, applied.value) == (3, 2)
    assert cluster.state.evaluations[an_id(2, "eval")].job_modify_index == 0


def test_six_versions_are_kept_and_those_with_a_tag_beside_them(cluster: Cluster) -> None:
    for count in range(10):
        tag = JobVersionTag(name="good") if count == 1 else None
        cluster.apply(RegisterJob(job=a_job(count=count, version_tag=tag)))
    assert versions(cluster) == [9, 8, 7, 6, 5, 4, 1]


def test_the_newest_stable_version_is_kept_in_the_place_of_the_sixth(cluster: Cluster) -> None:
    cluster.with_job(count=0)
    cluster.apply(MarkJobStable(job_id="web", version=0))
    for count in range(1, 9):
        cluster.apply(RegisterJob(job=a_job(count=count)))
    assert versions(cluster) == [8, 7, 6, 5, 4, 0]


def test_a_job_changed_since_read_is_rejected(cluster: Cluster) -> None:
    def enforce(index: int, count: int = 1) -> RegisterJob:
        return RegisterJob(job=a_job(count=count), enforce_index=True, job_modify_index=index)

    assert cluster.refuse(enforce(7)) == "Enforcing job modify index 7: job does not exist"
    index = cluster.apply(enforce(0)).value
    assert cluster.refuse(enforce(0)) == "Enforcing job modify index 0: job already exists"
    assert (
        cluster.refuse(enforce(99))
        == f"Enforcing job modify index 99: job exists with conflicting job modify index: {index}"
    )
    cluster.apply(enforce(index, count=2))


def test_unknown_namespaces_and_pools_are_rejected(cluster: Cluster) -> None:
    assert "nonexistent namespace" in cluster.refuse(RegisterJob(job=a_job(namespace="nosuch")))
    assert "nonexistent node pool" in cluster.refuse(RegisterJob(job=a_job(node_pool="nosuch")))
    cluster.apply(UpsertNamespaces(namespaces=(Namespace(name="team"),)))
    cluster.apply(RegisterJob(job=a_job(namespace="team", node_pool="all")))


def test_counts_can_be_preserved(cluster: Cluster) -> None:
    cluster.with_job(count=7)
    job = a_job(task_groups=(a_group(count=1), a_group("new", count=2)))
    cluster.apply(RegisterJob(job=job, preserve_counts=True))
    assert [group.count for group in cluster.state.jobs[KEY].task_groups or ()] == [7, 2]


def test_stopping_is_a_version(cluster: Cluster) -> None:
    cluster.with_job()
    cluster.apply(DeregisterJob(job_id="web", evaluation=an_evaluation(2)))
    job = cluster.state.jobs[KEY]
    assert (job.version, job.stop) == (1, True)
    cluster.apply(DeregisterJob(job_id="web"))
    assert cluster.state.jobs[KEY].version == 2
    cluster.with_job(number=3)
    assert (cluster.state.jobs[KEY].version, cluster.state.jobs[KEY].stop) == (3, False)


def test_stopping_an_unknown_job_is_no_error(cluster: Cluster) -> None:
    cluster.apply(DeregisterJob(job_id="nosuch", evaluation=an_evaluation(2)))
    assert an_id(2, "eval") in cluster.state.evaluations


def test_a_purged_job_leaves_only_what_still_runs(cluster: Cluster) -> None:
    cluster.with_node()
    job = cluster.with_job(count=2)
    cluster.place(job, 1, 2)
    ended = AllocationUpdate(id=an_id(1, "allo"), client_status="complete")
    cluster.apply(UpdateAllocations(node_id=an_id(1, "node"), updates=(ended,)))
    cluster.apply(DeregisterJob(job_id="web", purge=True, evaluation=an_evaluation(2)))
    assert KEY not in cluster.state.jobs
    assert KEY not in cluster.state.summaries
    assert list(cluster.state.allocations) == [an_id(2, "allo")]
    assert cluster.state.allocations[an_id(2, "allo")].job == job


def test_a_purged_job_that_comes_back_counts_only_its_own_allocations(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.place(cluster.with_job(), 1)
    cluster.apply(DeregisterJob(job_id="web", purge=True))
    cluster.with_job()
    assert cluster.state.jobs[KEY].version == 0
    report = AllocationUpdate(id=an_id(1, "allo"), client_status="running")
    cluster.apply(UpdateAllocations(node_id=an_id(1, "node"), updates=(report,)))
    assert cluster.state.summaries[KEY].summary["web"].running == 0  # type: ignore[index]


def test_shutdown_delays_can_be_skipped(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.place(cluster.with_job(), 1)
    cluster.apply(DeregisterJob(job_id="web", no_shutdown_delay=True))
    assert cluster.state.allocations[an_id(1, "allo")].desired_transition.no_shutdown_delay is True


def test_an_older_version_becomes_the_newest(cluster: Cluster) -> None:
    submission = JobSubmission(source="job web {}", format="hcl2")
    cluster.apply(RegisterJob(job=a_job(count=1), submission=submission))
    cluster.with_job(count=2)
    cluster.apply(RevertJob(job_id="web", version=0, evaluation=an_evaluation(2)))
    job = cluster.state.jobs[KEY]
    assert (job.version, (job.task_groups or ())[0].count) == (2, 1)
    assert cluster.state.job_submissions["default", "web", 2].source == "job web {}"


def test_reverting_is_refused_with_nomad_s_words(cluster: Cluster) -> None:
    assert cluster.refuse(RevertJob(job_id="web")) == 'job "web" not found'
    cluster.with_job()
    cluster.with_job(count=2)
    assert cluster.refuse(RevertJob(job_id="web", version=1)) == "can't revert to current version"
    assert (
        cluster.refuse(RevertJob(job_id="web", version=4)) == 'job "web" in namespace "default" at version 4 not found'
    )
    assert (
        cluster.refuse(RevertJob(job_id="web", version=0, enforce_prior_version=3))
        == "Current job has version 1; enforcing version 3"
    )


def test_a_stable_version_is_marked_wherever_it_is(cluster: Cluster) -> None:
    cluster.with_job()
    cluster.with_job(count=2)
    cluster.apply(MarkJobStable(job_id="web", version=0))
    cluster.apply(MarkJobStable(job_id="web", version=1))
    assert [job.stable for job in cluster.state.job_versions[KEY]] == [True, True]
    assert cluster.state.jobs[KEY].job_modify_index == 3
    assert "not found" in cluster.refuse(MarkJobStable(job_id="web", version=5))


def test_status_follows_evaluations_and_allocations(cluster: Cluster) -> None:
    cluster.with_node()
    job = cluster.with_job()
    assert job.status == "pending"
    cluster.place(job, 1)
    assert cluster.state.jobs[KEY].status == "running"
    ended = AllocationUpdate(id=an_id(1, "allo"), client_status="complete")
    cluster.apply(UpdateAllocations(updates=(ended,)))
    assert cluster.state.jobs[KEY].status == "dead"
    assert cluster.state.jobs[KEY].modify_index == cluster.state.index


def test_a_system_job_runs_until_it_is_stopped(cluster: Cluster) -> None:
    assert cluster.with_job(type="system").status == "running"
    cluster.apply(DeregisterJob(job_id="web"))
    assert cluster.state.jobs[KEY].status == "dead"


def test_a_parent_counts_its_children(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.apply(RegisterJob(job=a_job("nightly", type="batch", periodic=PeriodicConfig(enabled=True))))
    child = cluster.with_job("nightly/periodic-1", type="batch", parent_id="nightly")
    summary = cluster.state.summaries["default", "nightly"]
    assert summary.children is not None
    assert (summary.children.pending, summary.children.running, summary.children.dead) == (1, 0, 0)
    cluster.place(child, 1)
    cluster.apply(UpdateAllocations(updates=(AllocationUpdate(id=an_id(1, "allo"), client_status="complete"),)))
    summary = cluster.state.summaries["default", "nightly"]
    assert summary.children is not None
    assert (summary.children.pending, summary.children.running, summary.children.dead) == (0, 0, 1)
    assert cluster.state.jobs["default", "nightly"].status == "running"


def test_a_dispatched_job_is_an_ordinary_one(cluster: Cluster) -> None:
    template = a_job("pay", type="batch", parameterized_job=ParameterizedJobConfig())
    cluster.apply(RegisterJob(job=template))
    assert cluster.state.jobs["default", "pay"].status == "running"
    cluster.with_job("pay/dispatch-1", type="batch", parameterized_job=ParameterizedJobConfig(), dispatched=True)
    assert cluster.state.jobs["default", "pay/dispatch-1"].status == "pending"


def tag(version: int, name: str = "good") -> TagJobVersion:
    return TagJobVersion(job_id="web", version=version, name=name, tag=JobVersionTag(name=name))


def tags(cluster: Cluster) -> dict[int, str]:
    return {job.version: job.version_tag.name for job in cluster.state.job_versions[KEY] if job.version_tag}


def test_a_version_has_one_tag_and_a_name_stands_for_one_version(cluster: Cluster) -> None:
    cluster.with_job()
    cluster.with_job(count=2, number=2)
    cluster.apply(tag(0))
    assert cluster.refuse(tag(1)) == 'tag "good" already exists on a different version of job "web"'
    cluster.apply(tag(0, "better"))
    cluster.apply(tag(1))
    assert tags(cluster) == {0: "better", 1: "good"}
    assert cluster.state.jobs[KEY] is cluster.state.job_versions[KEY][0]
    assert cluster.refuse(tag(7)) == 'job "web" version 7 not found'


def test_a_version_without_its_tag_is_kept_no_longer_than_others(cluster: Cluster) -> None:
    cluster.with_job(count=0)
    cluster.apply(tag(0))
    for count in range(1, 8):
        cluster.with_job(count=count, number=2 + count)
    assert versions(cluster) == [7, 6, 5, 4, 3, 2, 0]
    cluster.apply(TagJobVersion(job_id="web", name="good"))
    assert versions(cluster) == [7, 6, 5, 4, 3, 2]
    assert cluster.refuse(TagJobVersion(job_id="web", name="good")) == 'tag "good" not found on job "web"'


def test_tasks_that_stay_keep_their_resources_when_asked_for(cluster: Cluster) -> None:
    cluster.with_job(task_groups=(a_group(tasks=(a_task(resources=Resources(cpu=77, memory_mb=33)),)),))
    again = a_job(task_groups=(a_group(tasks=(a_task(), a_task("new"))),))
    cluster.apply(RegisterJob(job=again, preserve_resources=True))
    (group,) = cluster.state.jobs[KEY].task_groups or ()
    assert [task.resources.cpu for task in group.tasks or () if task.resources] == [77, 100]
