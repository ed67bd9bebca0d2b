"""Ports, cores, devices, volumes, distinct constraints and the numbers that explain a placement."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from raftnomad.model.job import Job, VolumeRequest
from raftnomad.model.node import (
    ClientHostVolumeConfig,
    LegacyNodeCpuResources,
    NodeDeviceResource,
    NodeNetworkAddress,
    NodeNetworkResource,
)
from raftnomad.model.resources import (
    Affinity,
    Constraint,
    NetworkResource,
    Port,
    RequestedDevice,
    Resources,
    Spread,
    SpreadTarget,
)
from raftnomad.model.scheduler_configuration import SchedulerConfiguration
from raftnomad.scheduler.input import SchedulerOutput
from tests.scheduler.cluster import Cluster, a_cluster, a_group, a_job, a_node


def a_network(fixed: int = 0, dynamic: int = 0, host_network: str = "") -> tuple[NetworkResource, ...]:
    return (
        NetworkResource(
            mode="host",
            reserved_ports=(Port(label="fixed", value=fixed, host_network=host_network),) if fixed else None,
            dynamic_ports=tuple(Port(label=f"d{n}", host_network=host_network) for n in range(dynamic)) or None,
        ),
    )


def given_ports(cluster: Cluster) -> list[tuple[str, str, int]]:
    """(node, address, port) of all live allocations."""
    return [
        (alloc.node_id, port.host_ip, port.value)
        for alloc in cluster.live()
        for port in (alloc.allocated_resources.shared.ports if alloc.allocated_resources else None) or ()
    ]


def failure(output: SchedulerOutput) -> Any:
    return (output.evaluation.failed_tg_allocs or {})["g"]


def test_dynamic_ports_differ_on_a_node() -> None:
    cluster = a_cluster(nodes=1)
    cluster.run(a_job(a_group(count=10, cpu=10, networks=a_network(dynamic=2))))
    ports = given_ports(cluster)
    assert len(ports) == len(set(ports)) == 20
    assert all(20000 <= port <= 32000 for _, _, port in ports)


def test_a_fixed_port_is_given_once_on_each_node() -> None:
    cluster = a_cluster(nodes=2)
    output = cluster.run(a_job(a_group(count=3, networks=a_network(fixed=8080, dynamic=1))))
    fixed = [(node, port) for node, _, port in given_ports(cluster) if port == 8080]
    assert sorted(fixed) == [("n0", 8080), ("n1", 8080)]
    assert failure(output).dimension_exhausted == {"network: reserved port collision fixed=8080": 2}


def test_a_fixed_port_is_given_on_each_address() -> None:
    addresses = tuple(NodeNetworkAddress(alias="default", address=address) for address in ("127.0.0.1", "::1"))
    cluster = a_cluster(nodes=1)
    node = cluster.nodes["n0"]
    assert node.node_resources is not None
    resources = msgspec.structs.replace(
        node.node_resources, node_networks=(NodeNetworkResource(mode="host", addresses=addresses),)
    )
    cluster.nodes["n0"] = msgspec.structs.replace(node, node_resources=resources)
    cluster.run(a_job(a_group(count=2, networks=a_network(fixed=80))))
    assert sorted(given_ports(cluster)) == [("n0", "127.0.0.1", 80), ("n0", "::1", 80)]


def test_a_host_network_that_is_not_there() -> None:
    output = a_cluster(nodes=1).run(a_job(a_group(networks=a_network(fixed=80, host_network="public"))))
    assert failure(output).constraint_filtered == {'missing host network "public" for port "fixed"': 1}


def test_a_network_mode_that_is_not_there() -> None:
    output = a_cluster(nodes=1).run(a_job(a_group(networks=(NetworkResource(mode="bridge"),))))
    assert failure(output).constraint_filtered == {"missing network": 1}


def with_resources(resources: Resources, count: int = 1, **fields: Any) -> Job:
    group = a_group(count=count, **fields)
    assert group.tasks is not None
    task = msgspec.structs.replace(group.tasks[0], resources=resources)
    return a_job(msgspec.structs.replace(group, tasks=(task,)))


def test_cores_are_given_once_and_bring_their_share_of_the_cpu() -> None:
    cluster = a_cluster(nodes=1)
    node = cluster.nodes["n0"]
    assert node.node_resources is not None
    cpu = LegacyNodeCpuResources(cpu_shares=4000, total_cpu_cores=4, reservable_cpu_cores=(0, 1, 2, 3))
    cluster.nodes["n0"] = msgspec.structs.replace(
        node, node_resources=msgspec.structs.replace(node.node_resources, cpu=cpu)
    )
    output = cluster.run(with_resources(Resources(cores=2, memory_mb=10), count=3))
    got = [(alloc.allocated_resources.tasks or {})["t"].cpu for alloc in cluster.live() if alloc.allocated_resources]
    assert sorted(one.reserved_cores or () for one in got) == [(0, 1), (2, 3)]
    assert {one.cpu_shares for one in got} == {2000}
    assert failure(output).dimension_exhausted == {"cores": 1}


def a_gpu_node() -> Any:
    node = a_node("gpu")
    assert node.node_resources is not None
    device = NodeDeviceResource(
        vendor="nvidia",
        type="gpu",
        name="1080ti",
        instances=({"ID": "a", "Healthy": True}, {"ID": "b", "Healthy": True}, {"ID": "c", "Healthy": False}),
        attributes={"memory": {"Int": 11, "Unit": "GiB"}},
    )
    return msgspec.structs.replace(node, node_resources=msgspec.structs.replace(node.node_resources, devices=(device,)))


def test_devices_are_given_once_and_only_healthy_ones() -> None:
    cluster = a_cluster(nodes=2)
    cluster.nodes["gpu"] = a_gpu_node()
    asked = Resources(cpu=10, memory_mb=10, devices=(RequestedDevice(name="nvidia/gpu", count=1),))
    output = cluster.run(with_resources(asked, count=3))
    got = [
        device.device_ids
        for alloc in cluster.live()
        if alloc.allocated_resources
        for device in (alloc.allocated_resources.tasks or {})["t"].devices or ()
    ]
    assert sorted(got, key=str) == [("a",), ("b",)]
    assert failure(output).constraint_filtered == {"missing devices": 2}


def test_a_device_constraint_holds() -> None:
    cluster = Cluster({"gpu": a_gpu_node()})
    constraint = Constraint(l_target="${device.model}", operand="=", r_target="other")
    asked = Resources(cpu=10, memory_mb=10, devices=(RequestedDevice(name="gpu", count=1, constraints=(constraint,)),))
    assert failure(cluster.run(with_resources(asked))).constraint_filtered == {"missing devices": 1}


def test_a_host_volume_is_where_it_is() -> None:
    cluster = a_cluster(nodes=3)
    volume = ClientHostVolumeConfig(name="data", path="/data", read_only=True)
    cluster.nodes["n1"] = a_node("n1", host_volumes={"data": volume})
    request = VolumeRequest(name="v", type="host", source="data", read_only=True)
    cluster.run(a_job(a_group(volumes={"v": request})))
    assert [alloc.node_id for alloc in cluster.live()] == ["n1"]
    writing = msgspec.structs.replace(request, read_only=False)
    output = a_cluster(nodes=2).run(a_job(a_group(volumes={"v": writing})))
    assert failure(output).constraint_filtered == {"missing compatible host volumes": 2}


def test_each_allocation_may_have_a_volume_of_its_own() -> None:
    cluster = a_cluster(nodes=3)
    for number, node in ((0, "n2"), (1, "n0")):
        name = f"data[{number}]"
        cluster.nodes[node] = a_node(node, host_volumes={name: ClientHostVolumeConfig(name=name, path="/d")})
    request = VolumeRequest(name="v", type="host", source="data", per_alloc=True)
    cluster.run(a_job(a_group(count=2, volumes={"v": request})))
    assert sorted((alloc.name, alloc.node_id) for alloc in cluster.live()) == [("web.g[0]", "n2"), ("web.g[1]", "n0")]


def test_distinct_hosts() -> None:
    cluster = a_cluster(nodes=2)
    job = a_job(a_group(count=3), constraints=(Constraint(operand="distinct_hosts", r_target="true"),))
    output = cluster.run(job)
    assert sorted(alloc.node_id for alloc in cluster.live()) == ["n0", "n1"]
    assert failure(output).constraint_filtered == {"distinct_hosts": 2}
    assert failure(cluster.run(job)).constraint_filtered == {"distinct_hosts": 2}


def test_distinct_property() -> None:
    cluster = Cluster({f"n{n}": a_node(f"n{n}", meta={"rack": f"r{n % 2}"}) for n in range(4)})
    constraint = Constraint(operand="distinct_property", l_target="${meta.rack}", r_target="2")
    output = cluster.run(a_job(a_group(count=5), constraints=(constraint,)))
    assert len(cluster.live()) == 4
    assert failure(output).constraint_filtered == {
        "distinct_property: ${meta.rack}=r0 used by 2 allocs": 2,
        "distinct_property: ${meta.rack}=r1 used by 2 allocs": 2,
    }
    missing = Constraint(operand="distinct_property", l_target="${meta.none}")
    output = a_cluster(nodes=1).run(a_job(constraints=(missing,)))
    assert failure(output).constraint_filtered == {'missing property "${meta.none}"': 1}


def scores_of(output: SchedulerOutput) -> tuple[float, dict[str, float]]:
    metric = output.plan.placements[0].metrics
    assert metric is not None
    (best, *_) = metric.score_meta_data or ()
    return best.norm_score, best.scores or {}


def small(used_cpu: int = 0) -> Cluster:
    return Cluster({"n0": a_node("n0", cpu=2000, memory=2000, node_class="small", meta={"rack": "r1"})})


def test_scores_are_nomads() -> None:
    """Figures of a Nomad 2.0.6 with one node of 2000 MHz and 2000 MiB."""
    norm, scores = scores_of(small().run(a_job(a_group(cpu=200, memory=100))))
    assert norm == pytest.approx(0.17467823730109602)
    assert scores == {
        "binpack": pytest.approx(0.17467823730109602),
        "job-anti-affinity": 0.0,
        "node-reschedule-penalty": 0.0,
        "node-affinity": 0.0,
    }


@pytest.mark.parametrize(
    ("affinities", "score"),
    [
        ([("small", 50)], 1.0),
        ([("small", -50)], -1.0),
        ([("large", 80)], 0.0),
        ([("large", 80), ("small", 20)], 0.2),
    ],
)
def test_an_affinity_always_counts(affinities: list[tuple[str, int]], score: float) -> None:
    wanted = tuple(
        Affinity(l_target="${node.class}", r_target=value, operand="=", weight=weight) for value, weight in affinities
    )
    norm, scores = scores_of(small().run(a_job(affinities=wanted)))
    assert scores["node-affinity"] == pytest.approx(score)
    assert norm == pytest.approx((scores["binpack"] + score) / 2)


def test_a_spread_counts_when_it_says_something() -> None:
    even = a_job(spreads=(Spread(attribute="${meta.rack}", weight=50),))
    assert "allocation-spread" not in scores_of(small().run(even))[1]
    target = SpreadTarget(value="r9", percent=100)
    norm, scores = scores_of(
        small().run(a_job(spreads=(Spread(attribute="${meta.rack}", weight=50, spread_target=(target,)),)))
    )
    assert scores["allocation-spread"] == -1.0
    assert norm == pytest.approx((scores["binpack"] - 1) / 2)


def test_the_spread_algorithm_prefers_empty_nodes() -> None:
    cluster = a_cluster(nodes=3)
    cluster.configuration = SchedulerConfiguration(scheduler_algorithm="spread")
    cluster.run(a_job(a_group("a", cpu=300), a_group("b", cpu=300), a_group("c", cpu=300)))
    assert sorted(alloc.node_id for alloc in cluster.live()) == ["n0", "n1", "n2"]


def test_a_constraint_on_a_unique_name_escapes_the_classes() -> None:
    constraint = Constraint(l_target="${node.unique.name}", operand="=", r_target="n9")
    (blocked,) = a_cluster().run(a_job(constraints=(constraint,))).created
    assert blocked.escaped_computed_class
    assert blocked.class_eligibility is None


def test_two_groups_see_each_other() -> None:
    cluster = a_cluster(nodes=1)
    output = cluster.run(a_job(a_group("a", cpu=600), a_group("b", cpu=600)))
    assert output.evaluation.queued_allocations == {"a": 0, "b": 1}
