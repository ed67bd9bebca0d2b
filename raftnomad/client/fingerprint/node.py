"""The node as it presents itself to the servers: everything that was found out about the machine, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from raftnomad.client.fingerprint import cpu, drivers, host, network, storage
from raftnomad.client.settings import ClientSettings
from raftnomad.drivers.driver import Driver
from raftnomad.model.node import (
    DriverInfo,
    LegacyNodeCpuResources,
    Node,
    NodeDiskResources,
    NodeMemoryResources,
    NodeProcessorResources,
    NodeResources,
)
from raftnomad.model.status import NodeStatus
from raftnomad.version import NOMAD_VERSION

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Identity:
    node_id: str
    secret_id: str


async def fingerprint(
    settings: ClientSettings,
    identity: Identity,
    found_drivers: Mapping[str, Driver],
    meta: Mapping[str, str],
    before: Mapping[str, DriverInfo] | None,
    now_ns: int,
) -> Node:
    """before: the drivers as they were told last; meta: static and dynamic metadata, merged."""
    processor = cpu.measure(settings.cpu_total_mhz)
    memory_bytes = psutil.virtual_memory().total
    disk = storage.measure(settings.alloc_path)
    interface = settings.network_interface or (network.LOOPBACK if settings.dev else "")
    net = network.measure(interface)
    driver_state = await drivers.measure(found_drivers)
    attributes = {
        **host.fingerprint(),
        **cpu.attributes(processor, settings.reserved.cpu.cpu_shares),
        **storage.attributes(disk),
        **network.attributes(net),
        "memory.totalbytes": str(memory_bytes),
        "nomad.version": NOMAD_VERSION,
        "nomad.service_discovery": "true",
        "unique.advertise.address": settings.http_address,
        **drivers.attributes(driver_state),
    }
    return Node(
        id=identity.node_id,
        secret_id=identity.secret_id,
        datacenter=settings.datacenter,
        name=settings.name or attributes["unique.hostname"],
        http_addr=settings.http_address,
        tls_enabled=settings.tls_enabled,
        attributes=attributes,
        node_resources=_resources(settings, processor, memory_bytes, disk, net),
        reserved_resources=settings.reserved,
        links={},
        meta=dict(meta),
        node_class=settings.node_class,
        node_pool=settings.node_pool,
        status=NodeStatus.INITIALIZING,
        drivers=drivers.infos(driver_state, before, now_ns),
        csi_controller_plugins={},
        csi_node_plugins={},
        host_volumes=dict(settings.host_volumes),
        host_networks=dict(settings.host_networks) or None,
        node_max_allocs=settings.node_max_allocs,
    )


def _resources(
    settings: ClientSettings, processor: cpu.Cpu, memory_bytes: int, disk: storage.Disk, net: network.Network
) -> NodeResources:
    return NodeResources(
        cpu=LegacyNodeCpuResources(
            cpu_shares=processor.total_mhz,
            total_cpu_cores=len(processor.cores),
            reservable_cpu_cores=processor.cores,
        ),
        processors=NodeProcessorResources(topology=cpu.topology(processor)),
        memory=NodeMemoryResources(memory_mb=settings.memory_total_mb or memory_bytes // MIB),
        disk=NodeDiskResources(disk_mb=settings.disk_total_mb or disk.total // MIB),
        node_networks=network.node_networks(
            net, network.measure_others(net, settings.host_networks), settings.host_networks
        ),
        networks=network.networks(net),
        min_dynamic_port=settings.min_dynamic_port,
        max_dynamic_port=settings.max_dynamic_port,
    )
