"""System and sysbatch jobs: one allocation on every node that may run them."""

from __future__ import annotations

from raftnomad.model.allocation import DesiredTransition
from raftnomad.model.resources import Constraint
from tests.scheduler.cluster import a_cluster, a_group, a_job, a_node, a_version_after, counts, rolling


def test_every_node_gets_one_and_new_nodes_too() -> None:
    cluster = a_cluster(nodes=2)
    job = a_job(type="system")
    assert counts(cluster.run(job)) == {"place": 2}
    cluster.nodes["new"] = a_node("new")
    assert counts(cluster.run(job)) == {"place": 1, "ignore": 2}
    assert sorted(alloc.node_id for alloc in cluster.live()) == ["n0", "n1", "new"]
    assert {alloc.name for alloc in cluster.live()} == {"web.g[0]"}


def test_only_binpack_is_told() -> None:
    metric = a_cluster(nodes=1).run(a_job(type="system")).plan.placements[0].metrics
    assert metric is not None
    (best,) = metric.score_meta_data or ()
    assert list(best.scores or {}) == ["binpack"]


def test_a_node_that_is_filtered_is_only_told_of_when_no_other_takes_it() -> None:
    cluster = a_cluster(nodes=2)
    constraint = Constraint(l_target="${node.unique.name}", operand="=", r_target="n0")
    output = cluster.run(a_job(type="system", constraints=(constraint,)))
    assert output.evaluation.failed_tg_allocs is None
    nowhere = Constraint(l_target="${meta.rack}", operand="=", r_target="r9")
    output = a_cluster(nodes=1).run(a_job(type="system", constraints=(nowhere,)))
    metric = (output.evaluation.failed_tg_allocs or {})["g"]
    assert metric.constraint_filtered == {"${meta.rack} = r9": 1}
    assert (metric.nodes_available, metric.nodes_evaluated, output.created) == (None, 1, ())
    assert counts(output) == {}


def test_a_node_without_room_blocks() -> None:
    cluster = a_cluster(nodes=2)
    cluster.nodes["small"] = a_node("small", cpu=50)
    output = cluster.run(a_job(type="system"))
    assert len(cluster.live()) == 2
    metric = (output.evaluation.failed_tg_allocs or {})["g"]
    assert metric.dimension_exhausted == {"cpu": 1}
    assert [one.status for one in output.created] == ["blocked"]


def test_a_node_that_goes_down_takes_its_allocation_with_it() -> None:
    cluster = a_cluster(nodes=2)
    job = a_job(type="system")
    cluster.run(job)
    cluster.nodes["n0"] = a_node("n0", status="down")
    output = cluster.run(job)
    assert counts(output) == {"stop": 1, "ignore": 1}
    assert [alloc.node_id for alloc in cluster.live()] == ["n1"]


def test_a_drained_or_stopped_allocation_is_not_placed_elsewhere() -> None:
    cluster = a_cluster(nodes=2)
    job = a_job(type="system")
    cluster.run(job)
    alloc = next(alloc for alloc in cluster.live() if alloc.node_id == "n0")
    cluster.change(alloc.id, desired_transition=DesiredTransition(migrate=True))
    output = cluster.run(job)
    assert counts(output) == {"stop": 1, "ignore": 1}
    assert cluster.allocations[alloc.id].desired_description == "alloc not needed as node is tainted"
    assert len(cluster.live()) == 1


def test_an_ineligible_node_keeps_what_it_has() -> None:
    cluster = a_cluster(nodes=1)
    job = a_job(type="system")
    cluster.run(job)
    cluster.nodes["n0"] = a_node("n0", scheduling_eligibility="ineligible")
    assert counts(cluster.run(job)) == {"ignore": 1}


def test_an_update_rolls_by_max_parallel() -> None:
    cluster = a_cluster(nodes=3)
    job = a_job(a_group(update=rolling()), type="system")
    cluster.run(job)
    assert cluster.deployment is not None
    assert (cluster.deployment.task_groups or {})["g"].desired_total == 3
    cluster.heal()
    cluster.run(job)
    newer = a_version_after(job, a_group(cpu=200, update=rolling()))
    for _ in range(3):
        assert counts(cluster.run(newer)) == {"destructive_update": 1, "ignore": 2}
        cluster.heal()
    output = cluster.run(newer)
    assert counts(output) == {"ignore": 3}
    assert [one.status for one in output.plan.deployment_updates] == ["successful"]


def test_a_stopped_job_stops_everywhere() -> None:
    cluster = a_cluster(nodes=2)
    job = a_job(type="system")
    cluster.run(job)
    assert counts(cluster.run(a_version_after(job, stop=True))) == {"stop": 2}
    assert cluster.live() == []


def test_a_sysbatch_run_is_repeated_only_by_a_new_version() -> None:
    cluster = a_cluster(nodes=2)
    job = a_job(type="sysbatch")
    cluster.run(job)
    for alloc in cluster.live():
        cluster.finish(alloc.id)
    assert cluster.run(job).is_empty
    cluster.run(a_version_after(job))
    assert len(cluster.live()) == 2
