"""What placement reads of a node, apart from room: its names, attributes, drivers, volumes, addresses and devices.

It stands alone because it travels: the scheduler process keeps a copy that is brought up to date node by node.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache

import msgspec

from raftnomad.model.node import Node

DYNAMIC_PORT_MIN = 20000
DYNAMIC_PORT_MAX = 32000


class DeviceFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    vendor: str
    type: str
    name: str
    healthy_ids: tuple[str, ...]
    attributes: dict[str, str]

    @property
    def key(self) -> str:
        return f"{self.vendor}/{self.type}/{self.name}"


class NodeFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`addresses` holds (host network, address) pairs in the node's order; `reserved_ports` is Nomad's text of ports
    and ranges; volumes map a name to whether it may only be read."""

    id: str
    name: str
    datacenter: str
    node_class: str
    node_pool: str
    computed_class: str
    attributes: dict[str, str]
    meta: dict[str, str]
    drivers: tuple[str, ...]
    host_volumes: dict[str, bool]
    addresses: tuple[tuple[str, str], ...]
    network_modes: tuple[str, ...]
    reserved_ports: str
    dynamic_port_min: int
    dynamic_port_max: int
    core_ids: tuple[int, ...]
    devices: tuple[DeviceFacts, ...]
    max_allocs: int


def facts_of(node: Node) -> NodeFacts:
    resources = node.node_resources
    reserved = node.reserved_resources
    reserved_cores = frozenset((reserved.cpu.reserved_cpu_cores or ()) if reserved else ())
    addresses, modes, address_ports = _networks(node)
    reserved_ports = ",".join(filter(None, (reserved.networks.reserved_host_ports if reserved else "", address_ports)))
    return NodeFacts(
        id=node.id,
        name=node.name,
        datacenter=node.datacenter,
        node_class=node.node_class,
        node_pool=node.node_pool or "default",
        computed_class=node.computed_class or computed_class(node),
        attributes=node.attributes or {},
        meta=node.meta or {},
        drivers=tuple(_usable_drivers(node)),
        host_volumes={name: volume.read_only for name, volume in (node.host_volumes or {}).items()},
        addresses=addresses,
        network_modes=modes,
        reserved_ports=reserved_ports,
        dynamic_port_min=(resources.min_dynamic_port if resources else 0) or DYNAMIC_PORT_MIN,
        dynamic_port_max=(resources.max_dynamic_port if resources else 0) or DYNAMIC_PORT_MAX,
        core_ids=tuple(
            core
            for core in ((resources.cpu.reservable_cpu_cores or ()) if resources else ())
            if core not in reserved_cores
        ),
        devices=tuple(_devices(node)),
        max_allocs=node.node_max_allocs,
    )


def _usable_drivers(node: Node) -> Iterator[str]:
    known = node.drivers or {}
    yield from (name for name, driver in known.items() if driver.detected and driver.healthy)
    for attribute, value in (node.attributes or {}).items():
        name = attribute.removeprefix("driver.")
        if name != attribute and "." not in name and name not in known and value.lower() in ("1", "t", "true"):
            yield name


def _networks(node: Node) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...], str]:
    """Addresses by host network, the network modes there are, and the ports reserved on single addresses."""
    if node.node_resources is None:
        return (), (), ""
    addresses: list[tuple[str, str]] = []
    ports: list[str] = []
    modes: dict[str, None] = {}
    for network in node.node_resources.node_networks or ():
        modes[network.mode or "host"] = None
        for address in network.addresses or ():
            addresses.append((address.alias or "default", address.address))
            ports.append(address.reserved_ports)
    for legacy in node.node_resources.networks or ():
        modes[legacy.mode or "host"] = None
        if legacy.ip and not any(legacy.ip == address for _, address in addresses):
            addresses.append(("default", legacy.ip))
    return tuple(addresses), tuple(modes), ",".join(filter(None, ports))


def _devices(node: Node) -> Iterator[DeviceFacts]:
    for device in (node.node_resources.devices if node.node_resources else None) or ():
        healthy = tuple(str(one.get("ID", "")) for one in device.instances or () if one.get("Healthy"))
        attributes = {name: _attribute_text(value) for name, value in (device.attributes or {}).items()}
        yield DeviceFacts(device.vendor, device.type, device.name, healthy, attributes)


def _attribute_text(value: object) -> str:
    """A device's attribute is one of several typed fields with, perhaps, a unit."""
    if not isinstance(value, dict):
        return str(value)
    for field in ("String", "Int", "Float", "Bool"):
        if value.get(field) is not None:
            held = value[field]
            text = ("true" if held else "false") if isinstance(held, bool) else str(held)
            return text + str(value.get("Unit") or "")
    return ""


def read(facts: NodeFacts, key: str) -> str | None:
    """The value that a node has for a key, None when it has none.

    Keys are what stands inside `${...}` (`attr.kernel.name`, `meta.rack`, `node.class`), and the scheduler's own:
    `driver/NAME`, `volume/NAME` (`rw` or `ro`), `network/HOST NETWORK`, `mode/NETWORK MODE`, `class`.
    """
    kind, _, name = key.partition("/")
    match kind:
        case "driver":
            return "1" if name in facts.drivers else None
        case "volume":
            read_only = facts.host_volumes.get(name)
            return None if read_only is None else "ro" if read_only else "rw"
        case "network":
            return "1" if any(alias == name for alias, _ in facts.addresses) else None
        case "mode":
            return "1" if name in facts.network_modes else None
        case "class":
            return facts.computed_class
    if key.startswith("attr."):
        return facts.attributes.get(key[5:])
    if key.startswith("meta."):
        return facts.meta.get(key[5:])
    field = _NODE_KEYS.get(key)
    return None if field is None else getattr(facts, field)


_NODE_KEYS = {
    "node.unique.id": "id",
    "node.unique.name": "name",
    "node.datacenter": "datacenter",
    "node.class": "node_class",
    "node.pool": "node_pool",
}


def computed_class(node: Node) -> str:
    """The class of nodes that no constraint can tell apart, but for constraints on `unique.` names."""
    parts = [node.datacenter, node.node_class, node.node_pool]
    for table in (node.attributes or {}, node.meta or {}):
        parts.extend(f"{name}={table[name]}" for name in sorted(table) if not name.startswith("unique."))
        parts.append("")
    parts.extend(sorted(_usable_drivers(node)))
    parts.extend(device.key for device in _devices(node))
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
    return f"v1:{int.from_bytes(digest, 'big')}"


@lru_cache(maxsize=1024)
def parse_ports(text: str) -> frozenset[int]:
    """The ports of Nomad's notation, `22,80,8500-8600`; what is no port is left out."""
    ports: set[int] = set()
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        if low.isdecimal() and (not high or high.isdecimal()):
            ports.update(range(int(low), min(int(high or low), 65535) + 1))
    return frozenset(ports)
