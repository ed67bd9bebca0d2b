"""A job as users hand it in: what they did not say is None, so that a default can tell it from zero.

The shapes, and the order of their fields, are those of Nomad's API package; `defaults` turns them into `model.job`.
Structs that look the same there are used from there. The classes have Nomad's names, which messages quote.
"""

from __future__ import annotations

from typing import Any

import msgspec

from raftnomad.model.job import (
    Action,
    CSIMountOptions,
    DispatchPayloadConfig,
    JobVersionTag,
    Secret,
    TaskCSIPluginConfig,
    TaskSchedule,
)
from raftnomad.model.resources import NUMA, CNIConfig, Constraint, DNSConfig, SpreadTarget, TaskLifecycleConfig
from raftnomad.model.row import Row
from raftnomad.model.service import Consul, ServiceWeights, WorkloadIdentity
from raftnomad.model.submitted_connect import ConsulConnect

Strings = tuple[str, ...] | None
StringMap = dict[str, str] | None


class JobUILink(Row, frozen=True, kw_only=True):
    label: str = ""
    url: str = ""


class JobUIConfig(Row, frozen=True, kw_only=True):
    description: str = ""
    links: tuple[JobUILink, ...] | None = None


class Affinity(Row, frozen=True, kw_only=True):
    l_target: str = ""
    r_target: str = ""
    operand: str = ""
    weight: int | None = None


class Spread(Row, frozen=True, kw_only=True):
    attribute: str = ""
    weight: int | None = None
    spread_target: tuple[SpreadTarget, ...] | None = None


class RestartPolicy(Row, frozen=True, kw_only=True):
    interval_ns: int | None = None
    attempts: int | None = None
    delay_ns: int | None = None
    mode: str | None = None
    render_templates: bool | None = None


class ReschedulePolicy(Row, frozen=True, kw_only=True):
    attempts: int | None = None
    interval_ns: int | None = None
    delay_ns: int | None = None
    delay_function: str | None = None
    max_delay_ns: int | None = None
    unlimited: bool | None = None


class UpdateStrategy(Row, frozen=True, kw_only=True):
    stagger_ns: int | None = None
    max_parallel: int | None = None
    health_check: str | None = None
    min_healthy_time_ns: int | None = None
    healthy_deadline_ns: int | None = None
    progress_deadline_ns: int | None = None
    canary: int | None = None
    auto_revert: bool | None = None
    auto_promote: bool | None = None


class MigrateStrategy(Row, frozen=True, kw_only=True):
    max_parallel: int | None = None
    health_check: str | None = None
    min_healthy_time_ns: int | None = None
    healthy_deadline_ns: int | None = None


class DisconnectStrategy(Row, frozen=True, kw_only=True):
    lost_after_ns: int | None = None
    stop_on_client_after_ns: int | None = None
    replace: bool | None = None
    reconcile: str | None = None


class PeriodicConfig(Row, frozen=True, kw_only=True):
    enabled: bool | None = None
    spec: str | None = None
    specs: Strings = None
    spec_type: str | None = None
    prohibit_overlap: bool | None = None
    time_zone: str | None = None


class ParameterizedJobConfig(Row, frozen=True, kw_only=True):
    payload: str = ""
    meta_required: Strings = None
    meta_optional: Strings = None


class MultiregionStrategy(Row, frozen=True, kw_only=True):
    max_parallel: int | None = None
    on_failure: str | None = None


class MultiregionRegion(Row, frozen=True, kw_only=True):
    name: str = ""
    count: int | None = None
    datacenters: Strings = None
    node_pool: str = ""
    meta: StringMap = None


class Multiregion(Row, frozen=True, kw_only=True):
    strategy: MultiregionStrategy | None = None
    regions: tuple[MultiregionRegion, ...] | None = None


class ScalingPolicy(Row, frozen=True, kw_only=True):
    min: int | None = None
    max: int | None = None
    policy: dict[str, Any] | None = None
    enabled: bool | None = None
    type: str = ""
    id: str = ""
    namespace: str = ""
    target: StringMap = None
    create_index: int = 0
    modify_index: int = 0


class Port(Row, frozen=True, kw_only=True):
    label: str = ""
    value: int = 0
    to: int = 0
    host_network: str = ""
    ignore_collision: bool = False


class NetworkResource(Row, frozen=True, kw_only=True):
    mode: str = ""
    device: str = ""
    cidr: str = ""
    ip: str = ""
    dns: DNSConfig | None = None
    reserved_ports: tuple[Port, ...] | None = None
    dynamic_ports: tuple[Port, ...] | None = None
    hostname: str = ""
    mbits: int | None = None
    cni: CNIConfig | None = None


class RequestedDevice(Row, frozen=True, kw_only=True):
    name: str = ""
    count: int | None = None
    constraints: tuple[Constraint, ...] | None = None
    affinities: tuple[Affinity, ...] | None = None


class Resources(Row, frozen=True, kw_only=True):
    cpu: int | None = None
    cores: int | None = None
    memory_mb: int | None = None
    memory_max_mb: int | None = None
    disk_mb: int | None = None
    networks: tuple[NetworkResource, ...] | None = None
    devices: tuple[RequestedDevice, ...] | None = None
    numa: NUMA | None = None
    secrets_mb: int | None = None
    iops: int | None = None


class CheckRestart(Row, frozen=True, kw_only=True):
    limit: int = 0
    grace_ns: int | None = None
    ignore_warnings: bool = False


class ServiceCheck(Row, frozen=True, kw_only=True):
    name: str = ""
    type: str = ""
    command: str = ""
    args: Strings = None
    path: str = ""
    protocol: str = ""
    port_label: str = ""
    expose: bool = False
    address_mode: str = ""
    advertise: str = ""
    interval_ns: int = 0
    timeout_ns: int = 0
    initial_status: str = ""
    notes: str = ""
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    header: dict[str, tuple[str, ...]] | None = None
    method: str = ""
    check_restart: CheckRestart | None = None
    grpc_service: str = ""
    grpc_use_tls: bool = False
    task_name: str = ""
    success_before_passing: int = 0
    failures_before_critical: int = 0
    failures_before_warning: int = 0
    body: str = ""
    on_update: str = ""


class Service(Row, frozen=True, kw_only=True):
    name: str = ""
    tags: Strings = None
    canary_tags: Strings = None
    enable_tag_override: bool = False
    port_label: str = ""
    address_mode: str = ""
    address: str = ""
    checks: tuple[ServiceCheck, ...] | None = None
    check_restart: CheckRestart | None = None
    connect: ConsulConnect | None = None
    meta: StringMap = None
    canary_meta: StringMap = None
    tagged_addresses: StringMap = None
    task_name: str = ""
    on_update: str = ""
    identity: WorkloadIdentity | None = None
    weights: ServiceWeights | None = None
    provider: str = ""
    cluster: str = ""
    kind: str = ""


class ChangeScript(Row, frozen=True, kw_only=True):
    command: str | None = None
    args: Strings = None
    timeout_ns: int | None = None
    fail_on_error: bool | None = None
    run_on_first_render: bool | None = None


class WaitConfig(Row, frozen=True, kw_only=True):
    min_ns: int | None = None
    max_ns: int | None = None


class Template(Row, frozen=True, kw_only=True):
    source_path: str | None = None
    dest_path: str | None = None
    embedded_tmpl: str | None = None
    change_mode: str | None = None
    change_script: ChangeScript | None = None
    change_signal: str | None = None
    once: bool | None = None
    splay_ns: int | None = None
    perms: str | None = None
    uid: int | None = None
    gid: int | None = None
    left_delim: str | None = None
    right_delim: str | None = None
    envvars: bool | None = None
    vault_grace_ns: int | None = None
    wait: WaitConfig | None = None
    err_missing_key: bool | None = None


class TaskArtifact(Row, frozen=True, kw_only=True):
    getter_source: str | None = None
    getter_options: StringMap = None
    getter_headers: StringMap = None
    getter_mode: str | None = None
    getter_insecure: bool | None = None
    relative_dest: str | None = None
    chown: bool = False


class LogConfig(Row, frozen=True, kw_only=True):
    max_files: int | None = None
    max_file_size_mb: int | None = None
    enabled: bool | None = None
    disabled: bool | None = None


class VolumeMount(Row, frozen=True, kw_only=True):
    volume: str | None = None
    destination: str | None = None
    read_only: bool | None = None
    propagation_mode: str | None = None
    selinux_label: str | None = None


class Vault(Row, frozen=True, kw_only=True):
    policies: Strings = None
    role: str = ""
    namespace: str | None = None
    cluster: str = ""
    env: bool | None = None
    disable_file: bool | None = None
    change_mode: str | None = None
    change_signal: str | None = None
    allow_token_expiration: bool | None = None


class Task(Row, frozen=True, kw_only=True):
    name: str = ""
    driver: str = ""
    user: str = ""
    lifecycle: TaskLifecycleConfig | None = None
    config: dict[str, Any] | None = None
    constraints: tuple[Constraint, ...] | None = None
    affinities: tuple[Affinity, ...] | None = None
    env: StringMap = None
    services: tuple[Service, ...] | None = None
    resources: Resources | None = None
    restart_policy: RestartPolicy | None = None
    meta: StringMap = None
    kill_timeout_ns: int | None = None
    log_config: LogConfig | None = None
    artifacts: tuple[TaskArtifact, ...] | None = None
    vault: Vault | None = None
    consul: Consul | None = None
    templates: tuple[Template, ...] | None = None
    dispatch_payload: DispatchPayloadConfig | None = None
    volume_mounts: tuple[VolumeMount, ...] | None = None
    csi_plugin_config: TaskCSIPluginConfig | msgspec.UnsetType | None = msgspec.UNSET
    leader: bool = False
    shutdown_delay_ns: int = 0
    kill_signal: str = ""
    kind: str = ""
    scaling_policies: tuple[ScalingPolicy, ...] | None = None
    secrets: tuple[Secret, ...] | None = None
    identity: WorkloadIdentity | None = None
    identities: tuple[WorkloadIdentity, ...] | None = None
    actions: tuple[Action, ...] | None = None
    schedule: TaskSchedule | None = None


class EphemeralDisk(Row, frozen=True, kw_only=True):
    sticky: bool | None = None
    migrate: bool | None = None
    size_mb: int | None = None


class VolumeRequest(Row, frozen=True, kw_only=True):
    name: str = ""
    type: str = ""
    source: str = ""
    read_only: bool = False
    sticky: bool = False
    access_mode: str = ""
    attachment_mode: str = ""
    mount_options: CSIMountOptions | None = None
    per_alloc: bool = False


class TaskGroup(Row, frozen=True, kw_only=True):
    name: str | None = None
    count: int | None = None
    constraints: tuple[Constraint, ...] | None = None
    affinities: tuple[Affinity, ...] | None = None
    tasks: tuple[Task, ...] | None = None
    spreads: tuple[Spread, ...] | None = None
    volumes: dict[str, VolumeRequest] | None = None
    restart_policy: RestartPolicy | None = None
    disconnect: DisconnectStrategy | None = None
    reschedule_policy: ReschedulePolicy | None = None
    ephemeral_disk: EphemeralDisk | None = None
    update: UpdateStrategy | None = None
    migrate: MigrateStrategy | None = None
    networks: tuple[NetworkResource, ...] | None = None
    meta: StringMap = None
    services: tuple[Service, ...] | None = None
    shutdown_delay_ns: int | None = None
    max_run_duration_ns: int | None = None
    stop_after_client_disconnect_ns: int | None = None
    max_client_disconnect_ns: int | None = None
    scaling: ScalingPolicy | None = None
    consul: Consul | None = None
    prevent_reschedule_on_lost: bool | None = None


class Job(Row, frozen=True, kw_only=True):
    region: str | None = None
    namespace: str | None = None
    id: str | None = None
    name: str | None = None
    type: str | None = None
    priority: int | None = None
    all_at_once: bool | None = None
    datacenters: Strings = None
    node_pool: str | None = None
    constraints: tuple[Constraint, ...] | None = None
    affinities: tuple[Affinity, ...] | None = None
    task_groups: tuple[TaskGroup, ...] | None = None
    update: UpdateStrategy | None = None
    multiregion: Multiregion | None = None
    spreads: tuple[Spread, ...] | None = None
    periodic: PeriodicConfig | None = None
    parameterized_job: ParameterizedJobConfig | None = None
    reschedule: ReschedulePolicy | None = None
    migrate: MigrateStrategy | None = None
    meta: StringMap = None
    ui: JobUIConfig | None = None
    stop: bool | None = None
    parent_id: str | None = None
    dispatched: bool = False
    dispatch_idempotency_token: str | None = None
    payload: bytes | None = None
    consul_namespace: str | None = None
    vault_namespace: str | None = None
    nomad_token_id: str | None = None
    status: str | None = None
    status_description: str | None = None
    stable: bool | None = None
    version: int | None = None
    submit_time_ns: int | None = None
    create_index: int | None = None
    modify_index: int | None = None
    job_modify_index: int | None = None
    version_tag: JobVersionTag | None = None
