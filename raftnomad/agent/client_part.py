"""The client in an agent: its drivers, its way to the servers, and what the API is told of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from raftnomad.api.api import LocalClient
from raftnomad.certificates import roles
from raftnomad.certificates import settings as certificates
from raftnomad.certificates.settings import TlsSettings
from raftnomad.client.client import Client
from raftnomad.client.connection import HttpConnection
from raftnomad.client.http import routes
from raftnomad.client.settings import ClientSettings
from raftnomad.clock import Clock
from raftnomad.config.settings import AgentConfig
from raftnomad.drivers.raw_exec import RawExecDriver
from raftnomad.drivers.registry import load_drivers
from raftnomad.identifiers import RandomBytes
from raftnomad.model.node import (
    ClientHostNetworkConfig,
    ClientHostVolumeConfig,
    NodeReservedCpuResources,
    NodeReservedDiskResources,
    NodeReservedMemoryResources,
    NodeReservedNetworkResources,
    NodeReservedResources,
)

SECOND = 1_000_000_000


class ClientPart:
    """servers: rpc addresses `host:port` of servers, or whole URLs."""

    def __init__(
        self,
        config: AgentConfig,
        data_dir: Path,
        http_address: str,
        servers: Sequence[str],
        tls: TlsSettings | None,
        clock: Clock,
        random_bytes: RandomBytes,
        on_crash: Callable[[BaseException], None] | None = None,
    ) -> None:
        settings = client_settings(config, data_dir, http_address)
        plugins = {name: plugin.config for name, plugin in config.plugin.items()}
        self.connection = HttpConnection(
            servers,
            ssl_context=certificates.rpc_client_context(tls) if tls is not None else None,
            server_name=roles.server_name(config.region) if tls is not None else "",
            random_bytes=random_bytes,
        )
        drivers = load_drivers(plugins, config.client.options, settings.state_path / "drivers")
        self.client = Client(settings, drivers, self.connection, clock, random_bytes, on_crash)

    async def start(self) -> None:
        await self.client.start()

    async def stop(self, kill_tasks: bool) -> None:
        """With `kill_tasks` nothing of this client remains on the machine."""
        await self.client.stop(kill_tasks)
        if kill_tasks:
            for driver in self.client.drivers.values():
                if isinstance(driver, RawExecDriver):
                    await driver.retire()

    def local(self) -> LocalClient:
        return LocalClient(
            routes=routes(self.client),
            node_id=lambda: self.client.node_id,
            has_allocation=lambda alloc_id: alloc_id in self.client.allocations,
            statistics=self.client.statistics,
        )


def client_settings(config: AgentConfig, data_dir: Path, http_address: str) -> ClientSettings:
    """What the client needs of the agent's configuration."""
    client = config.client
    reserved = NodeReservedResources(
        cpu=NodeReservedCpuResources(cpu_shares=client.reserved.cpu),
        memory=NodeReservedMemoryResources(memory_mb=client.reserved.memory),
        disk=NodeReservedDiskResources(disk_mb=client.reserved.disk),
        networks=NodeReservedNetworkResources(reserved_host_ports=client.reserved.reserved_ports),
    )
    volumes = {
        name: ClientHostVolumeConfig(name=name, path=volume.path, read_only=volume.read_only)
        for name, volume in client.host_volume.items()
    }
    networks = {
        name: ClientHostNetworkConfig(
            name=name, cidr=network.cidr, interface=network.interface, reserved_ports=network.reserved_ports
        )
        for name, network in client.host_network.items()
    }
    return ClientSettings(
        data_dir=data_dir,
        alloc_dir=Path(client.alloc_dir) if client.alloc_dir else None,
        state_dir=Path(client.state_dir) if client.state_dir else None,
        dev=config.dev_mode,
        mount_secrets=os.geteuid() == 0,
        name=config.name,
        region=config.region,
        datacenter=config.datacenter,
        node_class=client.node_class,
        node_pool=client.node_pool,
        meta=client.meta,
        http_address=http_address,
        tls_enabled=config.tls.http,
        network_interface=client.network_interface,
        cpu_total_mhz=client.cpu_total_compute,
        memory_total_mb=client.memory_total_mb,
        disk_total_mb=client.disk_total_mb,
        min_dynamic_port=client.min_dynamic_port,
        max_dynamic_port=client.max_dynamic_port,
        reserved=reserved,
        node_max_allocs=client.node_max_allocs,
        host_volumes=volumes,
        host_networks=networks,
        max_kill_timeout_s=client.max_kill_timeout_ns / SECOND,
        gc_interval_s=client.gc_interval_ns / SECOND,
        gc_max_allocs=client.gc_max_allocs,
        gc_disk_usage_percent=client.gc_disk_usage_threshold,
        gc_inode_usage_percent=client.gc_inode_usage_threshold,
    )
