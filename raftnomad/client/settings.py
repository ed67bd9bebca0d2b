"""How a client agent is configured: what the agent's configuration file says of `client`, already resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from raftnomad.model.node import ClientHostNetworkConfig, ClientHostVolumeConfig, NodeReservedResources


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """data_dir: the agent's; the client keeps `client/` (identity, state) and `alloc/` (tasks' files) in it.

    dev: first heartbeat at once, the loopback network only, nothing need survive a power cut.
    """

    data_dir: Path
    alloc_dir: Path | None = None
    state_dir: Path | None = None
    dev: bool = False

    name: str = ""
    region: str = "global"
    datacenter: str = "dc1"
    node_class: str = ""
    node_pool: str = "default"
    meta: Mapping[str, str] = field(default_factory=dict)
    http_address: str = ""
    """`host:port` at which this agent serves `/v1/client/*`, as others reach it."""
    tls_enabled: bool = False

    network_interface: str = ""
    """Empty: the interface of the default route; loopback in dev."""
    cpu_total_mhz: int = 0
    """0: as found on the machine; so are the next two."""
    memory_total_mb: int = 0
    disk_total_mb: int = 0
    min_dynamic_port: int = 20000
    max_dynamic_port: int = 32000
    reserved: NodeReservedResources = field(default_factory=NodeReservedResources)
    node_max_allocs: int = 0
    host_volumes: Mapping[str, ClientHostVolumeConfig] = field(default_factory=dict)
    host_networks: Mapping[str, ClientHostNetworkConfig] = field(default_factory=dict)
    """Names for addresses besides `default`; ports ask for them by `host_network`."""

    max_kill_timeout_s: float = 30.0
    mount_secrets: bool = False
    """Keep tasks' secrets in memory, never on disk. Needs root."""

    fingerprint_interval_s: float = 30.0
    report_interval_s: float = 0.2
    poll_wait_s: float = 300.0
    """How long a server may hold the question for allocations."""
    gc_interval_s: float = 60.0
    gc_max_allocs: int = 50
    gc_disk_usage_percent: float = 80.0
    gc_inode_usage_percent: float = 70.0

    @property
    def state_path(self) -> Path:
        return self.state_dir or self.data_dir / "client"

    @property
    def alloc_path(self) -> Path:
        return self.alloc_dir or self.data_dir / "alloc"
