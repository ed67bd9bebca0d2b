"""What the newest state can't take of a plan is named row by row; the rest stands."""

from __future__ import annotations

import struct

from raftnomad.fsm.capacity import NodeTable
from raftnomad.fsm.plan_check import refused_rows
from raftnomad.model.allocation import Allocation
from raftnomad.model.node import (
    LegacyNodeCpuResources,
    Node,
    NodeDiskResources,
    NodeMemoryResources,
    NodeResources,
)
from raftnomad.model.plan import PlacementBlock
from raftnomad.model.resources import (
    AllocatedCpuResources,
    AllocatedPortMapping,
    AllocatedResources,
    AllocatedSharedResources,
    AllocatedTaskResources,
)


def a_table(*names: str, **fields: object) -> NodeTable:
    table = NodeTable()
    for name in names:
        resources = NodeResources(
            cpu=LegacyNodeCpuResources(cpu_shares=1000),
            memory=NodeMemoryResources(memory_mb=1000),
            disk=NodeDiskResources(disk_mb=1000),
        )
        table.upsert_node(Node(id=name, status="ready", node_resources=resources, **fields))  # type: ignore[arg-type]
    return table


def resources_of(cpu: int) -> AllocatedResources:
    return AllocatedResources(tasks={"t": AllocatedTaskResources(cpu=AllocatedCpuResources(cpu_shares=cpu))})


def a_block(nodes: tuple[str, ...], rows: list[int], cpu: int = 400, ports: list[int] | None = None) -> PlacementBlock:
    return PlacementBlock(
        alloc_ids=bytes(16 * len(rows)),
        node_ids=nodes,
        node_index=struct.pack(f"<{len(rows)}I", *rows),
        resources=resources_of(cpu),
        port_labels=("http",) if ports else (),
        ports=struct.pack(f"<{len(ports)}H", *ports) if ports else b"",
        host_ips=tuple("10.0.0.1" for _ in nodes) if ports else (),
    )


def test_what_fits_stands() -> None:
    assert refused_rows(a_table("a", "b"), [a_block(("a", "b"), [0, 0, 1, 1])]) == [[]]


def test_rows_beyond_a_nodes_room_are_refused_over_all_blocks() -> None:
    assert refused_rows(a_table("a"), [a_block(("a",), [0]), a_block(("a",), [0, 0])]) == [[], [1]]


def test_a_node_that_is_gone_or_not_ready_takes_nothing() -> None:
    table = a_table("a")
    assert refused_rows(table, [a_block(("a", "gone"), [1, 0])]) == [[0]]
    assert refused_rows(a_table("a", scheduling_eligibility="ineligible"), [a_block(("a",), [0])]) == [[0]]


def test_what_the_plan_stops_makes_room() -> None:
    table = a_table("a")
    old = Allocation(id="old", node_id="a", client_status="running", allocated_resources=resources_of(900))
    table.add_allocation(old)
    assert refused_rows(table, [a_block(("a",), [0])]) == [[0]]
    assert refused_rows(table, [a_block(("a",), [0])], [old]) == [[]]


def test_a_port_is_given_once() -> None:
    table = a_table("a", "b")
    port = AllocatedPortMapping(label="http", value=80, host_ip="10.0.0.1")
    old = Allocation(
        id="old", node_id="a", allocated_resources=AllocatedResources(shared=AllocatedSharedResources(ports=(port,)))
    )
    table.add_allocation(old)
    block = a_block(("a", "b"), [0, 0, 1, 1], cpu=10, ports=[80, 81, 80, 80])
    assert refused_rows(table, [block]) == [[0, 3]]
    assert refused_rows(table, [block], [old]) == [[3]]


def test_a_nodes_limit_of_allocations_holds() -> None:
    assert refused_rows(a_table("a", node_max_allocs=2), [a_block(("a",), [0, 0, 0], cpu=1)]) == [[2]]
