"""A client machine as the servers know it, and the pools that nodes belong to."""

from __future__ import annotations

from typing import Any

import msgspec

from raftnomad.model.resources import NetworkResource
from raftnomad.model.row import ZERO_TIME, Row, Time


class DriverInfo(Row, frozen=True, kw_only=True):
    attributes: dict[str, str] | None = None
    detected: bool = False
    healthy: bool = False
    health_description: str = ""
    update_time: Time = ZERO_TIME


class NodeEvent(Row, frozen=True, kw_only=True):
    message: str = ""
    subsystem: str = ""
    details: dict[str, str] | None = None
    timestamp: Time = ZERO_TIME
    create_index: int = 0


class DrainSpec(Row, frozen=True, kw_only=True):
    deadline_ns: int = 0
    ignore_system_jobs: bool = False


class DrainStrategy(Row, frozen=True, kw_only=True):
    deadline_ns: int = 0
    ignore_system_jobs: bool = False
    force_deadline: Time = ZERO_TIME
    started_at: Time = ZERO_TIME


class DrainMetadata(Row, frozen=True, kw_only=True):
    started_at: Time = ZERO_TIME
    updated_at: Time = ZERO_TIME
    status: str = ""
    accessor_id: str = ""
    meta: dict[str, str] | None = None


class ClientHostVolumeConfig(Row, frozen=True, kw_only=True):
    name: str = ""
    path: str = ""
    read_only: bool = False
    id: str = ""


class ClientHostNetworkConfig(Row, frozen=True, kw_only=True):
    name: str = ""
    cidr: str = ""
    interface: str = ""
    reserved_ports: str = ""


class NodeNetworkAddress(Row, frozen=True, kw_only=True):
    family: str = ""
    alias: str = ""
    address: str = ""
    reserved_ports: str = ""
    gateway: str = ""


class NodeNetworkResource(Row, frozen=True, kw_only=True):
    mode: str = ""
    device: str = ""
    mac_address: str = ""
    speed: int = 0
    addresses: tuple[NodeNetworkAddress, ...] | None = None


class LegacyNodeCpuResources(Row, frozen=True, kw_only=True):
    cpu_shares: int = msgspec.field(default=0, name="CpuShares")
    total_cpu_cores: int = msgspec.field(default=0, name="TotalCpuCores")
    reservable_cpu_cores: tuple[int, ...] | None = msgspec.field(default=None, name="ReservableCpuCores")


class NodeProcessorResources(Row, frozen=True, kw_only=True):
    topology: dict[str, Any] | None = None


class NodeMemoryResources(Row, frozen=True, kw_only=True):
    memory_mb: int = 0


class NodeDiskResources(Row, frozen=True, kw_only=True):
    disk_mb: int = 0


class NodeDeviceResource(Row, frozen=True, kw_only=True):
    vendor: str = ""
    type: str = ""
    name: str = ""
    instances: tuple[dict[str, Any], ...] | None = None
    attributes: dict[str, Any] | None = None


class NodeResources(Row, frozen=True, kw_only=True):
    cpu: LegacyNodeCpuResources = msgspec.field(default=LegacyNodeCpuResources(), name="Cpu")
    processors: NodeProcessorResources = NodeProcessorResources()
    memory: NodeMemoryResources = NodeMemoryResources()
    disk: NodeDiskResources = NodeDiskResources()
    devices: tuple[NodeDeviceResource, ...] | None = None
    node_networks: tuple[NodeNetworkResource, ...] | None = None
    networks: tuple[NetworkResource, ...] | None = None
    min_dynamic_port: int = 0
    max_dynamic_port: int = 0


class NodeReservedCpuResources(Row, frozen=True, kw_only=True):
    cpu_shares: int = msgspec.field(default=0, name="CpuShares")
    reserved_cpu_cores: tuple[int, ...] | None = msgspec.field(default=None, name="ReservedCpuCores")


class NodeReservedMemoryResources(Row, frozen=True, kw_only=True):
    memory_mb: int = 0


class NodeReservedDiskResources(Row, frozen=True, kw_only=True):
    disk_mb: int = 0


class NodeReservedNetworkResources(Row, frozen=True, kw_only=True):
    reserved_host_ports: str = ""


class NodeReservedResources(Row, frozen=True, kw_only=True):
    cpu: NodeReservedCpuResources = msgspec.field(default=NodeReservedCpuResources(), name="Cpu")
    memory: NodeReservedMemoryResources = NodeReservedMemoryResources()
    disk: NodeReservedDiskResources = NodeReservedDiskResources()
    networks: NodeReservedNetworkResources = NodeReservedNetworkResources()


class Node(Row, frozen=True, kw_only=True):
    id: str = ""
    secret_id: str = ""
    datacenter: str = ""
    name: str = ""
    cgroup_parent: str = ""
    http_addr: str = ""
    tls_enabled: bool = False
    attributes: dict[str, str] | None = None
    node_resources: NodeResources | None = None
    reserved_resources: NodeReservedResources | None = None
    links: dict[str, str] | None = None
    meta: dict[str, str] | None = None
    node_class: str = ""
    node_pool: str = ""
    computed_class: str = ""
    drain_strategy: DrainStrategy | None = None
    scheduling_eligibility: str = ""
    status: str = ""
    status_description: str = ""
    identity_signing_key_id: str = ""
    status_updated_at: int = 0
    events: tuple[NodeEvent, ...] | None = None
    drivers: dict[str, DriverInfo] | None = None
    csi_controller_plugins: dict[str, dict[str, Any]] | None = None
    csi_node_plugins: dict[str, dict[str, Any]] | None = None
    host_volumes: dict[str, ClientHostVolumeConfig] | None = None
    gc_volumes_on_node_gc: bool = False
    host_networks: dict[str, ClientHostNetworkConfig] | None = None
    last_drain: DrainMetadata | None = None
    node_max_allocs: int = 0
    last_missed_heartbeat_index: int = 0
    last_alloc_update_index: int = 0
    create_index: int = 0
    modify_index: int = 0


class NodeListStub(Row, frozen=True, kw_only=True):
    address: str = ""
    id: str = ""
    attributes: dict[str, str] | None = None
    datacenter: str = ""
    name: str = ""
    node_pool: str = ""
    node_class: str = ""
    version: str = ""
    drain: bool = False
    scheduling_eligibility: str = ""
    status: str = ""
    status_description: str = ""
    drivers: dict[str, DriverInfo] | None = None
    host_volumes: dict[str, ClientHostVolumeConfig] | None = None
    node_resources: NodeResources | None = None
    reserved_resources: NodeReservedResources | None = None
    last_drain: DrainMetadata | None = None
    create_index: int = 0
    modify_index: int = 0


class NodePoolSchedulerConfiguration(Row, frozen=True, kw_only=True):
    scheduler_algorithm: str = ""
    memory_oversubscription_enabled: bool | None = None


class NodePool(Row, frozen=True, kw_only=True):
    name: str = ""
    description: str = ""
    meta: dict[str, str] | None = None
    scheduler_configuration: NodePoolSchedulerConfiguration | None = None
    node_identity_ttl_ns: int = 0
    hash: bytes | None = None
    create_index: int = 0
    modify_index: int = 0
