"""The networks that tasks' ports are on: one interface and its addresses, and those that the configuration names."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from raftnomad.errors import ConfigurationError
from raftnomad.model.node import ClientHostNetworkConfig, NodeNetworkAddress, NodeNetworkResource
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


HostNetworks = Mapping[str, ClientHostNetworkConfig]
"""Networks that the configuration names, by an address range, an interface or both."""


def measure(interface: str) -> Network:
    """The named interface, else the one of the default route, else loopback."""
    found = psutil.net_if_addrs()
    device = interface or _default_interface()
    return _measure(device if device in found else LOOPBACK)


def measure_others(default: Network, host_networks: HostNetworks) -> tuple[Network, ...]:
    """The other interfaces on which there is a configured network."""
    devices = [device for device in psutil.net_if_addrs() if device != default.device] if host_networks else []
    networks = [_measure(device) for device in devices]
    return tuple(n for n in networks if any(_aliases(n.device, a, host_networks) for a in n.addresses))


def _measure(device: str) -> Network:
    addresses = psutil.net_if_addrs().get(device, [])
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


def node_networks(
    default: Network, others: tuple[Network, ...], host_networks: HostNetworks
) -> tuple[NodeNetworkResource, ...]:
    """An address is there once for each network that it belongs to, so that a port may ask for either."""
    return tuple(
        NodeNetworkResource(
            mode="host",
            device=network.device,
            mac_address=network.mac_address,
            speed=network.mbits,
            addresses=_addresses(network, network is default, host_networks),
        )
        for network in (default, *others)
    )


def _addresses(network: Network, is_default: bool, host_networks: HostNetworks) -> tuple[NodeNetworkAddress, ...]:
    found = []
    for address in network.addresses:
        family = "ipv6" if ":" in address else "ipv4"
        for alias in _aliases(network.device, address, host_networks):
            ports = host_networks[alias].reserved_ports
            found.append(NodeNetworkAddress(family=family, alias=alias, address=address, reserved_ports=ports))
        if is_default:
            found.append(NodeNetworkAddress(family=family, alias="default", address=address))
    return tuple(found)


def _aliases(device: str, address: str, host_networks: HostNetworks) -> list[str]:
    return [name for name, wanted in host_networks.items() if _is_on(wanted, name, device, address)]


def _is_on(wanted: ClientHostNetworkConfig, name: str, device: str, address: str) -> bool:
    if wanted.interface and wanted.interface != device:
        return False
    if not wanted.cidr:
        return bool(wanted.interface)
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(wanted.cidr, strict=False)
    except ValueError as error:
        raise ConfigurationError(f'client.host_network "{name}": cidr: {error}') from None


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
