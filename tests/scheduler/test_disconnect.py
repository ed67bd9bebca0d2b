"""A client that goes away and may come back: its allocations are unknown for a while."""

from __future__ import annotations

from raftnomad.clock import rfc3339
from raftnomad.model.allocation import AllocState
from raftnomad.model.job import Job
from raftnomad.model.policies import DisconnectStrategy
from tests.scheduler.cluster import SECOND_NS, Cluster, a_cluster, a_group, a_job, a_node, counts


def disconnected(strategy: DisconnectStrategy) -> tuple[Cluster, Job, str]:
    """A job of one allocation, whose node went away; the id of the allocation."""
    cluster = a_cluster(nodes=2)
    job = a_job(a_group(disconnect=strategy))
    cluster.run(job)
    (alloc,) = cluster.live()
    cluster.nodes[alloc.node_id] = a_node(alloc.node_id, status="disconnected")
    return cluster, job, alloc.id


def forget(cluster: Cluster, alloc_id: str) -> None:
    """The state notes when an allocation became unknown."""
    cluster.change(alloc_id, alloc_states=(AllocState(value="unknown", time=rfc3339(cluster.now_ns)),))


def test_it_becomes_unknown_and_a_replacement_waits_for_the_reschedule_delay() -> None:
    cluster, job, original = disconnected(DisconnectStrategy(lost_after_ns=600 * SECOND_NS, replace=True))
    output = cluster.run(job)
    forget(cluster, original)
    assert counts(output) == {"disconnect": 1, "reschedule_later": 1, "ignore": 1}
    triggers = {one.triggered_by: one for one in output.created}
    assert set(triggers) == {"max-disconnect-timeout", "alloc-reschedule"}
    assert cluster.allocations[original].client_status == "unknown"
    assert cluster.allocations[original].desired_status == "run"
    assert cluster.run(job).is_empty
    cluster.now_ns += 30 * SECOND_NS
    output = cluster.run(job, evaluation=triggers["alloc-reschedule"])
    assert counts(output) == {"place": 1}
    assert output.plan.stops == ()
    assert sorted(alloc.client_status for alloc in cluster.live()) == ["running", "unknown"]
    assert cluster.run(job).is_empty, "the one that is unknown does not count beside its replacement"
    cluster.now_ns += 600 * SECOND_NS
    output = cluster.run(job, evaluation=triggers["max-disconnect-timeout"])
    assert [(stop.alloc_id, stop.client_status) for stop in output.plan.stops] == [(original, "lost")]
    assert output.plan.placements == ()


def test_without_replacement_it_is_lost_when_its_time_is_over() -> None:
    cluster, job, original = disconnected(DisconnectStrategy(lost_after_ns=60 * SECOND_NS, replace=False))
    (timeout,) = cluster.run(job).created
    forget(cluster, original)
    cluster.now_ns += 61 * SECOND_NS
    output = cluster.run(job, evaluation=timeout)
    assert counts(output) == {"place": 1, "stop": 1}


def test_one_of_two_goes_on_when_the_client_is_back() -> None:
    for reconcile, kept in (("keep_original", "original"), ("keep_replacement", "replacement")):
        strategy = DisconnectStrategy(lost_after_ns=600 * SECOND_NS, replace=True, reconcile=reconcile)
        cluster, job, original = disconnected(strategy)
        created = cluster.run(job).created
        forget(cluster, original)
        cluster.now_ns += 30 * SECOND_NS
        cluster.run(job, evaluation=next(one for one in created if one.triggered_by == "alloc-reschedule"))
        node_id = cluster.allocations[original].node_id
        cluster.nodes[node_id] = a_node(node_id)
        cluster.change(original, client_status="running")
        output = cluster.run(job)
        assert counts(output) == {"reconnect": 1, "stop": 1, "ignore": 1}
        (alloc,) = cluster.live()
        assert (alloc.id == original) == (kept == "original")


def test_without_the_block_it_is_lost_at_once() -> None:
    cluster = a_cluster(nodes=2)
    cluster.run(a_job())
    (alloc,) = cluster.live()
    cluster.nodes[alloc.node_id] = a_node(alloc.node_id, status="disconnected")
    assert counts(cluster.run(a_job())) == {"place": 1, "stop": 1}
