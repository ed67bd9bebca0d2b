"""What one allocation of a task group asks of a node: room, ports, cores and devices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np

from raftnomad.fsm.capacity import demand_of
from raftnomad.fsm.node_columns import CORES, CPU, FloatColumns, NodeColumns
from raftnomad.model.job import Task, TaskGroup
from raftnomad.model.resources import (
    AllocatedCpuResources,
    AllocatedDeviceResource,
    AllocatedMemoryResources,
    AllocatedPortMapping,
    AllocatedResources,
    AllocatedSharedResources,
    AllocatedTaskResources,
    NetworkResource,
    Port,
    RequestedDevice,
    TaskLifecycleConfig,
)


@dataclass(frozen=True)
class PortRequest:
    """`port` 0 asks for any free one. `task` is empty for a port of the group."""

    label: str
    port: int
    to: int
    host_network: str
    ignore_collision: bool
    task: str = ""


@dataclass(frozen=True)
class Given:
    """What a node gives by name: (address, port) for each requested port, core ids and devices by task."""

    ports: tuple[tuple[str, int], ...] = ()
    cores: dict[str, tuple[int, ...]] | None = None
    devices: dict[str, tuple[AllocatedDeviceResource, ...]] | None = None


class Ask:
    """`demand` is (cpu MHz, memory MiB, disk MiB, cores) with the tasks' cpu; cores add their share per node."""

    def __init__(self, group: TaskGroup, oversubscribe_memory: bool) -> None:
        self.group = group
        self.ports = tuple(_port_requests(group))
        self.cores = {task.name: task.resources.cores for task in group.tasks or () if _cores(task)}  # type: ignore[union-attr]
        self.devices: dict[str, tuple[RequestedDevice, ...]] = {
            task.name: task.resources.devices
            for task in group.tasks or ()
            if task.resources is not None and task.resources.devices
        }
        self.resources = _plain_resources(group, oversubscribe_memory)
        self.demand = demand_of(self.resources)
        self.demand[CORES] = sum(self.cores.values())

    @property
    def by_name(self) -> bool:
        """Something is asked for by name, so that a node with room can still refuse."""
        return bool(self.ports or self.cores or self.devices)

    def demand_on(self, nodes: NodeColumns) -> FloatColumns:
        """demand[slot, resource]: a core brings its share of the node's cpu."""
        demand = np.broadcast_to(self.demand, nodes.total.shape)
        if not self.cores:
            return demand
        demand = demand.copy()
        cores = np.maximum(nodes.total[:, CORES], 1)
        demand[:, CPU] += np.floor(self.demand[CORES] * nodes.total[:, CPU] / cores)
        return demand

    def is_columnar(self, given: Given) -> bool:
        """The ports of one address are all that differs between allocations, so that a plan can hold them packed."""
        if given.cores or given.devices or any(request.task for request in self.ports):
            return False
        return len({address for address, _ in given.ports}) <= 1

    def resources_with(self, given: Given, core_mhz: float) -> AllocatedResources:
        """The resources with all that was given by name written out."""
        tasks = dict(self.resources.tasks or {})
        for name, task in tasks.items():
            cores = (given.cores or {}).get(name)
            if cores:
                cpu = AllocatedCpuResources(cpu_shares=math.floor(len(cores) * core_mhz), reserved_cores=cores)
                task = msgspec.structs.replace(task, cpu=cpu)
            devices = (given.devices or {}).get(name)
            networks = tuple(self._networks(given, name))
            tasks[name] = msgspec.structs.replace(task, devices=devices, networks=networks or None)
        shared = msgspec.structs.replace(
            self.resources.shared,
            networks=tuple(self._networks(given, "")) or None,
            ports=tuple(
                AllocatedPortMapping(
                    label=request.label,
                    value=port,
                    to=request.to,
                    host_ip=address,
                    ignore_collision=request.ignore_collision,
                )
                for request, (address, port) in zip(self.ports, given.ports, strict=True)
                if not request.task
            )
            or None,
        )
        return msgspec.structs.replace(self.resources, tasks=tasks, shared=shared)

    def _networks(self, given: Given, task_name: str) -> list[NetworkResource]:
        asked = _networks_of(self.group, task_name)
        values = {
            request.label: place
            for request, place in zip(self.ports, given.ports, strict=True)
            if request.task == task_name
        }
        out = []
        for network in asked:
            labels = [port.label for port in (*(network.reserved_ports or ()), *(network.dynamic_ports or ()))]
            ip = next((values[label][0] for label in labels if label in values), "")
            out.append(
                msgspec.structs.replace(
                    network,
                    ip=ip,
                    reserved_ports=_with_values(network.reserved_ports, values),
                    dynamic_ports=_with_values(network.dynamic_ports, values),
                )
            )
        return out


def _with_values(ports: tuple[Port, ...] | None, values: dict[str, tuple[str, int]]) -> tuple[Port, ...] | None:
    if ports is None:
        return None
    return tuple(msgspec.structs.replace(port, value=values[port.label][1]) for port in ports)


def _networks_of(group: TaskGroup, task_name: str) -> tuple[NetworkResource, ...]:
    if not task_name:
        return group.networks or ()
    task = next(task for task in group.tasks or () if task.name == task_name)
    return (task.resources.networks if task.resources else None) or ()


def _port_requests(group: TaskGroup) -> list[PortRequest]:
    """The group's ports first, fixed before dynamic, then those of each task."""
    found = []
    for task_name in ("", *(task.name for task in group.tasks or ())):
        for network in _networks_of(group, task_name):
            for port, fixed in (
                *((port, True) for port in network.reserved_ports or ()),
                *((port, False) for port in network.dynamic_ports or ()),
            ):
                value = port.value if fixed else 0
                name = port.host_network or "default"
                found.append(PortRequest(port.label, value, port.to, name, port.ignore_collision, task_name))
    return found


def _cores(task: Task) -> int:
    return task.resources.cores if task.resources else 0


def _plain_resources(group: TaskGroup, oversubscribe_memory: bool) -> AllocatedResources:
    """What every allocation of the group gets; fixed ports are in it, dynamic ones are 0."""
    tasks: dict[str, AllocatedTaskResources] = {}
    lifecycles: dict[str, TaskLifecycleConfig | None] = {}
    for task in group.tasks or ():
        asked = task.resources
        if asked is None:
            tasks[task.name] = AllocatedTaskResources()
        else:
            memory_max = asked.memory_max_mb if oversubscribe_memory else 0
            tasks[task.name] = AllocatedTaskResources(
                cpu=AllocatedCpuResources(cpu_shares=asked.cpu),
                memory=AllocatedMemoryResources(memory_mb=asked.memory_mb, memory_max_mb=memory_max),
            )
        # Nomad lists every task here, those without a lifecycle as null.
        lifecycles[task.name] = task.lifecycle
    mappings = tuple(
        AllocatedPortMapping(label=one.label, value=one.port, to=one.to, ignore_collision=one.ignore_collision)
        for one in _port_requests(group)
        if not one.task
    )
    disk = group.ephemeral_disk.size_mb if group.ephemeral_disk else 0
    shared = AllocatedSharedResources(networks=group.networks, disk_mb=disk, ports=mappings or None)
    return AllocatedResources(tasks=tasks, task_lifecycles=lifecycles, shared=shared)
