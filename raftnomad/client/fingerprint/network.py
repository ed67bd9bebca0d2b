"""The network that tasks' ports are on: one interface and its addresses."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from raftnomad.model.node import NodeNetworkAddress, NodeNetworkResource
from raftnomad.model.resources import NetworkResource

LOOPBACK = "lo"
_SPEED_WHEN_UNKNOWN = 1000


@dataclass(frozen=True, kw_only=True)
class Network:
    device: str
    mac_address: str
    mbits: int
    addresses: tuple[str, ...]
    """The IPv4 ones first."""

    @property
    def address(self) -> str:
        return self.addresses[0] if self.addresses else ""


def measure(interface: str) -> Network:
    """The named interface, else the one of the default route, else loopback."""
    found = psutil.net_if_addrs()
    device = interface or _default_interface()
    device = device if device in found else LOOPBACK
    addresses = found.get(device, [])
    ordinary = [a.address for a in addresses if a.family == socket.AF_INET]
    ordinary += [
        a.address.partition("%")[0]
        for a in addresses
        if a.family == socket.AF_INET6 and not a.address.startswith("fe80")
    ]
    mac = next((a.address for a in addresses if a.family == psutil.AF_LINK), "")
    stats = psutil.net_if_stats().get(device)
    return Network(
        device=device,
        mac_address="" if device == LOOPBACK else mac,
        mbits=(stats.speed if stats is not None else 0) or _SPEED_WHEN_UNKNOWN,
        addresses=tuple(ordinary),
    )


def attributes(network: Network) -> dict[str, str]:
    return {"unique.network.ip-address": network.address} if network.address else {}


def node_networks(network: Network) -> tuple[NodeNetworkResource, ...]:
    addresses = tuple(
        NodeNetworkAddress(family="ipv6" if ":" in address else "ipv4", alias="default", address=address)
        for address in network.addresses
    )
    return (
        NodeNetworkResource(
            mode="host",
            device=network.device,
            mac_address=network.mac_address,
            speed=network.mbits,
            addresses=addresses,
        ),
    )


def networks(network: Network) -> tuple[NetworkResource, ...]:
    """The older form of the same."""
    return tuple(
        NetworkResource(
            mode="host",
            device=network.device,
            cidr=f"{address}/{128 if ':' in address else 32}",
            ip=address,
            mbits=network.mbits,
        )
        for address in network.addresses
    )


def _default_interface() -> str:
    """The interface of the route to 0.0.0.0; "" without one."""
    try:
        lines = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:
        return ""
    return next((line.split()[0] for line in lines if line.split()[1] == "00000000"), "")
