"""What may be reached without certificates: this machine, and nothing beyond it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from raftnomad.errors import ConfigurationError

LOOPBACK = "127.0.0.1"


def split_address(address: str, default_port: int | None = None) -> tuple[str, int]:
    """Host and port of `host:port`, `[v6]:port` or, with a default port, a host alone. Raises ConfigurationError."""
    text = address.strip()
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    if port == "" and default_port is not None:
        port = str(default_port)
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise ConfigurationError(f"'{address}' is no address: write host:port")
    return host, int(port)


def join_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its spelling; a name other than localhost counts as beyond it."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_certificates(addresses: Iterable[str]) -> None:
    """To be called without TLS. Raises ConfigurationError for the first address beyond loopback."""
    for address in addresses:
        host, _ = split_address(address)
        if not is_loopback(host):
            raise ConfigurationError(
                f"{address} is another machine, and this server has no certificates, without which servers only talk "
                f"on loopback: make them with `raftnomad tls ca create` and `raftnomad tls cert create -server`, and "
                f"name them in the `tls` block"
            )


def listening_host(bind_host: str, encrypted: bool) -> str:
    """Where the rpc and serf ports listen: as configured, but on loopback without certificates."""
    return bind_host if encrypted or is_loopback(bind_host) else LOOPBACK
