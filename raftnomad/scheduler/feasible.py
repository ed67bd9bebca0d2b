"""Which nodes may run a task group, room apart, and for each of the others the first reason why it may not.

Everything is decided for the distinct values of a column and then looked up, so that the cost does not grow with the
nodes. The order of the checks is Nomad's, since only the first reason is reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from raftnomad.fsm.node_columns import BoolColumn, Column, NodeColumns
from raftnomad.fsm.node_facts import DeviceFacts
from raftnomad.model.job import Job, TaskGroup
from raftnomad.model.resources import Affinity, Constraint, RequestedDevice, Spread
from raftnomad.scheduler.operands import DISTINCT_HOSTS, DISTINCT_PROPERTY, holds

_TARGET = re.compile(r"\$\{([^}]*)\}")
_DISTINCT = (DISTINCT_HOSTS, DISTINCT_PROPERTY)


class Feasibility:
    """`mask[slot]`: may run here. `reason[slot]`: position in `reasons` of the first check that failed, else -1.

    `by_class[slot]`: what the checks that nodes of one class share have said; blocked evaluations wait by class.
    """

    def __init__(self, nodes: NodeColumns, start: BoolColumn) -> None:
        self.mask = start.copy()
        self.by_class = start
        self.reasons: list[str] = []
        self.reason = np.full(nodes.slots, -1, np.int32)

    def require(self, allowed: BoolColumn, reason: str) -> None:
        failed = self.mask & ~allowed
        if failed.any():
            self.reason[failed] = len(self.reasons)
            self.reasons.append(reason)
            self.mask &= allowed


def feasible(nodes: NodeColumns, start: BoolColumn, job: Job, group: TaskGroup) -> Feasibility:
    """`start` are the nodes to look at."""
    found = Feasibility(nodes, start)
    for constraint in job.constraints or ():
        _require_constraint(nodes, found, constraint)
    drivers = np.ones(nodes.slots, np.bool_)
    for driver in sorted({task.driver for task in group.tasks or ()}):
        drivers &= nodes.column(f"driver/{driver}").codes >= 0
    found.require(drivers, "missing drivers")
    for constraint in group_constraints(group):
        _require_constraint(nodes, found, constraint)
    requested = [device for task in group.tasks or () for device in (task.resources and task.resources.devices) or ()]
    if requested:
        found.require(_has_devices(nodes, found.mask, requested), "missing devices")
    _require_network(nodes, found, group)
    found.by_class = found.mask.copy()
    _require_volumes(nodes, found, group)
    return found


def group_constraints(group: TaskGroup) -> Iterator[Constraint]:
    yield from group.constraints or ()
    for task in group.tasks or ():
        yield from task.constraints or ()


def candidates(nodes: NodeColumns, job: Job) -> BoolColumn:
    """Nodes in the job's datacenters and pool, ready or not."""
    patterns = [glob(pattern) for pattern in job.datacenters or ("*",)]
    mask = matching(nodes.column("node.datacenter"), lambda value: any(p.fullmatch(value) for p in patterns))
    pool = job.node_pool or "default"
    if pool != "all":
        mask &= matching(nodes.column("node.pool"), lambda value: value == pool)
    return mask


def glob(pattern: str) -> re.Pattern[str]:
    """`*` stands for any text; nothing else is special."""
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)


def matching(column: Column, predicate: Callable[[str], bool], missing: bool = False) -> BoolColumn:
    """Per slot; `missing` is the answer for a node without a value."""
    answers = np.fromiter((*map(predicate, column.values), missing), np.bool_, len(column.values) + 1)
    found: BoolColumn = answers[column.codes]
    return found


def constraint_mask(nodes: NodeColumns, constraint: Constraint | Affinity) -> BoolColumn:
    left, right = operand_column(nodes, constraint.l_target), operand_column(nodes, constraint.r_target)
    operand = constraint.operand or "="
    if isinstance(left, Column) and isinstance(right, Column):
        rights: list[str | None] = [*right.values, None]
        table = np.array([[holds(operand, a, b) for b in rights] for a in (*left.values, None)], np.bool_)
        return np.asarray(table[left.codes, right.codes], np.bool_)
    if isinstance(left, Column):
        fixed = right if not isinstance(right, Column) else None
        return matching(left, lambda value: holds(operand, value, fixed), holds(operand, None, fixed))
    if isinstance(right, Column):
        return matching(right, lambda value: holds(operand, left, value), holds(operand, left, None))
    return np.full(nodes.slots, holds(operand, left, right), np.bool_)


def operand_column(nodes: NodeColumns, target: str) -> Column | str | None:
    """The column that `${...}` names, or the text itself."""
    if "${" not in target:
        return target
    match = _TARGET.fullmatch(target)
    return nodes.column(match[1]) if match else None


def property_column(nodes: NodeColumns, target: str) -> Column:
    """The column of a spread or a distinct property; a target that names nothing has no values."""
    match = _TARGET.fullmatch(target)
    return nodes.column(match[1] if match else target)


def escapes_class(job: Job, group: TaskGroup) -> bool:
    """A constraint looks at what is different on each node of a class."""
    named: list[Constraint | Affinity | Spread] = [*(job.constraints or ()), *group_constraints(group)]
    targets = (target for one in named for target in (one.l_target, one.r_target))  # type: ignore[union-attr]
    if any("unique." in target for target in targets):
        return True
    return any(volume.type == "csi" for volume in (group.volumes or {}).values())


def _require_constraint(nodes: NodeColumns, found: Feasibility, constraint: Constraint) -> None:
    if constraint.operand not in _DISTINCT and found.mask.any():
        found.require(constraint_mask(nodes, constraint), constraint_text(constraint))


def constraint_text(constraint: Constraint) -> str:
    return f"{constraint.l_target} {constraint.operand or '='} {constraint.r_target}"


def _require_network(nodes: NodeColumns, found: Feasibility, group: TaskGroup) -> None:
    for network in group.networks or ():
        mode = network.mode or "host"
        if mode not in ("host", "none"):
            found.require(nodes.column(f"mode/{mode}").codes >= 0, "missing network")
        for port in (*(network.reserved_ports or ()), *(network.dynamic_ports or ())):
            name = port.host_network or "default"
            if name != "default":
                reason = f'missing host network "{name}" for port "{port.label}"'
                found.require(nodes.column(f"network/{name}").codes >= 0, reason)


def _require_volumes(nodes: NodeColumns, found: Feasibility, group: TaskGroup) -> None:
    volumes = [volume for _, volume in sorted((group.volumes or {}).items())]
    allowed = np.ones(nodes.slots, np.bool_)
    for volume in volumes:
        if volume.type in ("", "host") and not volume.per_alloc:
            allowed &= volume_mask(nodes, volume.source, volume.read_only)
    found.require(allowed, "missing compatible host volumes")
    missing = [volume.source for volume in volumes if volume.type == "csi"]
    if missing:
        found.require(np.zeros(nodes.slots, np.bool_), f"missing CSI volume(s) {', '.join(missing)}")


def volume_mask(nodes: NodeColumns, source: str, read_only: bool) -> BoolColumn:
    return matching(nodes.column(f"volume/{source}"), lambda access: read_only or access == "rw")


def _has_devices(nodes: NodeColumns, among: BoolColumn, requested: Iterable[RequestedDevice]) -> BoolColumn:
    requested = list(requested)
    found = np.zeros(nodes.slots, np.bool_)
    for slot in np.flatnonzero(among):
        facts = nodes.facts[slot]
        left = {device.key: len(device.healthy_ids) for device in facts.devices} if facts else {}
        found[slot] = facts is not None and all(_takes(facts.devices, left, one) for one in requested)
    return found


def _takes(devices: Iterable[DeviceFacts], left: dict[str, int], requested: RequestedDevice) -> bool:
    for device in devices:
        if left[device.key] >= (requested.count or 1) and device_matches(device, requested):
            left[device.key] -= requested.count or 1
            return True
    return False


def device_matches(device: DeviceFacts, requested: RequestedDevice) -> bool:
    """A request names a type, a vendor and a type, or a vendor, a type and a name."""
    match requested.name.split("/", 2):
        case [type_]:
            named = type_ == device.type
        case [vendor, type_]:
            named = (vendor, type_) == (device.vendor, device.type)
        case [vendor, type_, name]:
            named = (vendor, type_, name) == (device.vendor, device.type, device.name)
        case _:
            named = False
    return named and all(
        holds(one.operand or "=", _device_value(device, one.l_target), _device_value(device, one.r_target))
        for one in requested.constraints or ()
    )


def _device_value(device: DeviceFacts, target: str) -> str | None:
    match = _TARGET.fullmatch(target)
    if match is None:
        return target
    fields = {"device.model": device.name, "device.vendor": device.vendor, "device.type": device.type}
    fields["device.ids"] = ",".join(device.healthy_ids)
    if match[1].startswith("device.attr."):
        return device.attributes.get(match[1].removeprefix("device.attr."))
    return fields.get(match[1])
