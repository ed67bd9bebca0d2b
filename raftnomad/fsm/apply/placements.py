"""The columns of a placement block, read row by row."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice

import msgspec
from msgspec.structs import replace

from raftnomad.identifiers import id_text
from raftnomad.model.allocation import RescheduleTracker
from raftnomad.model.plan import PlacementBlock
from raftnomad.model.resources import AllocatedPortMapping, AllocatedResources, NetworkResource, Port


class Placement(msgspec.Struct, frozen=True, gc=False):
    block: PlacementBlock
    alloc_id: str
    node_id: str
    name_index: int
    resources: AllocatedResources
    previous: str
    reschedule_tracker: RescheduleTracker | None


def placements_of(block: PlacementBlock) -> Iterator[Placement]:
    """Rows whose columns are too short, or that name a node that the block does not have, are left out."""
    nodes = struct.unpack(f"<{len(block.node_index) // 4}I", block.node_index[: len(block.node_index) // 4 * 4])
    names = struct.unpack(f"<{len(block.name_index) // 4}I", block.name_index[: len(block.name_index) // 4 * 4])
    ports = struct.unpack(f"<{len(block.ports) // 2}H", block.ports[: len(block.ports) // 2 * 2])
    width = len(block.port_labels)
    previous = block.previous or {}
    trackers = block.reschedule_trackers or {}
    for row in range(min(len(block.alloc_ids) // 16, len(nodes), len(names))):
        node = nodes[row]
        if node >= len(block.node_ids) or (width and len(ports) < (row + 1) * width):
            continue
        resources = block.resources
        if width:
            host_ip = block.host_ips[node] if node < len(block.host_ips) else ""
            resources = with_ports(resources, ports[row * width : (row + 1) * width], host_ip)
        yield Placement(
            block,
            id_text(block.alloc_ids[row * 16 : row * 16 + 16]),
            block.node_ids[node],
            names[row],
            resources,
            previous.get(row, ""),
            trackers.get(row),
        )


def with_ports(resources: AllocatedResources, values: tuple[int, ...], host_ip: str) -> AllocatedResources:
    """The resources with the ports that one allocation got: the group's first, then those of the tasks' networks."""
    remaining = iter(values)
    shared = resources.shared
    mappings = shared.ports or ()
    of_group = list(islice(remaining, len(mappings)))
    if mappings:
        shared = replace(
            shared,
            ports=tuple(_mapped(mapping, value, host_ip) for mapping, value in zip(mappings, of_group, strict=False)),
            networks=_with_values(
                shared.networks,
                {mapping.label: value for mapping, value in zip(mappings, of_group, strict=False)},
                host_ip,
            ),
        )
    tasks = {}
    for name, task in (resources.tasks or {}).items():
        labels = [port.label for network in task.networks or () for port in _ports(network)]
        if labels:
            of_task = dict(zip(labels, remaining, strict=False))
            task = replace(task, networks=_with_values(task.networks, of_task, host_ip))
        tasks[name] = task
    return replace(resources, shared=shared, tasks=tasks if resources.tasks is not None else None)


def _mapped(mapping: AllocatedPortMapping, value: int, host_ip: str) -> AllocatedPortMapping:
    to = value if mapping.to == -1 else mapping.to
    return replace(mapping, value=value, to=to, host_ip=mapping.host_ip or host_ip)


def _ports(network: NetworkResource) -> tuple[Port, ...]:
    return (*(network.reserved_ports or ()), *(network.dynamic_ports or ()))


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
