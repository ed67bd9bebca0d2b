from __future__ import annotations

from raftnomad.fsm.commands import (
    AllocationUpdate,
    MarkJobStable,
    PromoteDeployment,
    SetAllocationHealth,
    UpdateAllocations,
    UpdateDeployment,
)
from raftnomad.model.deployment import Deployment, DeploymentState
from tests.fsm.cluster import Cluster
from tests.makers import a_deployment, an_evaluation, an_id, changed, healthy

KEY = ("default", "web")
DEPLOYMENT, ALLOC = an_id(1, "depl"), an_id(1, "allo")


def under_way(cluster: Cluster, canaries: int = 0) -> Deployment:
    """A deployment of version 1, one allocation of it placed; version 0 is stable."""
    cluster.with_node()
    cluster.with_job()
    cluster.apply(MarkJobStable(job_id="web", version=0))
    job = cluster.with_job(count=2)
    deployment = a_deployment(job=job)
    if canaries:
        groups = {"web": DeploymentState(desired_total=2, desired_canaries=canaries)}
        deployment = changed(deployment, task_groups=groups, status_description="needs promotion")
    cluster.place(job, 1, deployment=deployment, deployment_id=deployment.id, canary=bool(canaries))
    return cluster.state.deployments[DEPLOYMENT]


def test_success_makes_the_version_stable(cluster: Cluster) -> None:
    under_way(cluster)
    cluster.apply(UpdateDeployment(deployment_id=DEPLOYMENT, status="successful", status_description="done"))
    assert cluster.state.deployments[DEPLOYMENT].status == "successful"
    assert cluster.state.jobs[KEY].stable


def test_a_deployment_that_is_over_stays_so(cluster: Cluster) -> None:
    under_way(cluster)
    assert cluster.refuse(UpdateDeployment(deployment_id=an_id(9), status="failed")) == "deployment not found"
    cluster.apply(UpdateDeployment(deployment_id=DEPLOYMENT, status="failed", status_description="bad"))
    assert "is over" in cluster.refuse(UpdateDeployment(deployment_id=DEPLOYMENT, status="running"))
    for command, verb in (
        (SetAllocationHealth(deployment_id=DEPLOYMENT, healthy=(ALLOC,)), "set health of allocations for a"),
        (PromoteDeployment(deployment_id=DEPLOYMENT), "promote"),
    ):
        assert cluster.refuse(command) == f"can't {verb} terminal deployment"


def test_a_failed_deployment_rolls_its_job_back_in_the_same_step(cluster: Cluster) -> None:
    under_way(cluster)
    failed = UpdateDeployment(deployment_id=DEPLOYMENT, status="failed", rollback_to=0, evaluations=(an_evaluation(3),))
    index = cluster.apply(failed).index
    job = cluster.state.jobs[KEY]
    assert (job.version, (job.task_groups or ())[0].count, job.job_modify_index) == (2, 1, index)
    assert job.stable
    assert an_id(3, "eval") in cluster.state.evaluations


def test_a_job_that_has_moved_on_is_not_rolled_back(cluster: Cluster) -> None:
    under_way(cluster)
    cluster.with_job(count=5)
    cluster.apply(UpdateDeployment(deployment_id=DEPLOYMENT, status="failed", rollback_to=0))
    assert (cluster.state.jobs[KEY].task_groups or ())[0].count == 5


def test_health_is_set_by_hand(cluster: Cluster) -> None:
    under_way(cluster)
    command = SetAllocationHealth(deployment_id=DEPLOYMENT, healthy=(ALLOC,), evaluations=(an_evaluation(4),))
    cluster.apply(command)
    groups = cluster.state.deployments[DEPLOYMENT].task_groups or {}
    assert (groups["web"].healthy_allocs, groups["web"].unhealthy_allocs) == (1, 0)
    cluster.apply(SetAllocationHealth(deployment_id=DEPLOYMENT, healthy=(ALLOC,), unhealthy=(ALLOC,)))
    deployment = cluster.state.deployments[DEPLOYMENT]
    groups = deployment.task_groups or {}
    assert (groups["web"].healthy_allocs, groups["web"].unhealthy_allocs) == (0, 1)
    assert (deployment.status, deployment.status_description) == ("failed", "Failed due to unhealthy allocations")


def test_health_of_strangers_is_refused(cluster: Cluster) -> None:
    under_way(cluster)
    stranger = an_id(7, "allo")
    command = SetAllocationHealth(deployment_id=DEPLOYMENT, healthy=(stranger,))
    assert cluster.refuse(command) == f'unknown alloc "{stranger}"'
    cluster.place(cluster.state.jobs[KEY], 7, first_index=5)
    assert "not in deployment" in cluster.refuse(command)


def test_canaries_are_promoted_when_they_are_healthy(cluster: Cluster) -> None:
    under_way(cluster, canaries=1)
    early = cluster.refuse(PromoteDeployment(deployment_id=DEPLOYMENT))
    assert early == '1 error occurred:\n\t* Task group "web" has 0/1 healthy allocations\n\n'
    report = AllocationUpdate(id=ALLOC, client_status="running", deployment_status=healthy())
    cluster.apply(UpdateAllocations(updates=(report,)))
    cluster.apply(PromoteDeployment(deployment_id=DEPLOYMENT, groups=("other",)))
    assert not (cluster.state.deployments[DEPLOYMENT].task_groups or {})["web"].promoted
    cluster.apply(PromoteDeployment(deployment_id=DEPLOYMENT, evaluations=(an_evaluation(5),)))
    deployment = cluster.state.deployments[DEPLOYMENT]
    assert (deployment.task_groups or {})["web"].promoted
    assert deployment.status_description == "Deployment is running"
    status = cluster.state.allocations[ALLOC].deployment_status
    assert status is not None
    assert (status.canary, status.healthy) == (False, True)
