"""Functions of network prefixes."""

from __future__ import annotations

import ipaddress

from raftnomad.hcl.calls import Function, FunctionError, Parameter
from raftnomad.hcl.functions.arguments import whole
from raftnomad.hcl.numbers import Number
from raftnomad.hcl.values import HclList, Value

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PREFIX = Parameter("prefix", "string")


def _network(text: str) -> _Network:
    try:
        if "/" not in text:
            raise ValueError
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise FunctionError(f"invalid CIDR expression: invalid CIDR address: {text}") from None


def _part(network: _Network, number: int, prefix: int) -> _Network:
    """The network of `prefix` bits that begins at an address; the family stays."""
    if isinstance(network, ipaddress.IPv4Network):
        return ipaddress.IPv4Network((number, prefix))
    return ipaddress.IPv6Network((number, prefix))


def _cidrhost(text: str, number: Number) -> str:
    network = _network(text)
    host = whole(number)
    if not -network.num_addresses <= host < network.num_addresses:
        raise FunctionError(f"prefix of {network.prefixlen} does not accommodate a host numbered {abs(host)}")
    return str(network[host])


def _cidrsubnet(text: str, new_bits: Number, number: Number) -> str:
    network = _network(text)
    bits, index = whole(new_bits), whole(number)
    if network.prefixlen + bits > network.max_prefixlen:
        raise FunctionError(f"insufficient address space to extend prefix of {network.prefixlen} by {bits}")
    if not 0 <= index < 2**bits:
        raise FunctionError(f"prefix extension of {bits} does not accommodate a subnet numbered {index}")
    prefix = network.prefixlen + bits
    size = 2 ** (network.max_prefixlen - prefix)
    return str(_part(network, int(network.network_address) + index * size, prefix))


def _cidrsubnets(text: str, *new_bits: Number) -> Value:
    network = _network(text)
    found: list[Value] = []
    following = int(network.network_address)
    before = ""
    for position, given in enumerate(new_bits, 1):
        bits = whole(given)
        if bits < 1:
            raise FunctionError("must extend prefix by at least one bit", position)
        prefix = network.prefixlen + bits
        if prefix > network.max_prefixlen:
            message = f"would extend prefix to {prefix} bits, which is too long for an IPv{network.version} address"
            raise FunctionError(message, position)
        size = 2 ** (network.max_prefixlen - prefix)
        start = -(-following // size) * size
        if start + size > int(network.network_address) + network.num_addresses:
            message = f"not enough remaining address space for a subnet with a prefix of {prefix} bits after {before}"
            raise FunctionError(message, position)
        before = str(_part(network, start, prefix))
        found.append(before)
        following = start + size
    return HclList(tuple(found), "string")


NETWORK_FUNCTIONS: dict[str, Function] = {
    "cidrhost": Function(parameters=(_PREFIX, Parameter("hostnum", "number")), apply=_cidrhost),
    "cidrnetmask": Function(parameters=(_PREFIX,), apply=lambda text: str(_network(text).netmask)),
    "cidrsubnet": Function(
        parameters=(_PREFIX, Parameter("newbits", "number"), Parameter("netnum", "number")), apply=_cidrsubnet
    ),
    "cidrsubnets": Function(parameters=(_PREFIX,), rest=Parameter("newbits", "number"), apply=_cidrsubnets),
}
