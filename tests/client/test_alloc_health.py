from __future__ import annotations

from raftnomad.client.alloc_health import HealthPolicy, Healthy, NotYet, Unhealthy, health_policy, judge
from raftnomad.clock import rfc3339
from raftnomad.model.allocation import AllocDeploymentStatus, TaskState
from raftnomad.model.policies import MigrateStrategy, UpdateStrategy
from tests.client.makers import SECOND, a_group, a_task, an_alloc

POLICY = HealthPolicy(min_healthy_ns=10 * SECOND, deadline_ns=60 * SECOND)
MAIN = [a_task("web")]


def running(since_s: int) -> TaskState:
    return TaskState(state="running", started_at=rfc3339(since_s * SECOND))


def at(now_s: int, **states: TaskState) -> object:
    tasks = [a_task("init", hook="prestart"), a_task("web"), a_task("after", hook="poststop")]
    everything = {"init": TaskState(state="dead"), "after": TaskState(state="pending"), **states}
    return judge(POLICY, tasks, everything, since_ns=0, now_ns=now_s * SECOND)


def test_a_task_that_ran_long_enough_is_healthy_and_not_a_moment_before() -> None:
    assert at(14, web=running(5)) == NotYet(until_ns=15 * SECOND)
    assert at(15, web=running(5)) == Healthy()


def test_a_restart_begins_the_count_anew() -> None:
    assert at(20, web=running(18)) == NotYet(until_ns=28 * SECOND)


def test_a_failed_and_a_dead_main_task_are_unhealthy() -> None:
    failed = TaskState(state="dead", failed=True)
    assert at(1, web=failed) == Unhealthy(messages={"web": "Unhealthy because of failed task"})
    assert at(1, web=TaskState(state="dead")) == Unhealthy(messages={"web": "Unhealthy because of dead task"})


def test_what_does_not_run_by_the_deadline_is_unhealthy() -> None:
    waiting = TaskState(state="pending")
    assert at(59, web=waiting) == NotYet(until_ns=60 * SECOND)
    assert at(60, web=waiting) == Unhealthy(messages={"web": "Task not running by deadline"})


def test_what_runs_too_briefly_by_the_deadline_is_unhealthy() -> None:
    text = "Task not running for min_healthy_time of 10s by healthy_deadline of 1m0s"
    assert at(60, web=running(55)) == Unhealthy(messages={"web": text})


def test_prestart_tasks_have_to_complete() -> None:
    assert at(30, init=running(1), web=TaskState(state="pending")) == NotYet(until_ns=60 * SECOND)


def test_deployments_go_by_the_update_block_and_services_else_by_the_migrate_block() -> None:
    update = UpdateStrategy(min_healthy_time_ns=1, healthy_deadline_ns=2)
    migrate = MigrateStrategy(min_healthy_time_ns=3, healthy_deadline_ns=4)
    group = a_group(update=update, migrate=migrate)
    deployed = an_alloc(deployment_id="d")
    assert health_policy(deployed, group, "service") == HealthPolicy(min_healthy_ns=1, deadline_ns=2)
    assert health_policy(an_alloc(), group, "service") == HealthPolicy(min_healthy_ns=3, deadline_ns=4)
    assert health_policy(an_alloc(), group, "batch") is None


def test_nobody_is_judged_twice_nor_when_health_is_set_by_hand() -> None:
    judged = an_alloc(deployment_id="d", deployment_status=AllocDeploymentStatus(healthy=True))
    manual = a_group(update=UpdateStrategy(health_check="manual"))
    assert health_policy(judged, a_group(update=UpdateStrategy()), "service") is None
    assert health_policy(an_alloc(deployment_id="d"), manual, "service") is None
