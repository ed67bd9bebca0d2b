"""The columnar node table: totals and use per node, kept up to date as the log is applied.

Nobody re-sums a node's allocations: the leader checks plans against it and the scheduler places from it. An
allocation uses its node until its client has said that it ended (or it is lost): one that was told to stop still
holds its memory and ports.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raftnomad.fsm.node_columns import CORES, CPU, DIMENSIONS, DISK, MEMORY, Held, NodeColumns, SlotDelta, TableDelta
from raftnomad.fsm.node_facts import facts_of, parse_ports
from raftnomad.model.allocation import Allocation
from raftnomad.model.node import Node
from raftnomad.model.resources import AllocatedResources
from raftnomad.model.status import TERMINAL_CLIENT_STATUSES, Eligibility, NodeStatus


class NodeTable(NodeColumns):
    """One slot a node; a node that leaves frees its slot, and the lowest free slot is taken first."""

    def __init__(self, slots: int = 64) -> None:
        super().__init__(slots)
        self._free = list(range(slots))
        self.version = 0
        """Counts changes of facts and held names; `delta_since` says what another copy misses."""
        self._facts_version: NDArray[np.int64] = np.zeros(slots, np.int64)
        self._held_version: NDArray[np.int64] = np.zeros(slots, np.int64)
        self._absent: dict[str, NodeUse] = {}
        """Use of nodes that are not there (yet): rows may be restored in any order, and a node may return."""
        self._last_read: tuple[AllocatedResources | None, Needs] | None = None

    def upsert_node(self, node: Node) -> None:
        slot = self.slot_of.get(node.id)
        is_new = slot is None
        if slot is None:
            if not self._free:
                self._make_room()
            slot = heapq.heappop(self._free)
        facts = facts_of(node)
        if facts != self.facts[slot]:
            self.set_facts(slot, facts)
            self.version += 1
            self._facts_version[slot] = self.version
        self.total[slot] = room_of(node)
        self.ready[slot] = is_ready(node)
        if is_new and (use := self._absent.pop(node.id, None)) is not None:
            self.used[slot], self.alloc_count[slot] = use.used, use.count
            self._set_held(slot, use.held)

    def remove_node(self, node_id: str) -> None:
        slot = self.slot_of.get(node_id)
        if slot is None:
            return
        if self.alloc_count[slot]:
            use = self._absent[node_id] = NodeUse()
            use.used, use.count, use.held = self.used[slot].copy(), int(self.alloc_count[slot]), self.held[slot]
        self.set_facts(slot, None)
        self.total[slot] = self.used[slot] = 0
        self.ready[slot] = False
        self.alloc_count[slot] = 0
        self.held[slot] = None
        self.version += 1
        self._facts_version[slot] = self._held_version[slot] = self.version
        heapq.heappush(self._free, slot)

    def add_allocation(self, alloc: Allocation) -> None:
        self._count(alloc, 1)

    def remove_allocation(self, alloc: Allocation) -> None:
        """Take back what `add_allocation` was given; the row may be newer, its resources must be the same."""
        self._count(alloc, -1)

    def is_ready(self, node_id: str) -> bool:
        slot = self.slot_of.get(node_id)
        return slot is not None and bool(self.ready[slot])

    def fits(self, node_id: str, resources: AllocatedResources | None) -> str:
        """Empty, or the first dimension that is exhausted, in Nomad's words; a node that is gone has no `cpu`."""
        slot = self.slot_of.get(node_id)
        if slot is None:
            return DIMENSIONS[CPU]
        needs = self._needs(resources)
        over = self.used[slot] + needs.demand > self.total[slot]
        if over.any():
            return DIMENSIONS[int(over.argmax())]
        if self.alloc_count[slot] >= self.max_allocs[slot]:
            return "max allocation exceeded"
        if not needs.has_names:
            return ""
        facts = self.facts[slot]
        assert facts is not None
        return collision(self.held[slot], facts.reserved_ports, resources)

    def columns(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Copies of total, used and ready as they are now: microseconds for thousands of nodes."""
        return self.total.copy(), self.used.copy(), self.ready.copy()

    def delta_since(self, version: int) -> TableDelta:
        """What a copy at `version` has to absorb; version 0 is an empty copy."""
        facts_changed = self._facts_version > version
        held_changed = self._held_version > version
        changed = tuple(
            SlotDelta(
                int(slot),
                bool(facts_changed[slot]),
                self.facts[slot] if facts_changed[slot] else None,
                bool(held_changed[slot]),
                self.held[slot] if held_changed[slot] else None,
            )
            for slot in np.flatnonzero(facts_changed | held_changed)
        )
        return TableDelta(self.version, self.slots, changed)

    def check(self, nodes: Iterable[Node], allocations: Iterable[Allocation]) -> list[str]:
        """Rebuild from the rows and compare: what differs, in words. For tests and the simulation."""
        fresh = NodeTable(self.slots)
        for node in nodes:
            fresh.upsert_node(node)
        for alloc in allocations:
            if uses_node(alloc):
                fresh.add_allocation(alloc)
        return list(_differences(self, fresh))

    def _count(self, alloc: Allocation, sign: int) -> None:
        resources = alloc.allocated_resources
        needs = self._needs(resources)
        slot = self.slot_of.get(alloc.node_id)
        if slot is None:
            use = self._absent.setdefault(alloc.node_id, NodeUse())
            use.used += sign * needs.demand
            use.count += sign
            use.held = hold(use.held, resources, sign)
            if use.count == 0:
                del self._absent[alloc.node_id]
            return
        if sign > 0:
            self.used[slot] += needs.demand
        else:
            self.used[slot] -= needs.demand
        self.alloc_count[slot] += sign
        if needs.has_names:
            self._set_held(slot, hold(self.held[slot], resources, sign))

    def _needs(self, resources: AllocatedResources | None) -> Needs:
        """The allocations of a plan share one object, one after the other: it is read once."""
        last = self._last_read
        if last is None or last[0] is not resources:
            last = self._last_read = (resources, Needs(demand_of(resources), holds_names(resources)))
        return last[1]

    def _set_held(self, slot: int, held: Held | None) -> None:
        self.held[slot] = held
        self.version += 1
        self._held_version[slot] = self.version

    def _make_room(self) -> None:
        before = self.slots
        self.grow(2 * before)
        for name in ("_facts_version", "_held_version"):
            setattr(self, name, np.concatenate((getattr(self, name), np.zeros(before, np.int64))))
        self._free.extend(range(before, 2 * before))


class Needs(NamedTuple):
    demand: NDArray[np.float64]
    has_names: bool


class NodeUse:
    """What allocations use of a node that has no slot."""

    def __init__(self) -> None:
        self.used: NDArray[np.float64] = np.zeros(4)
        self.count = 0
        self.held: Held | None = None


def uses_node(alloc: Allocation) -> bool:
    return bool(alloc.node_id) and alloc.client_status not in TERMINAL_CLIENT_STATUSES


def is_ready(node: Node) -> bool:
    return (
        node.status == NodeStatus.READY
        and node.drain_strategy is None
        and node.scheduling_eligibility != Eligibility.INELIGIBLE
    )


def room_of(node: Node) -> NDArray[np.float64]:
    """What a node has for allocations: its resources without what is reserved for its own use."""
    resources, reserved = node.node_resources, node.reserved_resources
    if resources is None:
        return np.zeros(4)
    room = np.zeros(4)
    room[CPU] = resources.cpu.cpu_shares
    room[MEMORY] = resources.memory.memory_mb
    room[DISK] = resources.disk.disk_mb
    room[CORES] = len(resources.cpu.reservable_cpu_cores or ())
    if reserved is not None:
        room -= (
            reserved.cpu.cpu_shares,
            reserved.memory.memory_mb,
            reserved.disk.disk_mb,
            len(frozenset(reserved.cpu.reserved_cpu_cores or ()) & frozenset(resources.cpu.reservable_cpu_cores or ())),
        )
    return np.maximum(room, 0)


def demand_of(resources: AllocatedResources | None) -> NDArray[np.float64]:
    """(cpu MHz, memory MiB, disk MiB, cores) of an allocation at its fullest: tasks that run before and after the
    main tasks share their room with them, sidecars run beside all."""
    if resources is None:
        return np.zeros(4)
    lifecycles = resources.task_lifecycles or {}
    main, before, after, beside = [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]
    for name, task in (resources.tasks or {}).items():
        lifecycle = lifecycles.get(name)
        if lifecycle is None or lifecycle.hook == "poststart":
            phase = main
        elif lifecycle.hook == "poststop":
            phase = after
        else:
            phase = beside if lifecycle.sidecar else before
        phase[0] += task.cpu.cpu_shares
        phase[1] += task.memory.memory_mb
        phase[2] += len(task.cpu.reserved_cores or ())
    cpu, memory, cores = (max(main[i], before[i], after[i]) + beside[i] for i in range(3))
    return np.array((cpu, memory, resources.shared.disk_mb, cores), np.float64)


def holds_names(resources: AllocatedResources | None) -> bool:
    return next(held_names(resources), None) is not None


def hold(held: Held | None, resources: AllocatedResources | None, sign: int) -> Held | None:
    """Count (or, with sign -1, discount) what the resources hold by name; None when nothing is held."""
    for kind, name in held_names(resources):
        held = {} if held is None else held
        counts = held.setdefault(kind, {})
        count = counts.get(name, 0) + sign
        if count > 0:
            counts[name] = count
            continue
        counts.pop(name, None)
        if not counts:
            del held[kind]
    return held or None


def held_names(resources: AllocatedResources | None) -> Iterator[tuple[str, int | str]]:
    """Ports by address, core ids and device ids that an allocation keeps others from."""
    if resources is None:
        return
    shared = resources.shared
    if shared.ports is not None:
        for port in shared.ports:
            if port.value > 0 and not port.ignore_collision:
                yield port.host_ip, port.value
    networks = [] if shared.ports is not None else list(shared.networks or ())
    for task in (resources.tasks or {}).values():
        networks.extend(task.networks or ())
        for core in task.cpu.reserved_cores or ():
            yield "cores", core
        for device in task.devices or ():
            for instance in device.device_ids or ():
                yield f"device {device.vendor}/{device.type}/{device.name}", instance
    for network in networks:
        for labelled in (*(network.reserved_ports or ()), *(network.dynamic_ports or ())):
            if labelled.value > 0 and not labelled.ignore_collision:
                yield network.ip, labelled.value


def collision(held: Held | None, reserved_ports: str, resources: AllocatedResources | None) -> str:
    """Empty, or what is taken already of the names that the resources need."""
    reserved = parse_ports(reserved_ports)
    seen: set[tuple[str, int | str]] = set()
    for kind, name in held_names(resources):
        taken = (held is not None and name in held.get(kind, ())) or (kind, name) in seen
        seen.add((kind, name))
        if kind == "cores":
            if taken:
                return "cores"
        elif kind.startswith("device "):
            if taken:
                return "devices"
        elif taken or name in reserved:
            return "network: port collision"
    return ""


def _differences(table: NodeTable, fresh: NodeTable) -> Iterator[str]:
    for node_id in sorted(table.slot_of.keys() | fresh.slot_of.keys()):
        slot, other = table.slot_of.get(node_id), fresh.slot_of.get(node_id)
        if slot is None or other is None:
            yield f"node {node_id} is {'missing' if slot is None else 'left over'}"
            continue
        for name in ("total", "used", "ready", "alloc_count"):
            ours, theirs = getattr(table, name)[slot], getattr(fresh, name)[other]
            if not np.array_equal(ours, theirs):
                yield f"node {node_id}: {name} is {ours}, not {theirs}"
        for name in ("facts", "held"):
            if getattr(table, name)[slot] != getattr(fresh, name)[other]:
                yield f"node {node_id}: {name} differ"
