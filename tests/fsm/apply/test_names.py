"""Namespaces, node pools and the scheduler's settings."""

from __future__ import annotations

from raftnomad.fsm.commands import (
    DeleteNamespaces,
    DeleteNodePools,
    RegisterJob,
    SetSchedulerConfiguration,
    UpsertNamespaces,
    UpsertNodePools,
)
from raftnomad.model.namespace import Namespace
from raftnomad.model.node import NodePool
from raftnomad.model.scheduler_configuration import SchedulerConfiguration
from tests.fsm.cluster import Cluster
from tests.makers import a_job, an_evaluation


def test_what_is_built_in_is_there_from_the_first_index(cluster: Cluster) -> None:
    state = cluster.state
    assert state.index == 1
    assert [*state.namespaces, *state.node_pools] == ["default", "all", "default"]
    assert state.namespaces["default"].create_index == state.node_pools["all"].create_index == 1
    assert (state.table_index("namespaces"), state.table_index("jobs")) == (1, 0)
    assert state.scheduler_configuration.scheduler_algorithm == "binpack"


def test_what_is_built_in_cannot_be_changed_or_deleted(cluster: Cluster) -> None:
    for name in ("all", "default"):
        assert "not allowed" in cluster.refuse(UpsertNodePools(node_pools=(NodePool(name="x"), NodePool(name=name))))
        assert "not allowed" in cluster.refuse(DeleteNodePools(names=(name,)))
    assert "x" not in cluster.state.node_pools
    assert cluster.refuse(DeleteNamespaces(names=("default",))) == "can not delete default namespace"


def test_pools_come_and_go(cluster: Cluster) -> None:
    cluster.apply(UpsertNodePools(node_pools=(NodePool(name="gpu"),)))
    cluster.apply(UpsertNodePools(node_pools=(NodePool(name="gpu", description="fast"),)))
    pool = cluster.state.node_pools["gpu"]
    assert (pool.create_index, pool.modify_index, pool.description) == (2, 3, "fast")
    cluster.with_node(node_pool="gpu")
    assert "has nodes in regions" in cluster.refuse(DeleteNodePools(names=("gpu",)))
    cluster.apply(UpsertNodePools(node_pools=(NodePool(name="idle"),)))
    cluster.apply(DeleteNodePools(names=("idle", "idle")))
    assert cluster.refuse(DeleteNodePools(names=("idle",))) == "node pool idle not found"


def test_a_namespace_goes_when_nothing_of_it_runs(cluster: Cluster) -> None:
    cluster.apply(UpsertNamespaces(namespaces=(Namespace(name="team"),)))
    cluster.apply(RegisterJob(job=a_job(namespace="team")))
    assert "non-terminal jobs" in cluster.refuse(DeleteNamespaces(names=("team",)))
    cluster.apply(UpsertNamespaces(namespaces=(Namespace(name="empty"),)))
    cluster.apply(DeleteNamespaces(names=("empty",)))
    assert cluster.refuse(DeleteNamespaces(names=("empty",))) == "namespace not found"


def test_settings_are_replaced_when_they_are_what_was_read(cluster: Cluster) -> None:
    spread = SchedulerConfiguration(scheduler_algorithm="spread")
    assert cluster.apply(SetSchedulerConfiguration(configuration=spread, check_index=9)).value == 0
    assert cluster.state.scheduler_configuration.scheduler_algorithm == "binpack"
    assert cluster.apply(SetSchedulerConfiguration(configuration=spread, check_index=1)).value == 1
    configuration = cluster.state.scheduler_configuration
    assert (configuration.scheduler_algorithm, configuration.create_index, configuration.modify_index) == (
        "spread",
        1,
        3,
    )


def test_a_namespace_in_which_something_runs_is_not_deleted_and_both_reasons_are_told(cluster: Cluster) -> None:
    cluster.apply(UpsertNamespaces(namespaces=(Namespace(name="team"),)))
    cluster.with_node()
    job = a_job(namespace="team")
    cluster.apply(RegisterJob(job=job, evaluation=an_evaluation(1, job)))
    cluster.place(cluster.state.jobs["team", "web"], 1)
    assert cluster.refuse(DeleteNamespaces(names=("team",), region="west")) == (
        "2 errors occurred:\n"
        '\t* namespace "team" has non-terminal jobs in regions: [west]\n'
        '\t* namespace "team" has non-terminal allocations in regions: [west]\n\n'
    )
