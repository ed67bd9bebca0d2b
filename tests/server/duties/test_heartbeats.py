from __future__ import annotations

from raftnomad.model.policies import DisconnectStrategy
from raftnomad.server.duties.heartbeats import Deadlines, decide, ttl_s
from raftnomad.server.settings import ServerSettings
from tests.fsm.cluster import Cluster
from tests.makers import SECOND, a_group, an_id, changed

SETTINGS = ServerSettings()


def down(cluster: Cluster, deadlines: Deadlines, now_s: float) -> list[tuple[str, str]]:
    decision = decide(cluster.state, deadlines, now_s, cluster.time_ns, 7, lambda: "new")
    assert all(command.epoch == 7 for command in decision.commands)
    for command in decision.commands:
        cluster.outcome(command)
    return [(command.node_id, command.status) for command in decision.commands]  # type: ignore[attr-defined]


def test_a_silent_node_is_down_after_ttl_and_grace_and_within_25_seconds() -> None:
    cluster, deadlines = Cluster(), Deadlines(SETTINGS)
    cluster.with_node()
    cluster.state.epoch = 7
    assert down(cluster, deadlines, 100) == []
    assert down(cluster, deadlines, 119) == []
    assert down(cluster, deadlines, 121) == [(an_id(1, "node"), "down")]
    assert cluster.state.nodes[an_id(1, "node")].status == "down"
    assert down(cluster, deadlines, 200) == []


def test_a_node_that_is_heard_stays() -> None:
    cluster, deadlines = Cluster(), Deadlines(SETTINGS)
    node = cluster.with_node()
    down(cluster, deadlines, 100)
    for now_s in range(110, 200, 10):
        deadlines.start((node.id,), 1, now_s)
        assert down(cluster, deadlines, now_s + 9) == []


def test_jobs_of_a_node_that_is_down_are_evaluated() -> None:
    cluster, deadlines = Cluster(), Deadlines(SETTINGS)
    cluster.with_node()
    cluster.place(cluster.with_job(), 1)
    decide(cluster.state, deadlines, 0, 0, 0, lambda: "new")
    (command,) = decide(cluster.state, deadlines, 30, 0, 0, lambda: "new").commands
    (evaluation,) = command.evaluations  # type: ignore[attr-defined]
    assert (evaluation.job_id, evaluation.triggered_by, evaluation.node_id) == ("web", "node-update", an_id(1, "node"))


def test_a_node_whose_allocations_may_wait_is_disconnected_first() -> None:
    cluster, deadlines = Cluster(), Deadlines(SETTINGS)
    cluster.with_node()
    group = a_group(disconnect=DisconnectStrategy(lost_after_ns=60 * SECOND))
    cluster.place(cluster.with_job(task_groups=(group,)), 1)
    alloc = cluster.state.allocations[an_id(1, "allo")]
    cluster.state.store_allocation(changed(alloc, client_status="running"))
    decide(cluster.state, deadlines, 0, 0, 0, lambda: "new")
    (command,) = decide(cluster.state, deadlines, 30, cluster.time_ns, 0, lambda: "new").commands
    assert command.status == "disconnected"  # type: ignore[attr-defined]


def test_ten_thousand_nodes_keep_to_a_thousand_heartbeats_a_second() -> None:
    assert ttl_s(SETTINGS, 10) == 10
    assert ttl_s(SETTINGS, 10_000) == 10
    assert ttl_s(SETTINGS, 50_000) == 50
