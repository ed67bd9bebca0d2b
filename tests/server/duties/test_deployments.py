from __future__ import annotations

from raftnomad.fsm.commands import (
    AllocationUpdate,
    Command,
    MarkJobStable,
    PromoteDeployment,
    TransitionAllocations,
    UpdateAllocations,
    UpdateDeployment,
    UpsertEvaluations,
)
from raftnomad.model.deployment import DeploymentState
from raftnomad.model.policies import ReschedulePolicy
from raftnomad.server.duties.deployments import Progress, decide
from tests.fsm.cluster import Cluster
from tests.makers import SECOND, a_deployment, a_group, an_id, healthy

DEPLOYMENT, ALLOC = an_id(1, "depl"), an_id(1, "allo")


class Watched:
    """A deployment of version 1 of a job, two of two placed."""

    def __init__(self, attempts: int = 0, **group: object) -> None:
        self.cluster = Cluster()
        self.cluster.with_node()
        policy = ReschedulePolicy(attempts=attempts)
        self.cluster.with_job()
        job = self.cluster.with_job(task_groups=(a_group(count=2, reschedule_policy=policy),))
        state = DeploymentState(**{"desired_total": 2, "progress_deadline_ns": 60 * SECOND, **group})  # type: ignore[arg-type]
        self.progress = Progress()
        canary = bool(state.desired_canaries)
        self.cluster.place(
            job,
            1,
            2,
            deployment=a_deployment(job=job, task_groups={"web": state}),
            deployment_id=DEPLOYMENT,
            canary=canary,
        )

    def decide(self, now_s: float = 0) -> tuple[Command, ...]:
        decision = decide(self.cluster.state, self.progress, now_s, self.cluster.time_ns, 0, lambda: "new")
        self.again_in_s = decision.again_in_s
        return decision.commands

    def report(self, number: int, is_healthy: bool, status: str = "running") -> None:
        update = AllocationUpdate(id=an_id(number, "allo"), client_status=status, deployment_status=healthy(is_healthy))
        self.cluster.apply(UpdateAllocations(updates=(update,)))


def test_each_healthy_allocation_asks_for_the_next_step() -> None:
    watched = Watched()
    assert watched.decide() == ()
    watched.report(1, True)
    (command,) = watched.decide()
    assert isinstance(command, UpsertEvaluations)
    (evaluation,) = command.evaluations
    assert (evaluation.triggered_by, evaluation.deployment_id) == ("deployment-watcher", DEPLOYMENT)
    assert watched.decide() == ()


def test_a_deployment_that_does_not_get_on_fails_at_its_deadline() -> None:
    watched = Watched()
    watched.decide(0)
    assert watched.again_in_s == 60
    watched.report(1, True)
    watched.decide(50)
    assert watched.decide(109) == ()
    (command,) = watched.decide(110)
    assert isinstance(command, UpdateDeployment)
    assert (command.status, command.status_description) == ("failed", "Failed due to progress deadline")
    assert len(command.evaluations) == 1


def test_nothing_is_due_when_all_is_healthy_or_nothing_is_placed() -> None:
    watched = Watched()
    watched.decide(0)
    watched.report(1, True)
    watched.report(2, True)
    watched.decide(1)
    assert watched.again_in_s is None
    assert watched.decide(1000) == ()


def test_an_unhealthy_allocation_that_may_not_be_placed_again_fails_the_deployment() -> None:
    watched = Watched(attempts=0)
    watched.report(1, False, "failed")
    (command,) = watched.decide()
    assert isinstance(command, UpdateDeployment)
    assert command.status_description == "Failed due to unhealthy allocations"
    assert command.rollback_to is None


def test_an_unhealthy_allocation_that_may_be_placed_again_is() -> None:
    watched = Watched(attempts=2)
    watched.report(1, False, "failed")
    (command,) = watched.decide()
    assert isinstance(command, TransitionAllocations)
    assert list(command.transitions or {}) == [ALLOC]
    assert len(command.evaluations) == 1


def test_without_a_deadline_the_first_unhealthy_allocation_ends_it() -> None:
    watched = Watched(attempts=2, progress_deadline_ns=0)
    watched.report(1, False, "failed")
    (command,) = watched.decide()
    assert isinstance(command, UpdateDeployment)


def test_a_failed_deployment_goes_back_to_the_last_stable_version() -> None:
    watched = Watched(auto_revert=True)
    watched.report(1, False, "failed")
    (command,) = watched.decide()
    assert isinstance(command, UpdateDeployment)
    assert command.status_description.endswith(" - no stable job version to auto revert to")
    watched.cluster.apply(MarkJobStable(job_id="web", version=0))
    (command,) = watched.decide()
    assert isinstance(command, UpdateDeployment)
    assert command.rollback_to == 0
    assert command.status_description.endswith(" - rolling back to job version 0")


def test_canaries_are_promoted_when_they_may_promote_themselves() -> None:
    watched = Watched(desired_canaries=2, auto_promote=True)
    watched.report(1, True)
    (command,) = watched.decide()
    assert isinstance(command, UpsertEvaluations)
    watched.report(2, True)
    (command,) = watched.decide()
    assert isinstance(command, PromoteDeployment)
    watched.cluster.apply(command)
    assert (watched.cluster.state.deployments[DEPLOYMENT].task_groups or {})["web"].promoted


def test_a_paused_deployment_waits_for_ever() -> None:
    watched = Watched()
    watched.decide(0)
    watched.cluster.apply(UpdateDeployment(deployment_id=DEPLOYMENT, status="paused"))
    assert watched.decide(1000) == ()
    watched.cluster.apply(UpdateDeployment(deployment_id=DEPLOYMENT, status="running"))
    assert watched.decide(1000) == ()
    assert watched.again_in_s == 60
