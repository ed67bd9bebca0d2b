from __future__ import annotations

from pathlib import Path

import pytest

from raftnomad.client.fingerprint import cpu
from raftnomad.client.fingerprint.node import Identity, fingerprint
from raftnomad.client.settings import ClientSettings
from raftnomad.drivers.mock import MockDriver
from raftnomad.errors import ConfigurationError
from raftnomad.model.node import ClientHostNetworkConfig, Node
from raftnomad.version import NOMAD_VERSION

IDENTITY = Identity(node_id="n", secret_id="s")


async def a_node(tmp_path: Path, before: Node | None = None, now_ns: int = 1, **settings: object) -> Node:
    (tmp_path / "alloc").mkdir(exist_ok=True)
    configured = ClientSettings(data_dir=tmp_path, dev=True, http_address="127.0.0.1:4646", **settings)  # type: ignore[arg-type]
    drivers = {"mock_driver": MockDriver({}, tmp_path)}
    known = before.drivers if before is not None else None
    return await fingerprint(configured, IDENTITY, drivers, {"rack": "r1"}, known, now_ns)


async def test_jobs_can_ask_for_what_nomads_nodes_tell(tmp_path: Path) -> None:
    attributes = (await a_node(tmp_path)).attributes or {}
    assert attributes["nomad.version"] == NOMAD_VERSION
    assert attributes["kernel.name"] == "linux"
    assert attributes["driver.mock_driver"] == "1"
    assert attributes["unique.network.ip-address"] == "127.0.0.1"
    assert attributes["unique.advertise.address"] == "127.0.0.1:4646"
    assert {"SIGHUP", "SIGTERM", "SIGUSR1"} <= set(attributes["os.signals"].split(","))
    for name in ("cpu.arch", "cpu.numcores", "cpu.totalcompute", "memory.totalbytes", "os.name", "unique.hostname"):
        assert attributes[name]


async def test_in_dev_ports_are_on_loopback(tmp_path: Path) -> None:
    resources = (await a_node(tmp_path)).node_resources
    assert resources is not None and resources.node_networks is not None
    network = resources.node_networks[0]
    assert (network.device, network.mac_address) == ("lo", "")
    assert next((a.address, a.alias) for a in network.addresses or ()) == ("127.0.0.1", "default")


async def test_an_address_bears_the_names_of_its_networks(tmp_path: Path) -> None:
    named = {
        "loop": ClientHostNetworkConfig(name="loop", cidr="127.0.0.0/8", reserved_ports="22"),
        "nowhere": ClientHostNetworkConfig(name="nowhere", cidr="203.0.113.0/24"),
        "card": ClientHostNetworkConfig(name="card", interface="lo"),
        "both": ClientHostNetworkConfig(name="both", interface="none0", cidr="127.0.0.0/8"),
    }
    node = await a_node(tmp_path, host_networks=named)
    assert node.host_networks == named and node.node_resources is not None
    addresses = [a for network in node.node_resources.node_networks or () for a in network.addresses or ()]
    names = [(a.alias, a.reserved_ports) for a in addresses if a.address == "127.0.0.1"]
    assert names == [("loop", "22"), ("card", ""), ("default", "")]


async def test_a_network_that_is_none_stops_the_agent_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r'client\.host_network "x": cidr: .*999'):
        await a_node(tmp_path, host_networks={"x": ClientHostNetworkConfig(cidr="999.0.0.0/8")})


async def test_what_is_configured_goes_before_what_is_found(tmp_path: Path) -> None:
    node = await a_node(tmp_path, cpu_total_mhz=5000, memory_total_mb=77, disk_total_mb=88, name="mine")
    assert node.name == "mine" and node.node_resources is not None
    assert node.node_resources.cpu.cpu_shares == 5000
    assert (node.node_resources.memory.memory_mb, node.node_resources.disk.disk_mb) == (77, 88)


async def test_a_second_look_that_finds_the_same_is_the_same_node(tmp_path: Path) -> None:
    first = await a_node(tmp_path)
    assert await a_node(tmp_path, before=first, now_ns=999) == first


def test_cores_are_told_in_ranges() -> None:
    assert cpu.ranges((0, 1, 2, 3, 8, 10, 11)) == "0-3,8,10-11"
    assert cpu.ranges(()) == ""
