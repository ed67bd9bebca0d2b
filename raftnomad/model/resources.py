"""What a task asks for and what it was given: constraints, resources, networks and ports.

MHz for CPU, MiB for memory and disk."""

from __future__ import annotations

import msgspec

from raftnomad.model.row import Row


class Constraint(Row, frozen=True, kw_only=True):
    l_target: str = ""
    r_target: str = ""
    operand: str = ""


class Affinity(Row, frozen=True, kw_only=True):
    l_target: str = ""
    r_target: str = ""
    operand: str = ""
    weight: int = 0


class SpreadTarget(Row, frozen=True, kw_only=True):
    value: str = ""
    percent: int = 0


class Spread(Row, frozen=True, kw_only=True):
    attribute: str = ""
    weight: int = 0
    spread_target: tuple[SpreadTarget, ...] | None = None


class RequestedDevice(Row, frozen=True, kw_only=True):
    name: str = ""
    count: int = 0
    constraints: tuple[Constraint, ...] | None = None
    affinities: tuple[Affinity, ...] | None = None


class NUMA(Row, frozen=True, kw_only=True):
    affinity: str = ""
    devices: tuple[str, ...] | None = None


class Port(Row, frozen=True, kw_only=True, omit_defaults=True):
    label: str = ""
    value: int = 0
    to: int = 0
    host_network: str = ""
    ignore_collision: bool = False


class DNSConfig(Row, frozen=True, kw_only=True):
    servers: tuple[str, ...] | None = None
    searches: tuple[str, ...] | None = None
    options: tuple[str, ...] | None = None


class CNIConfig(Row, frozen=True, kw_only=True):
    args: dict[str, str] | None = None


class NetworkResource(Row, frozen=True, kw_only=True, omit_defaults=True):
    mode: str = ""
    device: str = ""
    cidr: str = ""
    ip: str = ""
    hostname: str = ""
    mbits: int = 0
    dns: DNSConfig | None = None
    reserved_ports: tuple[Port, ...] | None = None
    dynamic_ports: tuple[Port, ...] | None = None
    cni: CNIConfig | None = None


class Resources(Row, frozen=True, kw_only=True):
    cpu: int = 0
    cores: int = 0
    memory_mb: int = 0
    memory_max_mb: int = 0
    disk_mb: int = 0
    iops: int = 0
    networks: tuple[NetworkResource, ...] | None = None
    devices: tuple[RequestedDevice, ...] | None = None
    numa: NUMA | None = None
    secrets_mb: int = 0


class AllocatedCpuResources(Row, frozen=True, kw_only=True):
    cpu_shares: int = msgspec.field(default=0, name="CpuShares")
    reserved_cores: tuple[int, ...] | None = None


class AllocatedMemoryResources(Row, frozen=True, kw_only=True):
    memory_mb: int = 0
    memory_max_mb: int = 0


class AllocatedDeviceResource(Row, frozen=True, kw_only=True):
    vendor: str = ""
    type: str = ""
    name: str = ""
    device_ids: tuple[str, ...] | None = None


class AllocatedTaskResources(Row, frozen=True, kw_only=True):
    cpu: AllocatedCpuResources = msgspec.field(default=AllocatedCpuResources(), name="Cpu")
    memory: AllocatedMemoryResources = AllocatedMemoryResources()
    networks: tuple[NetworkResource, ...] | None = None
    devices: tuple[AllocatedDeviceResource, ...] | None = None


class AllocatedPortMapping(Row, frozen=True, kw_only=True, omit_defaults=True):
    label: str = ""
    value: int = 0
    to: int = 0
    host_ip: str = ""
    ignore_collision: bool = False


class AllocatedSharedResources(Row, frozen=True, kw_only=True):
    networks: tuple[NetworkResource, ...] | None = None
    disk_mb: int = 0
    ports: tuple[AllocatedPortMapping, ...] | None = None


class TaskLifecycleConfig(Row, frozen=True, kw_only=True):
    hook: str = ""
    sidecar: bool = False


class AllocatedResources(Row, frozen=True, kw_only=True):
    tasks: dict[str, AllocatedTaskResources] | None = None
    task_lifecycles: dict[str, TaskLifecycleConfig | None] | None = None
    shared: AllocatedSharedResources = AllocatedSharedResources()
