"""Where an agent listens and what it tells others, from `bind_addr`, `addresses`, `ports` and `advertise`."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from raftnomad.config.settings import AgentConfig
from raftnomad.errors import ConfigurationError
from raftnomad.raft.reach import is_loopback, join_address, split_address

ANY_HOSTS = ("0.0.0.0", "::", "[::]")


@dataclass(frozen=True, kw_only=True)
class Place:
    """One port: the host and port that are listened on, and `host:port` as others reach it."""

    host: str
    port: int
    advertised: str


@dataclass(frozen=True, kw_only=True)
class Places:
    http: Place
    rpc: Place
    serf: Place


def places(config: AgentConfig) -> Places:
    """Raises ConfigurationError for an address that cannot be one."""
    return Places(
        http=_place(config, config.addresses.http, config.ports.http, config.advertise.http),
        rpc=_place(config, config.addresses.rpc, config.ports.rpc, config.advertise.rpc),
        serf=_place(config, config.addresses.serf, config.ports.serf, config.advertise.serf),
    )


def _place(config: AgentConfig, address: str, port: int, advertise: str) -> Place:
    host = address or config.bind_addr
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        if " " in host or host == "":
            raise ConfigurationError(
                f'Bind address resolution failed: multiple addresses found ("{host}"), please configure one'
            ) from None
    if advertise:
        told, told_port = split_address(advertise, port)
        return Place(host=host, port=port, advertised=join_address(told, told_port))
    told = own_address() if host in ANY_HOSTS else host
    return Place(host=host, port=port, advertised=join_address(told.strip("[]"), port))


def own_address() -> str:
    """The address of the interface with the default route; loopback on a machine without one."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        # Connecting a datagram socket sends nothing: it only asks the routing table.
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"
    finally:
        probe.close()


def beyond_loopback(place: Place) -> bool:
    return not is_loopback(split_address(place.advertised)[0])
