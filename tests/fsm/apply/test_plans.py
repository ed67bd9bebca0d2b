from __future__ import annotations

import pytest

from raftnomad.fsm.commands import (
    AllocationUpdate,
    ApplyPlan,
    ClaimLeadership,
    DeregisterJob,
    DeregisterNode,
    UpdateAllocations,
    UpdateNodeEligibility,
    UpdateNodeStatus,
)
from raftnomad.model.allocation import AllocMetric
from raftnomad.model.plan import AllocStop, AllocUpdate, DeploymentUpdate
from raftnomad.model.resources import AllocatedPortMapping, AllocatedSharedResources, NetworkResource, Port
from tests.fsm.cluster import Cluster
from tests.makers import a_block, a_deployment, a_plan, allocated, an_evaluation, an_id, changed

NODE = an_id(1, "node")
FIRST, SECOND = an_id(1, "allo"), an_id(2, "allo")


def test_placements_become_allocations(cluster: Cluster) -> None:
    node = cluster.with_node()
    job = cluster.with_job(count=2)
    metrics = AllocMetric(nodes_evaluated=1)
    block = a_block([FIRST, SECOND], [NODE, NODE], metrics=metrics)
    evaluation = an_evaluation(status="complete", queued_allocations={"web": 0})
    cluster.apply(ApplyPlan(plan=a_plan(job, (block,), evaluation), evaluations=(evaluation,)))
    first, second = cluster.state.allocations[FIRST], cluster.state.allocations[SECOND]
    assert (first.name, second.name) == ("web.web[0]", "web.web[1]")
    assert (first.node_id, first.node_name, first.eval_id) == (NODE, node.name, evaluation.id)
    assert (first.desired_status, first.client_status) == ("run", "pending")
    assert first.job == job
    assert first.allocated_resources is second.allocated_resources
    assert first.metrics is second.metrics
    assert first.metrics == metrics
    assert (first.create_index, first.modify_index, first.alloc_modify_index) == (4, 4, 4)
    assert cluster.state.evaluations[evaluation.id].status == "complete"
    assert cluster.state.summaries["default", "web"].summary["web"].starting == 2  # type: ignore[index]


def test_what_a_node_has_no_room_for_is_refused_and_the_rest_stands(cluster: Cluster) -> None:
    cluster.with_node(cpu=250)
    job = cluster.with_job(count=3)
    third = an_id(3, "allo")
    evaluation = an_evaluation(status="complete")
    plan = a_plan(job, (a_block([FIRST, SECOND, third], [NODE] * 3),), evaluation)
    applied = cluster.apply(ApplyPlan(plan=plan, evaluations=(evaluation,)))
    assert applied.refused == (third,)
    assert list(cluster.state.allocations) == [FIRST, SECOND]
    assert cluster.state.evaluations[evaluation.id].status == "pending"


def test_all_at_once_is_all_or_nothing(cluster: Cluster) -> None:
    cluster.with_node(cpu=150)
    job = cluster.with_job(count=2)
    block = a_block([FIRST, SECOND], [NODE, NODE])
    applied = cluster.apply(ApplyPlan(plan=a_plan(job, (block,), all_at_once=True)))
    assert sorted(applied.refused) == [FIRST, SECOND]
    assert not cluster.state.allocations


@pytest.mark.parametrize(
    "make_unfit",
    [
        UpdateNodeStatus(node_id=NODE, status="down"),
        UpdateNodeEligibility(node_id=NODE, eligibility="ineligible"),
        DeregisterNode(node_ids=(NODE,)),
    ],
    ids=["down", "ineligible", "gone"],
)
def test_a_node_that_does_not_take_work_refuses(cluster: Cluster, make_unfit) -> None:  # type: ignore[no-untyped-def]
    cluster.with_node()
    job = cluster.with_job()
    cluster.apply(make_unfit)
    applied = cluster.apply(ApplyPlan(plan=a_plan(job, (a_block([FIRST], [NODE]),))))
    assert applied.refused == (FIRST,)


def test_a_plan_for_a_job_that_was_purged_places_nothing(cluster: Cluster) -> None:
    cluster.with_node()
    job = cluster.with_job()
    cluster.apply(DeregisterJob(job_id="web", purge=True))
    assert cluster.apply(ApplyPlan(plan=a_plan(job, (a_block([FIRST], [NODE]),)))).refused == (FIRST,)
    cluster.with_job()
    assert cluster.apply(ApplyPlan(plan=a_plan(job, (a_block([FIRST], [NODE]),)))).refused == (FIRST,)


def test_a_plan_applied_twice_places_once(cluster: Cluster) -> None:
    cluster.with_node()
    job = cluster.with_job()
    cluster.place(job, 1)
    before = cluster.state.allocations[FIRST]
    cluster.place(job, 1)
    assert cluster.state.allocations[FIRST] is before


def test_what_a_plan_stops_makes_room_for_what_it_places(cluster: Cluster) -> None:
    cluster.with_node(cpu=100)
    job = cluster.with_job()
    cluster.place(job, 1)
    stop = AllocStop(alloc_id=FIRST, desired_description="alloc is being updated due to job update")
    block = a_block([SECOND], [NODE], previous={0: FIRST})
    assert cluster.apply(ApplyPlan(plan=a_plan(job, (block,), stops=(stop,)))).refused == ()
    first, second = cluster.state.allocations[FIRST], cluster.state.allocations[SECOND]
    assert (first.desired_status, first.next_allocation) == ("stop", SECOND)
    assert second.previous_allocation == FIRST


def test_a_stopped_allocation_holds_its_room_until_its_client_says_that_it_ended(cluster: Cluster) -> None:
    cluster.with_node(cpu=100)
    job = cluster.with_job()
    cluster.place(job, 1)
    cluster.apply(ApplyPlan(plan=a_plan(job, stops=(AllocStop(alloc_id=FIRST),))))
    place_second = ApplyPlan(plan=a_plan(job, (a_block([SECOND], [NODE]),)))
    assert cluster.apply(place_second).refused == (SECOND,)
    cluster.apply(UpdateAllocations(updates=(AllocationUpdate(id=FIRST, client_status="complete"),)))
    assert cluster.apply(place_second).refused == ()


def test_an_allocation_whose_replacement_is_refused_runs_on_and_keeps_its_room(cluster: Cluster) -> None:
    cluster.with_node(cpu=200)
    cluster.with_node(2)
    job = cluster.with_job(count=3)
    cluster.place(job, 1, 2)
    cluster.apply(UpdateNodeEligibility(node_id=an_id(2, "node"), eligibility="ineligible"))
    stop = AllocStop(alloc_id=FIRST, desired_description="alloc is being updated due to job update")
    third, fourth = an_id(3, "allo"), an_id(4, "allo")
    moved = a_block([third], [an_id(2, "node")], first_index=2, previous={0: FIRST})
    filling = a_block([fourth], [NODE], first_index=3)
    applied = cluster.apply(ApplyPlan(plan=a_plan(job, (moved, filling), stops=(stop,))))
    assert sorted(applied.refused) == [third, fourth]
    assert cluster.state.allocations[FIRST].desired_status == "run"


def test_what_was_told_to_stop_is_not_called_back(cluster: Cluster) -> None:
    cluster.with_node()
    job = cluster.with_job()
    cluster.place(job, 1)
    for desired in ("stop", "run"):
        cluster.apply(ApplyPlan(plan=a_plan(job, stops=(AllocStop(alloc_id=FIRST, desired_status=desired),))))
    assert cluster.state.allocations[FIRST].desired_status == "stop"


def test_a_block_may_place_an_older_version(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.with_job()
    job = cluster.with_job(count=2, number=2)
    block = a_block([FIRST], [NODE], job_version=0)
    cluster.apply(ApplyPlan(plan=a_plan(job, (block,))))
    assert cluster.state.allocations[FIRST].job.version == 0  # type: ignore[union-attr]
    unknown = a_block([SECOND], [NODE], first_index=1, job_version=7)
    assert cluster.apply(ApplyPlan(plan=a_plan(job, (unknown,)))).refused == (SECOND,)


def test_lost_and_disconnected_are_said_by_the_plan(cluster: Cluster) -> None:
    cluster.with_node()
    job = cluster.with_job(count=2)
    cluster.place(job, 1, 2)
    lost = AllocStop(alloc_id=FIRST, client_status="lost", desired_description="alloc is lost since its node is down")
    unknown = AllocStop(
        alloc_id=SECOND, desired_status="run", client_status="unknown", followup_eval_id=an_id(9, "eval")
    )
    cluster.apply(ApplyPlan(plan=a_plan(job, stops=(lost, unknown))))
    first, second = cluster.state.allocations[FIRST], cluster.state.allocations[SECOND]
    assert (first.desired_status, first.client_status) == ("stop", "lost")
    assert (second.desired_status, second.client_status, second.followup_eval_id) == (
        "run",
        "unknown",
        an_id(9, "eval"),
    )
    assert [state.value for state in second.alloc_states or ()] == ["unknown"]
    cluster.apply(UpdateAllocations(updates=(AllocationUpdate(id=SECOND, client_status="running"),)))
    assert [state.value for state in cluster.state.allocations[SECOND].alloc_states or ()] == ["unknown", "running"]


def test_an_in_place_update_changes_the_job_and_keeps_the_allocation(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.place(cluster.with_job(), 1)
    job = cluster.with_job(priority=60, number=2)
    deployment = a_deployment(job=job)
    update = AllocUpdate(alloc_id=FIRST, deployment_id=deployment.id)
    cluster.apply(ApplyPlan(plan=a_plan(job, deployment=deployment, updates=(update,))))
    alloc = cluster.state.allocations[FIRST]
    assert alloc.job is not None
    assert (alloc.job.version, alloc.create_index, alloc.deployment_id) == (1, 4, deployment.id)
    assert cluster.state.deployments[deployment.id].task_groups["web"].placed_allocs == 1  # type: ignore[index]


def test_an_allocation_refers_to_a_version_that_is_not_kept_any_more(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.place(cluster.with_job(), 1)
    for count in range(2, 12):
        cluster.with_job(count=count)
    assert cluster.state.allocations[FIRST].job.version == 0  # type: ignore[union-attr]
    assert cluster.state.job_version("default", "web", 0) is cluster.state.allocations[FIRST].job
    assert cluster.state.job_version("default", "web", 1) is None


def test_a_deployment_counts_what_is_placed(cluster: Cluster) -> None:
    cluster.with_node()
    job = cluster.with_job(count=2)
    deployment = a_deployment(job=job)
    cluster.place(job, 1, 2, deployment=deployment, deployment_id=deployment.id, canary=True)
    stored = cluster.state.deployments[deployment.id]
    assert stored.task_groups is not None
    group = stored.task_groups["web"]
    assert (group.placed_allocs, group.placed_canaries) == (2, (FIRST, SECOND))
    assert group.require_progress_by == "2027-01-15T08:10:03Z"
    cancelled = DeploymentUpdate(deployment_id=deployment.id, status="cancelled", status_description="why")
    cluster.apply(ApplyPlan(plan=a_plan(job, deployment_updates=(cancelled,))))
    assert cluster.state.deployments[deployment.id].status == "cancelled"


def test_ports_are_filled_in(cluster: Cluster) -> None:
    cluster.with_node()
    job = cluster.with_job(count=2)
    shared = AllocatedSharedResources(
        disk_mb=300,
        ports=(AllocatedPortMapping(label="http", to=-1), AllocatedPortMapping(label="admin", value=9000, to=80)),
        networks=(
            NetworkResource(
                mode="host",
                dynamic_ports=(Port(label="http", to=-1),),
                reserved_ports=(Port(label="admin", value=9000, to=80),),
            ),
        ),
    )
    block = a_block(
        [FIRST, SECOND],
        [NODE, NODE],
        resources=changed(allocated(), shared=shared),
        port_labels=("http", "admin"),
        ports=b"".join(port.to_bytes(2, "little") for port in (20001, 9000, 20002, 9000)),
        host_ips=("10.0.0.1",),
    )
    applied = cluster.apply(ApplyPlan(plan=a_plan(job, (block,))))
    assert applied.refused == (SECOND,), "the static port is taken"
    resources = cluster.state.allocations[FIRST].allocated_resources
    assert resources is not None
    assert resources.shared.ports == (
        AllocatedPortMapping(label="http", value=20001, to=20001, host_ip="10.0.0.1"),
        AllocatedPortMapping(label="admin", value=9000, to=80, host_ip="10.0.0.1"),
    )
    assert resources.shared.networks is not None
    assert resources.shared.networks[0].ip == "10.0.0.1"
    assert resources.shared.networks[0].dynamic_ports == (Port(label="http", value=20001, to=20001),)


def test_columns_that_are_too_short_place_what_they_hold(cluster: Cluster) -> None:
    cluster.with_node()
    job = cluster.with_job(count=2)
    block = a_block([FIRST, SECOND], [NODE, NODE])
    for broken in (
        changed(block, node_index=block.node_index[:5]),
        changed(block, name_index=block.name_index[:4]),
        changed(block, alloc_ids=block.alloc_ids[:17], port_labels=("x",)),
        changed(block, node_ids=()),
    ):
        cluster.apply(ApplyPlan(plan=a_plan(job, (broken,))))
    assert list(cluster.state.allocations) == [FIRST]


def test_a_former_leader_s_plan_is_refused(cluster: Cluster) -> None:
    cluster.with_node()
    job = cluster.with_job()
    epoch = cluster.apply(ClaimLeadership(server_id="one")).value
    plan = a_plan(job, (a_block([FIRST], [NODE]),))
    later = cluster.apply(ClaimLeadership(server_id="two")).value
    assert "stale leader" in cluster.refuse(ApplyPlan(plan=plan, epoch=epoch))
    assert not cluster.state.allocations
    cluster.apply(ApplyPlan(plan=plan, epoch=later))


def test_who_is_preempted_makes_room_and_its_job_is_evaluated(cluster: Cluster) -> None:
    cluster.with_node(memory_mb=200)
    cluster.place(cluster.with_job("low"), 1)
    job = cluster.with_job("high", number=2)
    block = a_block([an_id(2, "allo")], [an_id(1, "node")])
    stop = AllocStop(alloc_id=an_id(1, "allo"), desired_status="evict", preempted_by=an_id(2, "allo"))
    loser = an_evaluation(3, cluster.state.jobs["default", "low"], triggered_by="preemption")
    command = ApplyPlan(plan=a_plan(job, (block,), stops=(stop,)), preempted=(loser,))
    for _ in range(2):
        cluster.apply(command)
    victim, winner = (cluster.state.allocations[an_id(number, "allo")] for number in (1, 2))
    assert (victim.desired_status, victim.preempted_by_allocation) == ("evict", winner.id)
    assert winner.preempted_allocations == (victim.id,)
    assert cluster.state.evaluations[loser.id].triggered_by == "preemption"


def test_nobody_is_preempted_for_what_is_refused(cluster: Cluster) -> None:
    cluster.with_node(memory_mb=200)
    cluster.place(cluster.with_job("low"), 1)
    job = cluster.with_job("high", number=2)
    block = a_block([an_id(2, "allo")], [an_id(9, "node")])
    stop = AllocStop(alloc_id=an_id(1, "allo"), desired_status="evict", preempted_by=an_id(2, "allo"))
    loser = an_evaluation(3, cluster.state.jobs["default", "low"], triggered_by="preemption")
    applied = cluster.apply(ApplyPlan(plan=a_plan(job, (block,), stops=(stop,)), preempted=(loser,)))
    assert applied.refused == (an_id(2, "allo"),)
    assert cluster.state.allocations[an_id(1, "allo")].desired_status == "run"
    assert loser.id not in cluster.state.evaluations
