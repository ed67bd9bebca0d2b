"""What an agent can be told: one field for each key of Nomad's that has something behind it.

A field's name is the key; durations end in `_ns` here and not in the file. Defaults are Nomad's.
"""

from __future__ import annotations

from typing import Any

import msgspec

from raftnomad.model.row import Row

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


class Ports(Row, frozen=True, kw_only=True):
    http: int = msgspec.field(default=4646, name="HTTP")
    rpc: int = 4647
    serf: int = 4648


class Addresses(Row, frozen=True, kw_only=True):
    """Where each port listens, when not at `bind_addr`."""

    http: str = ""
    rpc: str = ""
    serf: str = ""


class Advertise(Row, frozen=True, kw_only=True):
    """The addresses that others are told: `host` or `host:port`."""

    http: str = ""
    rpc: str = ""
    serf: str = ""


class ServerJoin(Row, frozen=True, kw_only=True):
    retry_join: tuple[str, ...] = ()
    start_join: tuple[str, ...] = ()
    retry_max: int = 0
    retry_interval_ns: int = 30 * SECOND


class SearchConfig(Row, frozen=True, kw_only=True):
    fuzzy_enabled: bool = True
    limit_query: int = 10_000
    limit_results: int = 100
    min_term_length: int = 2


class ServerConfig(Row, frozen=True, kw_only=True):
    enabled: bool = False
    bootstrap_expect: int = 0
    server_join: ServerJoin = ServerJoin()
    retry_join: tuple[str, ...] = ()
    start_join: tuple[str, ...] = ()
    retry_max: int = 0
    retry_interval_ns: int = 0
    heartbeat_grace_ns: int = 10 * SECOND
    min_heartbeat_ttl_ns: int = 10 * SECOND
    max_heartbeats_per_second: float = 1000.0
    node_gc_threshold_ns: int = 24 * HOUR
    job_gc_interval_ns: int = 5 * MINUTE
    job_gc_threshold_ns: int = 4 * HOUR
    eval_gc_threshold_ns: int = HOUR
    batch_eval_gc_threshold_ns: int = 24 * HOUR
    deployment_gc_threshold_ns: int = HOUR
    job_default_priority: int = 50
    """Of jobs that say 0; those that say nothing have 50."""
    job_max_priority: int = 100
    job_max_count: int = 50_000
    job_max_source_size: str = "1M"
    """As `config/sizes.py` reads it."""
    search: SearchConfig = SearchConfig()


class Reserved(Row, frozen=True, kw_only=True):
    """What tasks must not be given: MHz, MiB, MiB, ports as `22,80,8500-8600`."""

    cpu: int = 0
    memory: int = 0
    disk: int = 0
    reserved_ports: str = ""


class HostVolume(Row, frozen=True, kw_only=True):
    path: str = ""
    read_only: bool = False


class HostNetwork(Row, frozen=True, kw_only=True):
    """A name for addresses of this machine: those in a range, those of an interface, or both at once."""

    cidr: str = ""
    interface: str = ""
    reserved_ports: str = ""


class ClientConfig(Row, frozen=True, kw_only=True):
    enabled: bool = False
    servers: tuple[str, ...] = ()
    server_join: ServerJoin = ServerJoin()
    alloc_dir: str = ""
    state_dir: str = ""
    node_class: str = ""
    node_pool: str = "default"
    meta: dict[str, str] = {}
    options: dict[str, str] = {}
    network_interface: str = ""
    cpu_total_compute: int = 0
    memory_total_mb: int = 0
    disk_total_mb: int = 0
    min_dynamic_port: int = 20000
    max_dynamic_port: int = 32000
    reserved: Reserved = Reserved()
    host_volume: dict[str, HostVolume] = {}
    host_network: dict[str, HostNetwork] = {}
    max_kill_timeout_ns: int = 30 * SECOND
    node_max_allocs: int = 0
    gc_interval_ns: int = MINUTE
    gc_max_allocs: int = 50
    gc_disk_usage_threshold: float = 80.0
    gc_inode_usage_threshold: float = 70.0


class TlsConfig(Row, frozen=True, kw_only=True):
    http: bool = False
    rpc: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    verify_server_hostname: bool = False
    verify_https_client: bool = False


class Telemetry(Row, frozen=True, kw_only=True):
    prometheus_metrics: bool = False


class Limits(Row, frozen=True, kw_only=True):
    http_max_conns_per_client: int = 100
    https_handshake_timeout_ns: int = 5 * SECOND
    rpc_max_conns_per_client: int = 100
    rpc_handshake_timeout_ns: int = 5 * SECOND


class Plugin(Row, frozen=True, kw_only=True):
    config: dict[str, Any] = {}


class AclConfig(Row, frozen=True, kw_only=True):
    enabled: bool = False


class AgentConfig(Row, frozen=True, kw_only=True):
    region: str = "global"
    datacenter: str = "dc1"
    name: str = ""
    data_dir: str = ""
    bind_addr: str = "0.0.0.0"
    dev_mode: bool = False
    """Never in a file: `-dev` sets it."""
    log_level: str = "INFO"
    log_json: bool = False
    log_file: str = ""
    log_rotate_bytes: int = 0
    log_rotate_max_files: int = 0
    leave_on_interrupt: bool = False
    leave_on_terminate: bool = False
    http_api_response_headers: dict[str, str] = {}
    ports: Ports = Ports()
    addresses: Addresses = Addresses()
    advertise: Advertise = Advertise()
    server: ServerConfig = ServerConfig()
    client: ClientConfig = ClientConfig()
    tls: TlsConfig = TlsConfig()
    acl: AclConfig = AclConfig()
    telemetry: Telemetry = Telemetry()
    limits: Limits = Limits()
    plugin: dict[str, Plugin] = {}
