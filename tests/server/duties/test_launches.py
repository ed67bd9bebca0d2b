from __future__ import annotations

from raftnomad.fsm.codec import Proposal, encode
from raftnomad.fsm.commands import Command, DeregisterJob, LaunchPeriodicJob, RegisterJob
from raftnomad.model.policies import PeriodicConfig
from raftnomad.server.duties.launches import SECOND_NS, Schedules, decide, last_missed_s
from tests.fsm.cluster import Cluster
from tests.makers import a_job, an_id

HOUR, DAY = 3600, 24 * 3600
MIDNIGHT = 1_800_000_000 // DAY * DAY
"""In UTC."""


def scheduled(spec: str = "0 3 * * *", submitted_s: int = MIDNIGHT) -> Cluster:
    cluster = Cluster()
    periodic = PeriodicConfig(enabled=True, specs=(spec,))
    submit(cluster, submitted_s, periodic=periodic)
    return cluster


def submit(cluster: Cluster, submitted_s: int, **fields: object) -> None:
    job = a_job("nightly", type="batch", submit_time_ns=submitted_s * SECOND_NS, **fields)
    cluster.apply(RegisterJob(job=job))


def step(cluster: Cluster, now_s: float, schedules: Schedules | None = None) -> tuple[list[int], float | None]:
    """The times that are launched, and when the duty wants to look again."""
    new_ids = iter(an_id(int(now_s) + number, "eval") for number in range(10))
    decision = decide(cluster.state, schedules or Schedules(), int(now_s * SECOND_NS), 0, lambda: next(new_ids))
    for command in decision.commands:
        cluster.machine.apply([encode(Proposal(command, time_ns=int(now_s * SECOND_NS)))])
    return [one.launch_s - MIDNIGHT for one in decision.commands if is_launch(one)], decision.again_in_s


def is_launch(command: Command) -> bool:
    return isinstance(command, LaunchPeriodicJob)


def test_a_job_is_launched_when_its_time_has_come_and_once() -> None:
    cluster, schedules = scheduled(), Schedules()
    assert step(cluster, MIDNIGHT + 3 * HOUR - 10.5, schedules) == ([], 10.5)
    assert step(cluster, MIDNIGHT + 3 * HOUR + 0.2, schedules)[0] == [3 * HOUR]
    assert step(cluster, MIDNIGHT + 3 * HOUR + 0.4, schedules)[0] == []
    assert step(cluster, MIDNIGHT + 3 * HOUR + 0.6)[0] == [], "nor by another leader"
    assert step(cluster, MIDNIGHT + DAY)[0] == []
    assert step(cluster, MIDNIGHT + DAY + 3 * HOUR)[0] == [DAY + 3 * HOUR]
    assert len(cluster.state.children_of_job("default", "nightly")) == 2


def test_of_launches_that_were_missed_the_last_one_is_made_up_for() -> None:
    cluster = scheduled()
    step(cluster, MIDNIGHT + 3 * HOUR)
    assert step(cluster, MIDNIGHT + 5 * DAY)[0] == [4 * DAY + 3 * HOUR]
    assert step(cluster, MIDNIGHT + 5 * DAY + 1)[0] == []


def test_what_was_due_before_the_version_was_submitted_is_not_missed() -> None:
    cluster = scheduled(submitted_s=MIDNIGHT + 4 * HOUR)
    assert step(cluster, MIDNIGHT + 5 * HOUR)[0] == []
    hourly = PeriodicConfig(enabled=True, specs=("0 * * * *",))
    submit(cluster, MIDNIGHT + 5 * HOUR + 60, periodic=hourly)
    assert step(cluster, MIDNIGHT + 5 * HOUR + 120)[0] == []
    assert step(cluster, MIDNIGHT + 6 * HOUR)[0] == [6 * HOUR]


def test_a_launch_of_a_leader_whose_clock_was_ahead_holds_nothing_up() -> None:
    cluster = scheduled("0 * * * *")
    assert step(cluster, MIDNIGHT + DAY)[0] == [DAY]
    schedules = Schedules()
    for hour in (1, 2):
        assert step(cluster, MIDNIGHT + hour * HOUR - 1, schedules)[0] == []
        assert step(cluster, MIDNIGHT + hour * HOUR, schedules)[0] == [hour * HOUR]


def test_stopped_and_disabled_jobs_and_bad_schedules_are_left_alone() -> None:
    for spec in ("every now and then", "0 0 1 1 * 1999"):
        assert step(scheduled(spec), MIDNIGHT + DAY) == ([], 30.0)
    disabled = Cluster()
    submit(disabled, MIDNIGHT, periodic=PeriodicConfig(enabled=False, specs=("@hourly",)))
    assert step(disabled, MIDNIGHT + DAY) == ([], 30.0)
    cluster = scheduled()
    cluster.apply(DeregisterJob(job_id="nightly"))
    assert step(cluster, MIDNIGHT + DAY) == ([], 30.0)


def test_the_last_of_many_missed_times_is_found_quickly() -> None:
    secondly = PeriodicConfig(enabled=True, specs=("* * 3 * * * *",))
    first, now = MIDNIGHT + 3 * HOUR, MIDNIGHT + 400 * DAY
    assert last_missed_s(secondly, first, now) == MIDNIGHT + 399 * DAY + 4 * HOUR - 1
    assert last_missed_s(secondly, first, first + 7) == first + 7
    assert last_missed_s(secondly, first, first) == first
