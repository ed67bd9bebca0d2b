from __future__ import annotations

from raftnomad.fsm.commands import AllocationUpdate, DeregisterJob, UpdateAllocations, UpdateNodeStatus
from raftnomad.model.policies import PeriodicConfig
from raftnomad.server.duties.garbage_collection import Ages, decide, decide_forced
from raftnomad.server.settings import ServerSettings
from tests.fsm.cluster import Cluster
from tests.makers import SECOND, an_evaluation, an_id

AGES = Ages(ServerSettings())
HOUR = 3600 * SECOND
KEY = ("default", "web")


def collect(cluster: Cluster, after_ns: int) -> None:
    for command in decide(cluster.state, AGES, cluster.time_ns + after_ns, cluster.state.epoch).commands:
        cluster.apply(command)


def ended(cluster: Cluster, **job: object) -> None:
    cluster.with_node()
    cluster.place(cluster.with_job(**job), 1)
    cluster.apply(UpdateAllocations(updates=(AllocationUpdate(id=an_id(1, "allo"), client_status="complete"),)))


def test_a_dead_job_goes_with_all_that_it_had(cluster: Cluster) -> None:
    ended(cluster, type="batch")
    collect(cluster, 3 * HOUR)
    assert KEY in cluster.state.jobs
    collect(cluster, 5 * HOUR)
    assert not cluster.state.jobs
    assert not cluster.state.allocations
    assert not cluster.state.evaluations


def test_what_runs_is_kept_for_ever(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.place(cluster.with_job(), 1)
    collect(cluster, 10_000 * HOUR)
    for command in decide_forced(cluster.state):
        cluster.apply(command)
    assert KEY in cluster.state.jobs
    assert len(cluster.state.allocations) == len(cluster.state.evaluations) == 1


def test_a_dead_job_whose_evaluation_is_open_is_kept(cluster: Cluster) -> None:
    ended(cluster, type="batch")
    cluster.apply(DeregisterJob(job_id="web", evaluation=an_evaluation(2)))
    collect(cluster, 10_000 * HOUR)
    assert KEY in cluster.state.jobs


def test_a_periodic_job_is_kept_until_it_is_stopped(cluster: Cluster) -> None:
    cluster.with_job(type="batch", periodic=PeriodicConfig(enabled=True))
    collect(cluster, 10_000 * HOUR)
    assert KEY in cluster.state.jobs


def test_a_node_that_is_long_gone_is_forgotten(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.apply(UpdateNodeStatus(node_id=an_id(1, "node"), status="down"))
    collect(cluster, 23 * HOUR)
    assert cluster.state.nodes
    collect(cluster, 25 * HOUR)
    assert not cluster.state.nodes


def test_on_demand_age_does_not_matter(cluster: Cluster) -> None:
    ended(cluster, type="batch")
    while commands := decide_forced(cluster.state):
        for command in commands:
            cluster.apply(command)
    assert not cluster.state.jobs
