"""The columns of a placement block: checked, cut, and read row by row."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np
from msgspec.structs import replace

from raftnomad.identifiers import id_text
from raftnomad.model.allocation import RescheduleTracker
from raftnomad.model.plan import PlacementBlock
from raftnomad.model.resources import (
    AllocatedPortMapping,
    AllocatedResources,
    AllocatedTaskResources,
    NetworkResource,
    Port,
)

Row = tuple[str, str, int, AllocatedResources, str, RescheduleTracker | None]
"""(allocation id, node id, number of the name, resources, previous allocation, tracker)"""

V = TypeVar("V")


def ids_of(block: PlacementBlock) -> list[str]:
    raw = block.alloc_ids
    return [id_text(raw[start : start + 16]) for start in range(0, len(raw), 16)]


def whole(block: PlacementBlock) -> PlacementBlock:
    """The block, or, of one whose columns do not fit together, the rows that every column has."""
    width = len(block.port_labels)
    sizes = [len(block.alloc_ids) / 16, len(block.node_index) / 4, len(block.name_index) / 4]
    if width:
        sizes.append(len(block.ports) / (2 * width))
    if block.host_ips and len(block.host_ips) != len(block.node_ids):
        block = replace(block, host_ips=(block.host_ips + ("",) * len(block.node_ids))[: len(block.node_ids)])
    rows = int(min(sizes))
    nodes = np.frombuffer(block.node_index, np.dtype("<u4"), rows)
    if all(size == rows for size in sizes) and not (nodes >= len(block.node_ids)).any():
        return block
    return with_rows(block, [row for row in range(rows) if nodes[row] < len(block.node_ids)])


def with_rows(block: PlacementBlock, rows: Sequence[int]) -> PlacementBlock:
    """Only these rows of the block, in this order."""
    return replace(
        block,
        alloc_ids=_chosen(block.alloc_ids, 16, rows),
        node_index=_chosen(block.node_index, 4, rows),
        name_index=_chosen(block.name_index, 4, rows),
        ports=_chosen(block.ports, 2 * len(block.port_labels), rows),
        previous=_renumbered(block.previous, rows),
        reschedule_trackers=_renumbered(block.reschedule_trackers, rows),
    )


def _chosen(column: bytes, width: int, rows: Sequence[int]) -> bytes:
    return b"".join(column[row * width : (row + 1) * width] for row in rows)


def _renumbered(values: dict[int, V] | None, rows: Sequence[int]) -> dict[int, V] | None:
    if values is None:
        return None
    return {number: values[row] for number, row in enumerate(rows) if row in values}


def rows_of(block: PlacementBlock) -> Iterator[Row]:
    """The rows of a block that is `whole`."""
    count = len(block.alloc_ids) // 16
    nodes = struct.unpack(f"<{count}I", block.node_index)
    names = struct.unpack(f"<{count}I", block.name_index)
    width = len(block.port_labels)
    ports = struct.unpack(f"<{count * width}H", block.ports[: 2 * count * width])
    previous = block.previous or {}
    trackers = block.reschedule_trackers or {}
    resources = block.resources
    for row, (alloc_id, node) in enumerate(zip(ids_of(block), nodes, strict=True)):
        if width:
            host_ip = block.host_ips[node] if block.host_ips else ""
            resources = with_ports(block.resources, ports[row * width : (row + 1) * width], host_ip)
        yield alloc_id, block.node_ids[node], names[row], resources, previous.get(row, ""), trackers.get(row)


def with_ports(resources: AllocatedResources, values: tuple[int, ...], host_ip: str) -> AllocatedResources:
    """The resources with the ports that one allocation got: the group's first, then those of the tasks' networks."""
    remaining = iter(values)
    shared = resources.shared
    mappings = shared.ports or ()
    if mappings:
        of_group = list(islice(remaining, len(mappings)))
        by_label = {mapping.label: value for mapping, value in zip(mappings, of_group, strict=False)}
        shared = replace(
            shared,
            ports=tuple(_mapped(mapping, by_label.get(mapping.label, mapping.value), host_ip) for mapping in mappings),
            networks=_with_values(shared.networks, by_label, host_ip),
        )
    if resources.tasks is None:
        return replace(resources, shared=shared)
    tasks = {name: _task_with_ports(task, remaining, host_ip) for name, task in resources.tasks.items()}
    return replace(resources, shared=shared, tasks=tasks)


def _mapped(mapping: AllocatedPortMapping, value: int, host_ip: str) -> AllocatedPortMapping:
    to = value if mapping.to == -1 else mapping.to
    return replace(mapping, value=value, to=to, host_ip=mapping.host_ip or host_ip)


def _task_with_ports(task: AllocatedTaskResources, remaining: Iterator[int], host_ip: str) -> AllocatedTaskResources:
    labels = [
        port.label
        for network in task.networks or ()
        for port in (*(network.reserved_ports or ()), *(network.dynamic_ports or ()))
    ]
    if not labels:
        return task
    return replace(task, networks=_with_values(task.networks, dict(zip(labels, remaining, strict=False)), host_ip))


def _with_values(
    networks: tuple[NetworkResource, ...] | None, values: dict[str, int], host_ip: str
) -> tuple[NetworkResource, ...] | None:
    if networks is None:
        return None
    return tuple(
        replace(
            network,
            ip=network.ip or host_ip,
            reserved_ports=_filled(network.reserved_ports, values),
            dynamic_ports=_filled(network.dynamic_ports, values),
        )
        for network in networks
    )


def _filled(ports: tuple[Port, ...] | None, values: dict[str, int]) -> tuple[Port, ...] | None:
    if ports is None:
        return None
    return tuple(_valued(port, values.get(port.label, port.value)) for port in ports)


def _valued(port: Port, value: int) -> Port:
    return replace(port, value=value, to=value if port.to == -1 else port.to)
