from __future__ import annotations

from raftnomad.fsm.commands import (
    AllocationUpdate,
    DeregisterNode,
    RegisterNode,
    UpdateAllocations,
    UpdateNodeDrain,
    UpdateNodeEligibility,
    UpdateNodeStatus,
)
from raftnomad.model.node import DrainStrategy, NodeEvent
from tests.fsm.cluster import Cluster
from tests.makers import a_node, an_evaluation, an_id

NODE = an_id(1, "node")


def test_a_new_node_is_eligible_and_initializing_until_it_says_more(cluster: Cluster) -> None:
    cluster.apply(RegisterNode(node=a_node(status="", scheduling_eligibility="", node_pool="")))
    node = cluster.state.nodes[NODE]
    assert (node.status, node.scheduling_eligibility, node.node_pool) == ("initializing", "eligible", "default")
    assert (node.create_index, node.modify_index) == (2, 2)
    assert [event.message for event in node.events or ()] == ["Node registered"]


def test_registering_again_keeps_what_the_servers_know(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.apply(UpdateNodeEligibility(node_id=NODE, eligibility="ineligible"))
    cluster.apply(RegisterNode(node=a_node(status="initializing", name="renamed")))
    node = cluster.state.nodes[NODE]
    assert (node.status, node.scheduling_eligibility, node.name) == ("ready", "ineligible", "renamed")
    assert (node.create_index, node.modify_index) == (2, 4)


def test_another_secret_is_refused(cluster: Cluster) -> None:
    cluster.with_node()
    reason = cluster.refuse(RegisterNode(node=a_node(secret_id="stolen")))
    assert reason == "node secret ID does not match. Not registering node."


def test_an_unknown_pool_comes_with_its_first_node(cluster: Cluster) -> None:
    cluster.with_node(node_pool="gpu")
    assert cluster.state.node_pools["gpu"].create_index == 2


def test_a_node_that_goes_down_and_returns(cluster: Cluster) -> None:
    cluster.with_node()
    missed = NodeEvent(message="Node heartbeat missed", subsystem="Cluster")
    cluster.apply(UpdateNodeStatus(node_id=NODE, status="down", event=missed, evaluations=(an_evaluation(),)))
    node = cluster.state.nodes[NODE]
    assert (node.status, node.last_missed_heartbeat_index) == ("down", 3)
    assert (node.events or ())[-1].create_index == 3
    assert not cluster.state.node_table.is_ready(NODE)
    cluster.apply(RegisterNode(node=a_node()))
    cluster.apply(UpdateNodeStatus(node_id=NODE, status="ready"))
    messages = [event.message for event in cluster.state.nodes[NODE].events or ()]
    assert messages == ["Node registered", "Node heartbeat missed", "Node re-registered"]
    assert cluster.state.nodes[NODE].last_missed_heartbeat_index == 0
    assert cluster.state.node_table.is_ready(NODE)


def test_ten_events_are_kept(cluster: Cluster) -> None:
    cluster.with_node()
    for number in range(12):
        cluster.apply(UpdateNodeStatus(node_id=NODE, status="ready", event=NodeEvent(message=str(number))))
    assert [event.message for event in cluster.state.nodes[NODE].events or ()] == [str(n) for n in range(2, 12)]


def test_an_unknown_node_is_refused(cluster: Cluster) -> None:
    assert cluster.refuse(UpdateNodeStatus(node_id=NODE, status="down")) == "node not found"
    assert cluster.refuse(UpdateNodeEligibility(node_id=NODE, eligibility="eligible")) == "node not found"
    assert cluster.refuse(UpdateNodeDrain(node_id=NODE)) == "node not found"


def test_a_drain_makes_ineligible_and_is_remembered(cluster: Cluster) -> None:
    cluster.with_node()
    strategy = DrainStrategy(deadline_ns=1, started_at="2026-01-01T00:00:00Z")
    cluster.apply(UpdateNodeDrain(node_id=NODE, strategy=strategy, meta={"why": "disk"}))
    node = cluster.state.nodes[NODE]
    assert (node.drain_strategy, node.scheduling_eligibility) == (strategy, "ineligible")
    assert node.last_drain is not None
    assert (node.last_drain.status, node.last_drain.meta) == ("draining", {"why": "disk"})
    reason = cluster.refuse(UpdateNodeEligibility(node_id=NODE, eligibility="eligible"))
    assert reason == "can not set node's scheduling eligibility to eligible while it is draining"
    started = node.last_drain.started_at
    cluster.apply(UpdateNodeDrain(node_id=NODE, strategy=DrainStrategy(deadline_ns=2)))
    cluster.apply(UpdateNodeDrain(node_id=NODE, mark_eligible=True, meta={"message": "later"}))
    node = cluster.state.nodes[NODE]
    assert (node.drain_strategy, node.scheduling_eligibility) == (None, "eligible")
    assert node.last_drain is not None
    assert (node.last_drain.status, node.last_drain.started_at) == ("canceled", started)
    assert node.last_drain.meta == {"message": "later"}


def test_a_drain_that_is_done_stays_ineligible(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.apply(UpdateNodeDrain(node_id=NODE, strategy=DrainStrategy()))
    cluster.apply(UpdateNodeDrain(node_id=NODE, completed=True))
    node = cluster.state.nodes[NODE]
    assert node.last_drain is not None
    assert (node.last_drain.status, node.scheduling_eligibility) == ("complete", "ineligible")


def test_a_drain_that_a_user_ended_is_not_completed_afterwards(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.apply(UpdateNodeDrain(node_id=NODE, strategy=DrainStrategy()))
    cluster.apply(UpdateNodeDrain(node_id=NODE, mark_eligible=True))
    cluster.apply(UpdateNodeDrain(node_id=NODE, completed=True))
    node = cluster.state.nodes[NODE]
    assert node.last_drain is not None
    assert (node.last_drain.status, node.scheduling_eligibility) == ("canceled", "eligible")


def test_a_purged_node_that_comes_back_still_has_its_allocations(cluster: Cluster) -> None:
    cluster.with_node(cpu=100)
    cluster.place(cluster.with_job(), 1)
    cluster.apply(DeregisterNode(node_ids=(NODE, an_id(9, "node"))))
    assert not cluster.state.nodes
    cluster.with_node(cpu=100)
    assert cluster.state.node_table.fits(NODE, cluster.state.allocations[an_id(1, "allo")].allocated_resources) == "cpu"
    ended = AllocationUpdate(id=an_id(1, "allo"), client_status="complete")
    cluster.apply(UpdateAllocations(node_id=NODE, updates=(ended,)))
