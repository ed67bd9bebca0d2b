"""What is left of each node while one evaluation is being placed: a copy that the evaluation may spend."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from raftnomad.fsm.node_columns import FloatColumns, Held, NodeColumns
from raftnomad.fsm.node_facts import NodeFacts, parse_ports
from raftnomad.model.resources import AllocatedDeviceResource
from raftnomad.scheduler.ask import Ask, Given, PortRequest
from raftnomad.scheduler.chance import Chance
from raftnomad.scheduler.feasible import device_matches
from raftnomad.scheduler.input import AllocView


class Room:
    """`used[slot, resource]` and what is held by name; nodes' names are copied when they are first touched."""

    def __init__(self, nodes: NodeColumns, chance: Chance) -> None:
        self.nodes = nodes
        self.used: FloatColumns = nodes.used.copy()
        self.alloc_count = nodes.alloc_count.astype(np.int64)
        self._chance = chance
        self._held: dict[int, Held] = {}

    def free(self, alloc: AllocView) -> None:
        """The plan stops it: its replacement may take its place."""
        self._count(alloc, -1)

    def occupy(self, alloc: AllocView) -> None:
        """Take `free` back."""
        self._count(alloc, 1)

    def _count(self, alloc: AllocView, sign: int) -> None:
        slot = self.nodes.slot_of.get(alloc.node_id)
        if slot is None or not alloc.uses_node:
            return
        self.used[slot] += np.multiply(sign, alloc.demand)
        self.alloc_count[slot] += sign
        for kind, name in alloc.held:
            counts = self.held(slot).setdefault(kind, {})
            counts[name] = counts.get(name, 0) + sign
            if counts[name] <= 0:
                del counts[name]

    def held(self, slot: int) -> Held:
        held = self._held.get(slot)
        if held is None:
            held = {kind: dict(counts) for kind, counts in (self.nodes.held[slot] or {}).items()}
            self._held[slot] = held
        return held

    def limits(self) -> FloatColumns:
        """How many more allocations each node takes by its own limit; infinite without one."""
        return self.nodes.max_allocs - self.alloc_count

    def limit_of(self, slot: int) -> float:
        return float(self.nodes.max_allocs[slot] - self.alloc_count[slot])

    def give(self, slot: int, ask: Ask) -> Given | str:
        """Ports, cores and devices on a node, taken at once; or the dimension that is exhausted."""
        facts = self.nodes.facts[slot]
        assert facts is not None
        held = self.held(slot)
        given = self._choose(facts, held, ask)
        if isinstance(given, str):
            return given
        for request, (address, port) in zip(ask.ports, given.ports, strict=True):
            if not request.ignore_collision:
                held.setdefault(address, {})[port] = 1
        for cores in (given.cores or {}).values():
            held.setdefault("cores", {}).update(dict.fromkeys(cores, 1))
        for devices in (given.devices or {}).values():
            for device in devices:
                kind = f"device {device.vendor}/{device.type}/{device.name}"
                held.setdefault(kind, {}).update(dict.fromkeys(device.device_ids or (), 1))
        return given

    def release(self, slot: int, ask: Ask, given: Given) -> None:
        """Take `give` back."""
        held = self.held(slot)
        for request, (address, port) in zip(ask.ports, given.ports, strict=False):
            if not request.ignore_collision:
                held.get(address, {}).pop(port, None)
        for cores in (given.cores or {}).values():
            for core in cores:
                held.get("cores", {}).pop(core, None)
        for devices in (given.devices or {}).values():
            for device in devices:
                for one in device.device_ids or ():
                    held.get(f"device {device.vendor}/{device.type}/{device.name}", {}).pop(one, None)

    def _choose(self, facts: NodeFacts, held: Held, ask: Ask) -> Given | str:
        ports: list[tuple[str, int]] = []
        taken: set[tuple[str, int]] = set()
        for request in ask.ports:
            place = self._port(facts, held, request, taken)
            if isinstance(place, str):
                return place
            ports.append(place)
            taken.add(place)
        cores = _choose_cores(facts, held, ask)
        if cores is None:
            return "cores"
        devices = _choose_devices(facts, held, ask)
        if isinstance(devices, str):
            return devices
        return Given(tuple(ports), cores or None, devices or None)

    def _port(
        self, facts: NodeFacts, held: Held, request: PortRequest, taken: set[tuple[str, int]]
    ) -> tuple[str, int] | str:
        """Ports collide on an address, not on a node: each address of the host network is tried."""
        reserved = parse_ports(facts.reserved_ports)
        for alias, address in facts.addresses:
            if alias != request.host_network:
                continue
            used = held.get(address, {})
            if not request.port:
                port = self._dynamic(facts, used, reserved, {port for at, port in taken if at == address})
                if port:
                    return address, port
            elif request.ignore_collision or not (
                request.port in used or request.port in reserved or (address, request.port) in taken
            ):
                return address, request.port
        if not request.port:
            return "network: dynamic port selection failed"
        return f"network: reserved port collision {request.label}={request.port}"

    def _dynamic(
        self, facts: NodeFacts, used: dict[int | str, int], reserved: frozenset[int], taken: Iterable[int]
    ) -> int:
        """A random start, so that a port is not given again as soon as it is free; then the next free one."""
        low, span = facts.dynamic_port_min, facts.dynamic_port_max - facts.dynamic_port_min + 1
        if span <= 0:
            return 0
        start = self._chance.number()
        for step in range(span):
            port = low + (start + step) % span
            if port not in used and port not in reserved and port not in taken:
                return port
        return 0


def _choose_cores(facts: NodeFacts, held: Held, ask: Ask) -> dict[str, tuple[int, ...]] | None:
    free = [core for core in facts.core_ids if core not in held.get("cores", ())]
    chosen: dict[str, tuple[int, ...]] = {}
    for task, count in ask.cores.items():
        if len(free) < count:
            return None
        chosen[task], free = tuple(free[:count]), free[count:]
    return chosen


def _choose_devices(facts: NodeFacts, held: Held, ask: Ask) -> dict[str, tuple[AllocatedDeviceResource, ...]] | str:
    chosen: dict[str, tuple[AllocatedDeviceResource, ...]] = {}
    taken: dict[str, list[str]] = {}
    for task, requests in ask.devices.items():
        for request in requests:
            count = request.count or 1
            for device in facts.devices:
                in_use = held.get(f"device {device.key}", ())
                mine = taken.setdefault(device.key, [])
                free = [one for one in device.healthy_ids if one not in in_use and one not in mine]
                if len(free) >= count and device_matches(device, request):
                    mine.extend(free[:count])
                    allocated = AllocatedDeviceResource(
                        vendor=device.vendor, type=device.type, name=device.name, device_ids=tuple(free[:count])
                    )
                    chosen[task] = (*chosen.get(task, ()), allocated)
                    break
            else:
                return f"devices: no devices match request {request.name}"
    return chosen
