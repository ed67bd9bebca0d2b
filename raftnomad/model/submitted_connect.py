"""The `connect` block of a submitted service: Consul's sidecars and gateways.

Apart from `submitted` because it is a world of its own: read, kept and shown, and acted on only where Consul is.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from raftnomad.model.resources import NUMA
from raftnomad.model.row import Row
from raftnomad.model.service import WorkloadIdentity

Strings = tuple[str, ...] | None
StringMap = dict[str, str] | None


class ConsulMeshGateway(Row, frozen=True, kw_only=True):
    mode: str = ""


class ConsulUpstream(Row, frozen=True, kw_only=True):
    destination_name: str = ""
    destination_namespace: str = ""
    destination_peer: str = ""
    destination_partition: str = ""
    destination_type: str = ""
    local_bind_port: int = 0
    datacenter: str = ""
    local_bind_address: str = ""
    local_bind_socket_path: str = ""
    local_bind_socket_mode: str = ""
    mesh_gateway: ConsulMeshGateway | None = None
    config: dict[str, Any] | None = None


class ConsulExposePath(Row, frozen=True, kw_only=True):
    path: str = ""
    protocol: str = ""
    local_path_port: int = 0
    listener_port: str = ""


class ConsulExposeConfig(Row, frozen=True, kw_only=True):
    paths: tuple[ConsulExposePath, ...] | None = None
    path: tuple[ConsulExposePath, ...] | None = None


class ConsulTransparentProxy(Row, frozen=True, kw_only=True):
    uid: str = msgspec.field(default="", name="UID")
    outbound_port: int = 0
    exclude_inbound_ports: Strings = None
    exclude_outbound_ports: tuple[int, ...] | None = None
    exclude_outbound_cidrs: Strings = msgspec.field(default=None, name="ExcludeOutboundCIDRs")
    exclude_uids: Strings = msgspec.field(default=None, name="ExcludeUIDs")
    no_dns: bool = False


class ConsulProxy(Row, frozen=True, kw_only=True):
    local_service_address: str = ""
    local_service_port: int = 0
    expose: ConsulExposeConfig | UnsetType | None = UNSET
    expose_config: ConsulExposeConfig | None = None
    upstreams: tuple[ConsulUpstream, ...] | UnsetType | None = UNSET
    transparent_proxy: ConsulTransparentProxy | UnsetType | None = UNSET
    config: dict[str, Any] | UnsetType | None = UNSET


class ConsulSidecarService(Row, frozen=True, kw_only=True):
    tags: Strings = None
    port: str = ""
    proxy: ConsulProxy | None = None
    disable_default_tcp_check: bool = msgspec.field(default=False, name="DisableDefaultTCPCheck")
    meta: StringMap = None


class SidecarLogConfig(Row, frozen=True, kw_only=True):
    max_files: int | None = None
    max_file_size_mb: int | None = None
    enabled: bool | None = None
    disabled: bool | None = None


class SidecarResources(Row, frozen=True, kw_only=True):
    cpu: int | None = None
    cores: int | None = None
    memory_mb: int | None = None
    memory_max_mb: int | None = None
    disk_mb: int | None = None
    networks: tuple[dict[str, Any], ...] | None = None
    devices: tuple[dict[str, Any], ...] | None = None
    numa: NUMA | None = None
    secrets_mb: int | None = None
    iops: int | None = None


class SidecarVolumeMount(Row, frozen=True, kw_only=True):
    volume: str | None = None
    destination: str | None = None
    read_only: bool | None = None
    propagation_mode: str | None = None
    selinux_label: str | None = None


class SidecarTask(Row, frozen=True, kw_only=True):
    name: str = ""
    driver: str = ""
    user: str = ""
    config: dict[str, Any] | None = None
    env: StringMap = None
    resources: SidecarResources | None = None
    meta: StringMap = None
    kill_timeout_ns: int | None = None
    log_config: SidecarLogConfig | None = None
    shutdown_delay_ns: int | None = None
    kill_signal: str = ""
    volume_mounts: tuple[SidecarVolumeMount, ...] | None = None
    identities: tuple[WorkloadIdentity, ...] | None = None


class ConsulGatewayBindAddress(Row, frozen=True, kw_only=True):
    name: str = ""
    address: str = ""
    port: int = 0


class ConsulGatewayProxy(Row, frozen=True, kw_only=True):
    connect_timeout_ns: int | None = None
    envoy_gateway_bind_tagged_addresses: bool = False
    envoy_gateway_bind_addresses: dict[str, ConsulGatewayBindAddress] | None = None
    envoy_gateway_no_default_bind: bool = False
    envoy_dns_discovery_type: str = ""
    config: dict[str, Any] | None = None


class ConsulGatewayTLSSDSConfig(Row, frozen=True, kw_only=True):
    cluster_name: str = ""
    cert_resource: str = ""


class ConsulGatewayTLSConfig(Row, frozen=True, kw_only=True):
    enabled: bool = False
    tls_min_version: str = ""
    tls_max_version: str = ""
    cipher_suites: Strings = None
    sds: ConsulGatewayTLSSDSConfig | None = msgspec.field(default=None, name="SDS")


class ConsulHTTPHeaderModifiers(Row, frozen=True, kw_only=True):
    add: StringMap = None
    set: StringMap = None
    remove: Strings = None


class ConsulIngressService(Row, frozen=True, kw_only=True):
    name: str = ""
    hosts: Strings = None
    tls: ConsulGatewayTLSConfig | None = None
    request_headers: ConsulHTTPHeaderModifiers | None = None
    response_headers: ConsulHTTPHeaderModifiers | None = None
    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_concurrent_requests: int | None = None


class ConsulIngressListener(Row, frozen=True, kw_only=True):
    port: int = 0
    protocol: str = ""
    services: tuple[ConsulIngressService, ...] | None = None


class ConsulIngressConfigEntry(Row, frozen=True, kw_only=True):
    tls: ConsulGatewayTLSConfig | None = None
    listeners: tuple[ConsulIngressListener, ...] | None = None


class ConsulLinkedService(Row, frozen=True, kw_only=True):
    name: str = ""
    ca_file: str = msgspec.field(default="", name="CAFile")
    cert_file: str = ""
    key_file: str = ""
    sni: str = msgspec.field(default="", name="SNI")


class ConsulTerminatingConfigEntry(Row, frozen=True, kw_only=True):
    services: tuple[ConsulLinkedService, ...] | None = None


class ConsulMeshConfigEntry(Row, frozen=True, kw_only=True):
    pass


class ConsulGateway(Row, frozen=True, kw_only=True):
    proxy: ConsulGatewayProxy | None = None
    ingress: ConsulIngressConfigEntry | None = None
    terminating: ConsulTerminatingConfigEntry | None = None
    mesh: ConsulMeshConfigEntry | None = None


class ConsulConnect(Row, frozen=True, kw_only=True):
    native: bool = False
    gateway: ConsulGateway | None = None
    sidecar_service: ConsulSidecarService | None = None
    sidecar_task: SidecarTask | None = None
