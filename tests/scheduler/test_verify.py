"""The leader proposes what the newest state can take of a plan."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from raftnomad.fsm.apply.placements import rows_of
from raftnomad.fsm.state import State
from raftnomad.scheduler.verify import verify
from tests.scheduler.cluster import Cluster, a_cluster, a_group, a_job, a_node, a_version_after


def state_of(cluster: Cluster) -> State:
    state: Any = SimpleNamespace(node_table=cluster.table(), allocations=cluster.allocations)
    return cast("State", state)


def test_a_plan_that_fits_is_left_as_it_is() -> None:
    cluster = a_cluster()
    plan = cluster.schedule(a_job(a_group(count=9))).plan
    assert verify(state_of(cluster), plan).plan is plan


def test_rows_on_nodes_that_changed_are_taken_out() -> None:
    cluster = a_cluster(nodes=2)
    plan = cluster.schedule(a_job(a_group(count=15))).plan
    cluster.nodes["n0"] = a_node("n0", status="down")
    verified = verify(state_of(cluster), plan)
    assert verified.refused_nodes == ("n0",)
    rows = [row for block in verified.plan.placements for row in rows_of(block)]
    assert {node_id for _, node_id, *_ in rows} == {"n1"}
    assert len(rows) + len(verified.refused) == 15
    assert len({index for _, _, index, *_ in rows}) == len(rows)


def test_what_is_not_replaced_is_not_stopped() -> None:
    cluster = a_cluster(nodes=1)
    job = a_job(a_group(count=2, cpu=400))
    cluster.run(job)
    plan = cluster.schedule(a_version_after(job, a_group(count=2, cpu=450))).plan
    cluster.nodes["n0"] = a_node("n0", scheduling_eligibility="ineligible")
    verified = verify(state_of(cluster), plan)
    assert verified.plan.placements == ()
    assert verified.plan.stops == ()
    assert len(verified.refused) == 2


def test_all_at_once_is_all_or_nothing() -> None:
    cluster = a_cluster(nodes=2)
    plan = cluster.schedule(a_job(a_group(count=15), all_at_once=True)).plan
    cluster.nodes["n0"] = a_node("n0", status="down")
    verified = verify(state_of(cluster), plan)
    assert verified.plan.placements == ()
    assert len(verified.refused) == 15
