"""The node table follows nodes and allocations, and a copy follows the table by deltas."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest

from raftnomad.fsm.capacity import NodeTable, demand_of, uses_node
from raftnomad.fsm.node_columns import NodeColumns, TableDelta
from raftnomad.fsm.node_facts import computed_class, parse_ports
from raftnomad.model.allocation import Allocation
from raftnomad.model.node import (
    LegacyNodeCpuResources,
    Node,
    NodeDiskResources,
    NodeMemoryResources,
    NodeNetworkAddress,
    NodeNetworkResource,
    NodeReservedCpuResources,
    NodeReservedResources,
    NodeResources,
)
from raftnomad.model.resources import (
    AllocatedCpuResources,
    AllocatedMemoryResources,
    AllocatedPortMapping,
    AllocatedResources,
    AllocatedSharedResources,
    AllocatedTaskResources,
    TaskLifecycleConfig,
)


def a_node(node_id: str = "n1", cpu: int = 1000, memory: int = 1000, **fields: object) -> Node:
    resources = NodeResources(
        cpu=LegacyNodeCpuResources(cpu_shares=cpu),
        memory=NodeMemoryResources(memory_mb=memory),
        disk=NodeDiskResources(disk_mb=10_000),
        node_networks=(
            NodeNetworkResource(mode="host", addresses=(NodeNetworkAddress(alias="default", address="10.0.0.1"),)),
        ),
    )
    node = Node(id=node_id, name=node_id, datacenter="dc1", status="ready", node_resources=resources)
    return msgspec.structs.replace(node, **fields)


def some_resources(cpu: int = 100, memory: int = 100, ports: tuple[int, ...] = ()) -> AllocatedResources:
    task = AllocatedTaskResources(
        cpu=AllocatedCpuResources(cpu_shares=cpu), memory=AllocatedMemoryResources(memory_mb=memory)
    )
    mappings = tuple(AllocatedPortMapping(label=str(p), value=p, host_ip="10.0.0.1") for p in ports)
    return AllocatedResources(tasks={"t": task}, shared=AllocatedSharedResources(disk_mb=10, ports=mappings or None))


def an_alloc(alloc_id: str = "a1", node_id: str = "n1", resources: AllocatedResources | None = None) -> Allocation:
    return Allocation(
        id=alloc_id, node_id=node_id, desired_status="run", allocated_resources=resources or some_resources()
    )


def test_reserved_resources_are_no_room() -> None:
    table = NodeTable()
    table.upsert_node(a_node(reserved_resources=NodeReservedResources(cpu=NodeReservedCpuResources(cpu_shares=300))))
    assert table.fits("n1", some_resources(cpu=700)) == ""
    assert table.fits("n1", some_resources(cpu=701)) == "cpu"


def test_the_first_exhausted_dimension_is_named() -> None:
    table = NodeTable()
    table.upsert_node(a_node())
    assert table.fits("n1", some_resources(cpu=2000, memory=2000)) == "cpu"
    assert table.fits("n1", some_resources(memory=2000)) == "memory"
    assert table.fits("gone", some_resources()) == "cpu"


def test_room_returns_when_an_allocation_ends() -> None:
    table = NodeTable()
    table.upsert_node(a_node())
    table.add_allocation(an_alloc(resources=some_resources(cpu=900)))
    assert table.fits("n1", some_resources(cpu=200)) == "cpu"
    table.remove_allocation(an_alloc(resources=some_resources(cpu=900)))
    assert table.fits("n1", some_resources(cpu=200)) == ""


def test_a_port_is_taken_once_for_each_address() -> None:
    table = NodeTable()
    table.upsert_node(a_node())
    table.add_allocation(an_alloc(resources=some_resources(ports=(8080,))))
    assert table.fits("n1", some_resources(ports=(8080,))) == "network: port collision"
    assert table.fits("n1", some_resources(ports=(8081,))) == ""
    table.remove_allocation(an_alloc(resources=some_resources(ports=(8080,))))
    assert table.fits("n1", some_resources(ports=(8080,))) == ""
    assert table.held[table.slot_of["n1"]] is None


def test_a_node_that_is_down_draining_or_ineligible_is_not_ready() -> None:
    table = NodeTable()
    table.upsert_node(a_node())
    assert table.is_ready("n1")
    for fields in ({"status": "down"}, {"scheduling_eligibility": "ineligible"}):
        table.upsert_node(a_node(**fields))
        assert not table.is_ready("n1")


def test_the_lowest_free_slot_is_taken() -> None:
    table = NodeTable(2)
    for name in "abc":
        table.upsert_node(a_node(name))
    assert [table.slot_of[name] for name in "abc"] == [0, 1, 2]
    table.remove_node("a")
    table.remove_node("b")
    table.upsert_node(a_node("d"))
    assert table.slot_of["d"] == 0


def test_the_use_of_a_node_that_left_is_there_when_it_returns() -> None:
    table = NodeTable()
    table.add_allocation(an_alloc("early"))
    table.upsert_node(a_node())
    table.add_allocation(an_alloc("late", resources=some_resources(ports=(80,))))
    table.remove_node("n1")
    table.remove_allocation(an_alloc("early"))
    table.upsert_node(a_node())
    assert table.check([a_node()], [an_alloc("late", resources=some_resources(ports=(80,)))]) == []


def test_the_check_finds_use_that_was_forgotten() -> None:
    table = NodeTable()
    table.upsert_node(a_node())
    assert table.check([a_node()], [an_alloc()]) != []
    assert table.check([a_node(), a_node("n2")], []) == ["node n2 is missing"]


def test_tasks_that_do_not_run_together_share_room() -> None:
    def task(cpu: int) -> AllocatedTaskResources:
        return AllocatedTaskResources(cpu=AllocatedCpuResources(cpu_shares=cpu))

    resources = AllocatedResources(
        tasks={"main": task(100), "init": task(300), "sidecar": task(50)},
        task_lifecycles={
            "main": None,
            "init": TaskLifecycleConfig(hook="prestart"),
            "sidecar": TaskLifecycleConfig(hook="prestart", sidecar=True),
        },
    )
    assert demand_of(resources)[0] == 350


def test_columns_follow_nodes() -> None:
    table = NodeTable()
    table.upsert_node(a_node("a", meta={"rack": "r1"}))
    column = table.column("meta.rack")
    table.upsert_node(a_node("b", meta={"rack": "r2"}))
    table.upsert_node(a_node("c"))
    assert [column.values[code] if code >= 0 else None for code in column.codes[:3]] == ["r1", "r2", None]
    table.remove_node("a")
    assert column.codes[0] == -1


def test_a_class_is_the_same_for_nodes_that_differ_only_in_unique_names() -> None:
    one = a_node("a", attributes={"unique.hostname": "a", "kernel.name": "linux"})
    two = a_node("b", attributes={"unique.hostname": "b", "kernel.name": "linux"})
    assert computed_class(one) == computed_class(two)
    assert computed_class(a_node("c", attributes={"kernel.name": "plan9"})) != computed_class(one)


def test_ports_are_read_as_nomad_writes_them() -> None:
    assert parse_ports("22, 80,8500-8502,nonsense") == {22, 80, 8500, 8501, 8502}


@pytest.mark.parametrize("seed", range(20))
def test_table_and_copy_agree_with_a_rebuild_after_any_history(seed: int) -> None:
    chance = random.Random(seed)
    table, copy, version = NodeTable(2), NodeColumns(2), 0
    nodes: dict[str, Node] = {}
    allocs: dict[str, Allocation] = {}
    for step in range(120):
        match chance.randrange(5):
            case 0 | 1:
                node = a_node(f"n{chance.randrange(8)}", meta={"rack": f"r{chance.randrange(3)}"})
                nodes[node.id] = node
                table.upsert_node(node)
            case 2:
                nodes.pop(gone := f"n{chance.randrange(8)}", None)
                table.remove_node(gone)
            case 3:
                ports = (chance.randrange(20_000, 20_050),) * chance.randrange(2)
                alloc = an_alloc(f"a{step}", f"n{chance.randrange(8)}", some_resources(ports=ports))
                allocs[alloc.id] = alloc
                table.add_allocation(alloc)
            case 4 if allocs:
                table.remove_allocation(allocs.pop(chance.choice(list(allocs))))
        if chance.random() < 0.2:
            delta = msgspec.msgpack.decode(msgspec.msgpack.encode(table.delta_since(version)), type=TableDelta)
            copy.absorb(delta)
            version = delta.version
            assert copy.facts == table.facts
            assert copy.held == table.held
            assert copy.slot_of == table.slot_of
            copied, kept = copy.column("meta.rack"), table.column("meta.rack")
            values = lambda column: [column.values[code] if code >= 0 else None for code in column.codes]  # noqa: E731
            assert values(copied) == values(kept)
    on_nodes = [alloc for alloc in allocs.values() if uses_node(alloc) and alloc.node_id in nodes]
    assert table.check(nodes.values(), on_nodes) == []
    total, used, ready = table.columns()
    assert np.array_equal(used, table.used)
    assert total.shape == used.shape
    assert ready.sum() == len(nodes)
