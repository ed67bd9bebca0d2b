from __future__ import annotations

from raftnomad.fsm.commands import (
    ClaimLeadership,
    CollectGarbage,
    Command,
    DeregisterJob,
    DispatchJob,
    LaunchPeriodicJob,
    RegisterJob,
    UpsertEvaluations,
)
from raftnomad.model.job import Job, JobChildrenSummary
from raftnomad.model.policies import ParameterizedJobConfig, PeriodicConfig
from tests.fsm.cluster import Cluster
from tests.makers import a_job, an_evaluation, changed

NIGHTLY = PeriodicConfig(enabled=True, specs=("0 3 * * *",))


def register(cluster: Cluster, job: Job) -> None:
    cluster.apply(RegisterJob(job=job))


def periodic(**fields: object) -> Cluster:
    cluster = Cluster()
    register(cluster, a_job("nightly", type="batch", periodic=changed(NIGHTLY, **fields)))
    return cluster


def launch(launch_s: int = 1000, number: int = 2, **fields: object) -> LaunchPeriodicJob:
    evaluation = an_evaluation(number, a_job(""), triggered_by="periodic-job")
    return LaunchPeriodicJob(job_id="nightly", launch_s=launch_s, evaluation=evaluation, **fields)  # type: ignore[arg-type]


def children(cluster: Cluster, job_id: str = "nightly") -> list[str]:
    return [child.id for child in cluster.state.children_of_job("default", job_id)]


def end(cluster: Cluster, number: int = 2) -> None:
    """The evaluation is over and nothing was placed: the child is dead."""
    evaluation = next(one for one in cluster.state.evaluations.values() if one.id.endswith(f"{number:012d}"))
    cluster.apply(UpsertEvaluations(evaluations=(changed(evaluation, status="complete"),)))


def test_a_launch_makes_a_child_and_its_evaluation() -> None:
    cluster = periodic()
    applied = cluster.apply(launch())
    child = cluster.state.jobs["default", "nightly/periodic-1000"]
    assert (child.name, child.parent_id, child.periodic, child.status) == (child.id, "nightly", None, "pending")
    assert (child.version, child.create_index, applied.value) == (0, applied.index, applied.index)
    (evaluation,) = cluster.state.evaluations_of_job("default", child.id)
    assert (evaluation.priority, evaluation.type, evaluation.job_modify_index) == (50, "batch", applied.index)
    assert cluster.state.summaries["default", "nightly"].children == JobChildrenSummary(pending=1)
    end(cluster)
    assert cluster.state.summaries["default", "nightly"].children == JobChildrenSummary(dead=1)


def test_a_time_is_launched_once_even_when_its_child_is_forgotten() -> None:
    cluster = periodic()
    cluster.apply(launch())
    assert cluster.refuse(launch()) == 'job "nightly" has been launched for this time'
    end(cluster)
    evaluations = tuple(cluster.state.evaluations)
    cluster.apply(CollectGarbage(evaluations=evaluations, jobs=(("default", "nightly/periodic-1000"),)))
    assert children(cluster) == []
    cluster.refuse(launch())


def test_a_former_leader_launches_nothing() -> None:
    cluster = periodic()
    cluster.apply(ClaimLeadership(server_id="one"))
    assert "stale leader" in cluster.refuse(launch(epoch=1))


def test_without_overlap_a_launch_is_passed_over_while_a_child_runs() -> None:
    cluster = periodic(prohibit_overlap=True)
    cluster.apply(launch(1000))
    assert cluster.apply(launch(2000, number=3)).value == 0
    assert children(cluster) == ["nightly/periodic-1000"]
    end(cluster)
    cluster.refuse(launch(2000, number=3))
    cluster.apply(launch(3000, number=3))
    assert children(cluster) == ["nightly/periodic-1000", "nightly/periodic-3000"]


def test_a_forced_launch_minds_neither_overlap_nor_a_child_of_the_same_second() -> None:
    cluster = periodic(prohibit_overlap=True)
    cluster.apply(launch(1000))
    cluster.apply(launch(1000, number=3, forced=True))
    assert children(cluster) == ["nightly/periodic-1000", "nightly/periodic-1001"]
    assert cluster.state.periodic_launches["default", "nightly"].launch_s == 1000
    assert cluster.apply(launch(1001, number=4)).value == 0, "the forced one is the launch of that second"


def test_what_is_not_launched() -> None:
    cluster = periodic(enabled=False)
    register(cluster, a_job("plain"))
    not_tracked = 'force launch for job "nightly" failed: can\'t force run non-tracked job "nightly" (default)'
    assert cluster.refuse(launch(forced=True)) == not_tracked
    assert cluster.refuse(changed(launch(), job_id="plain")) == "can't force launch non-periodic job"
    assert cluster.refuse(changed(launch(), job_id="none")) == "job not found"
    cluster = periodic()
    cluster.apply(DeregisterJob(job_id="nightly"))
    assert cluster.refuse(launch(forced=True)) == not_tracked


def test_children_go_on_without_their_parent() -> None:
    cluster = periodic()
    cluster.apply(launch())
    cluster.apply(DeregisterJob(job_id="nightly", purge=True))
    assert cluster.state.jobs["default", "nightly/periodic-1000"].status == "pending"
    assert dict(cluster.state.periodic_launches) == {}
    assert cluster.state.periodic_jobs() == []


def hook(**fields: object) -> Cluster:
    cluster = Cluster()
    asked = changed(ParameterizedJobConfig(meta_required=("who",), meta_optional=("level",)), **fields)
    register(cluster, a_job("hook", type="batch", parameterized_job=asked, meta={"who": "?", "fixed": "yes"}))
    return cluster


def ask(child: str = "hook/dispatch-1", number: int = 2, **fields: object) -> DispatchJob:
    fields.setdefault("meta", {"who": "me"})
    return DispatchJob(job_id="hook", child_id=child, evaluation=an_evaluation(number, a_job("")), **fields)  # type: ignore[arg-type]


def test_a_dispatch_makes_a_child_with_payload_and_meta() -> None:
    cluster = hook()
    applied = cluster.apply(ask(payload=b"hello", priority=80))
    child = cluster.state.jobs["default", "hook/dispatch-1"]
    assert (child.dispatched, child.payload, child.priority, child.status) == (True, b"hello", 80, "pending")
    assert child.meta == {"who": "me", "fixed": "yes"}
    assert child.parameterized_job == cluster.state.jobs["default", "hook"].parameterized_job
    (evaluation,) = cluster.state.evaluations_of_job("default", child.id)
    assert (evaluation.priority, evaluation.create_index) == (80, applied.index)


def test_a_token_is_dispatched_once() -> None:
    cluster = hook()
    first = cluster.apply(ask(idempotency_token="abc"))
    again = cluster.apply(ask("hook/dispatch-2", number=3, idempotency_token="abc"))
    assert (again.value, children(cluster, "hook")) == (first.value, ["hook/dispatch-1"])
    assert again.index > first.index


def test_what_is_not_dispatched_is_told_why() -> None:
    cluster = hook()
    register(cluster, a_job("plain"))
    refusals: list[tuple[Command, str]] = [
        (changed(ask(), job_id="none"), "parameterized job not found"),
        (changed(ask(), job_id="plain"), 'Specified job "plain" is not a parameterized job'),
        (ask(meta=None), "Dispatch did not provide required meta keys: [who]"),
        (
            ask(meta={"who": "me", "colour": "red"}),
            "Dispatch request included unpermitted metadata keys: [colour]",
        ),
        (ask(payload=b"x" * 16386), "Payload exceeds maximum size; 16386 > 16384"),
        (ask(priority=101), "dispatch job priority must be between [1, 100]"),
    ]
    for command, reason in refusals:
        assert cluster.refuse(command) == reason
    assert hook(payload="required").refuse(ask()) == "Payload is not provided but required by parameterized job"
    forbidden = hook(payload="forbidden").refuse(ask(payload=b"x"))
    assert forbidden == "Payload provided but forbidden by parameterized job"
    cluster.apply(ask())
    cluster.refuse(ask())
    assert "is not a parameterized job" in cluster.refuse(changed(ask("x"), job_id="hook/dispatch-1"))
    cluster.apply(DeregisterJob(job_id="hook"))
    assert cluster.refuse(ask("hook/dispatch-3")) == 'Specified job "hook" is stopped'
