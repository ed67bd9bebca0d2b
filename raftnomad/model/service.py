"""Services, their checks, and workload identities."""

from __future__ import annotations

from typing import Any

from raftnomad.model.row import Row


class CheckRestart(Row, frozen=True, kw_only=True):
    limit: int = 0
    grace_ns: int = 0
    ignore_warnings: bool = False


class ServiceCheck(Row, frozen=True, kw_only=True):
    name: str = ""
    type: str = ""
    command: str = ""
    args: tuple[str, ...] | None = None
    path: str = ""
    protocol: str = ""
    port_label: str = ""
    expose: bool = False
    address_mode: str = ""
    interval_ns: int = 0
    timeout_ns: int = 0
    initial_status: str = ""
    notes: str = ""
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    method: str = ""
    header: dict[str, tuple[str, ...]] | None = None
    check_restart: CheckRestart | None = None
    grpc_service: str = ""
    grpc_use_tls: bool = False
    task_name: str = ""
    success_before_passing: int = 0
    failures_before_critical: int = 0
    failures_before_warning: int = 0
    body: str = ""
    on_update: str = ""


class ServiceWeights(Row, frozen=True, kw_only=True):
    passing: int = 0
    warning: int = 0


class ConsulConnect(Row, frozen=True, kw_only=True):
    native: bool = False
    sidecar_service: dict[str, Any] | None = None
    sidecar_task: dict[str, Any] | None = None
    gateway: dict[str, Any] | None = None


class WorkloadIdentity(Row, frozen=True, kw_only=True):
    name: str = ""
    audience: tuple[str, ...] | None = None
    change_mode: str = ""
    change_signal: str = ""
    env: bool = False
    file: bool = False
    filepath: str = ""
    service_name: str = ""
    ttl_ns: int = 0
    extra_claims: tuple[str, ...] | None = None


class Service(Row, frozen=True, kw_only=True):
    name: str = ""
    task_name: str = ""
    port_label: str = ""
    address_mode: str = ""
    address: str = ""
    enable_tag_override: bool = False
    tags: tuple[str, ...] | None = None
    canary_tags: tuple[str, ...] | None = None
    checks: tuple[ServiceCheck, ...] | None = None
    connect: ConsulConnect | None = None
    meta: dict[str, str] | None = None
    canary_meta: dict[str, str] | None = None
    weights: ServiceWeights | None = None
    tagged_addresses: dict[str, str] | None = None
    namespace: str = ""
    on_update: str = ""
    provider: str = ""
    cluster: str = ""
    identity: WorkloadIdentity | None = None
    kind: str = ""


class Consul(Row, frozen=True, kw_only=True):
    namespace: str = ""
    cluster: str = ""
    partition: str = ""
