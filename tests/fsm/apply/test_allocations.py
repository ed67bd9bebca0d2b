from __future__ import annotations

from raftnomad.fsm.commands import AllocationUpdate, TransitionAllocations, UpdateAllocations, UpdateNodeStatus
from raftnomad.model.allocation import AllocDeploymentStatus, AllocNetworkStatus, DesiredTransition
from tests.fsm.cluster import Cluster
from tests.makers import a_deployment, an_evaluation, an_id, healthy, running

NODE, ALLOC = an_id(1, "node"), an_id(1, "allo")


def test_a_report_is_written_into_the_allocation(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.place(cluster.with_job(), 1)
    network = AllocNetworkStatus(interface_name="eth0")
    report = AllocationUpdate(
        id=ALLOC,
        client_status="running",
        client_description="Tasks are running",
        task_states=running(),
        network_status=network,
    )
    cluster.apply(UpdateAllocations(node_id=NODE, updates=(report,)))
    alloc = cluster.state.allocations[ALLOC]
    assert (alloc.client_status, alloc.client_description) == ("running", "Tasks are running")
    assert (alloc.task_states, alloc.network_status) == (running(), network)
    assert (alloc.modify_index, alloc.alloc_modify_index) == (5, 4)
    assert cluster.state.summaries["default", "web"].summary["web"].running == 1  # type: ignore[index]


def test_what_a_report_does_not_name_stays(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.place(cluster.with_job(), 1)
    for report in (
        AllocationUpdate(id=ALLOC, client_status="running", task_states=running()),
        AllocationUpdate(id=ALLOC, client_status="failed"),
    ):
        cluster.apply(UpdateAllocations(node_id=NODE, updates=(report,)))
    assert cluster.state.allocations[ALLOC].task_states == running()


def test_reports_of_others_allocations_change_nothing(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.place(cluster.with_job(), 1)
    reports = (
        AllocationUpdate(id=ALLOC, client_status="failed"),
        AllocationUpdate(id=an_id(9, "allo"), client_status="failed"),
    )
    cluster.apply(UpdateAllocations(node_id=an_id(2, "node"), updates=reports))
    assert cluster.state.allocations[ALLOC].client_status == "pending"


def test_health_is_counted_once_and_a_later_verdict_moves_it(cluster: Cluster) -> None:
    cluster.with_node()
    job = cluster.with_job()
    deployment = a_deployment(job=job)
    cluster.place(job, 1, deployment=deployment, deployment_id=deployment.id, canary=True)

    def report(health: AllocDeploymentStatus) -> tuple[int, int]:
        update = AllocationUpdate(id=ALLOC, client_status="running", deployment_status=health)
        cluster.apply(UpdateAllocations(node_id=NODE, updates=(update,)))
        group = (cluster.state.deployments[deployment.id].task_groups or {})["web"]
        return group.healthy_allocs, group.unhealthy_allocs

    assert report(healthy()) == (1, 0)
    assert report(healthy()) == (1, 0)
    status = cluster.state.allocations[ALLOC].deployment_status
    assert status is not None
    assert (status.healthy, status.canary, status.modify_index) == (True, True, 5)
    assert report(healthy(False)) == (0, 1)


def test_the_first_report_of_a_node_that_was_away_is_noted(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.place(cluster.with_job(), 1)
    cluster.apply(UpdateNodeStatus(node_id=NODE, status="down"))
    update = UpdateAllocations(node_id=NODE, updates=(AllocationUpdate(id=ALLOC, client_status="running"),))
    index = cluster.apply(update).index
    cluster.apply(update)
    assert cluster.state.nodes[NODE].last_alloc_update_index == index


def test_transitions_add_up(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.place(cluster.with_job(), 1)
    for transition in (DesiredTransition(migrate=True), DesiredTransition(no_shutdown_delay=True)):
        transitions = {ALLOC: transition, an_id(9, "allo"): transition}
        cluster.apply(TransitionAllocations(transitions=transitions, evaluations=(an_evaluation(2),)))
    wanted = cluster.state.allocations[ALLOC].desired_transition
    assert wanted == DesiredTransition(migrate=True, no_shutdown_delay=True)
    assert an_id(2, "eval") in cluster.state.evaluations
