from __future__ import annotations

from raftnomad.fsm.commands import (
    AllocationUpdate,
    CollectGarbage,
    DeregisterJob,
    ReconcileSummaries,
    UpdateAllocations,
    UpdateNodeStatus,
)
from raftnomad.model.job import TaskGroupSummary
from tests.fsm.cluster import Cluster
from tests.makers import a_deployment, an_id, changed

KEY = ("default", "web")
NODE, ALLOC, EVAL, DEPLOYMENT = an_id(1, "node"), an_id(1, "allo"), an_id(1, "eval"), an_id(1, "depl")
EVERYTHING = CollectGarbage(
    allocations=(ALLOC, "unknown"), evaluations=(EVAL,), deployments=(DEPLOYMENT,), jobs=(KEY,), nodes=(NODE,)
)


def test_what_is_needed_is_kept(cluster: Cluster) -> None:
    cluster.with_node()
    job = cluster.with_job()
    cluster.apply(CollectGarbage(evaluations=(EVAL,), jobs=(KEY,)))
    assert EVAL in cluster.state.evaluations, "it is pending"
    deployment = a_deployment(job=job)
    cluster.place(job, 1, deployment=deployment, deployment_id=deployment.id)
    cluster.apply(EVERYTHING)
    state = cluster.state
    assert [*state.nodes, *state.jobs, *state.allocations, *state.deployments] == [NODE, KEY, ALLOC, DEPLOYMENT]


def test_what_is_over_is_forgotten_in_one_step(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.place(cluster.with_job(), 1)
    cluster.apply(DeregisterJob(job_id="web"))
    cluster.apply(UpdateAllocations(updates=(AllocationUpdate(id=ALLOC, client_status="complete"),)))
    cluster.apply(UpdateNodeStatus(node_id=NODE, status="down"))
    cluster.apply(EVERYTHING)
    state = cluster.state
    for table in (state.nodes, state.jobs, state.job_versions, state.summaries, state.allocations, state.evaluations):
        assert not table


def test_summaries_are_recounted(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.place(cluster.with_job(), 1)
    right = cluster.state.summaries[KEY]
    cluster.state.summaries.put(KEY, changed(right, summary={"web": TaskGroupSummary(running=7)}))
    cluster.apply(ReconcileSummaries())
    assert cluster.state.summaries[KEY].summary == right.summary
