"""A job, its task groups and tasks, as users submit them and as the log keeps them."""

from __future__ import annotations

from typing import Any

import msgspec

from raftnomad.model.policies import (
    DisconnectStrategy,
    MigrateStrategy,
    Multiregion,
    ParameterizedJobConfig,
    PeriodicConfig,
    ReschedulePolicy,
    RestartPolicy,
    ScalingPolicy,
    UpdateStrategy,
)
from raftnomad.model.resources import Affinity, Constraint, NetworkResource, Resources, Spread, TaskLifecycleConfig
from raftnomad.model.row import Row
from raftnomad.model.service import Consul, Service, WorkloadIdentity


class ChangeScript(Row, frozen=True, kw_only=True):
    command: str = ""
    args: tuple[str, ...] | None = None
    timeout_ns: int = 0
    fail_on_error: bool = False
    run_on_first_render: bool = False


class WaitConfig(Row, frozen=True, kw_only=True):
    min_ns: int | None = None
    max_ns: int | None = None


class Template(Row, frozen=True, kw_only=True):
    source_path: str = ""
    dest_path: str = ""
    embedded_tmpl: str = ""
    change_mode: str = ""
    change_signal: str = ""
    change_script: ChangeScript | None = None
    once: bool = False
    splay_ns: int = 0
    perms: str = ""
    uid: int | None = None
    gid: int | None = None
    left_delim: str = ""
    right_delim: str = ""
    envvars: bool = False
    vault_grace_ns: int = 0
    wait: WaitConfig | None = None
    err_missing_key: bool = False


class TaskArtifact(Row, frozen=True, kw_only=True):
    getter_source: str = ""
    getter_options: dict[str, str] | None = None
    getter_headers: dict[str, str] | None = None
    getter_mode: str = ""
    getter_insecure: bool = False
    relative_dest: str = ""
    chown: bool = False


class LogConfig(Row, frozen=True, kw_only=True):
    max_files: int = 0
    max_file_size_mb: int = 0
    disabled: bool = False


class DispatchPayloadConfig(Row, frozen=True, kw_only=True):
    file: str = ""


class VolumeMount(Row, frozen=True, kw_only=True):
    volume: str = ""
    destination: str = ""
    read_only: bool = False
    propagation_mode: str = ""
    selinux_label: str = ""


class TaskCSIPluginConfig(Row, frozen=True, kw_only=True):
    id: str = ""
    type: str = ""
    mount_dir: str = ""
    stage_publish_base_dir: str = ""
    health_timeout_ns: int = 0


class Action(Row, frozen=True, kw_only=True):
    name: str = ""
    command: str = ""
    args: tuple[str, ...] | None = None


class TaskScheduleCron(Row, frozen=True, kw_only=True):
    start: str = ""
    end: str = ""
    timezone: str = ""


class TaskSchedule(Row, frozen=True, kw_only=True):
    cron: TaskScheduleCron | None = None


class Vault(Row, frozen=True, kw_only=True):
    role: str = ""
    policies: tuple[str, ...] | None = None
    namespace: str = ""
    cluster: str = ""
    env: bool = False
    disable_file: bool = False
    change_mode: str = ""
    change_signal: str = ""
    allow_token_expiration: bool = False


class Secret(Row, frozen=True, kw_only=True):
    name: str = ""
    provider: str = ""
    path: str = ""
    config: dict[str, Any] | None = None
    env: dict[str, str] | None = None


class Task(Row, frozen=True, kw_only=True):
    name: str = ""
    driver: str = ""
    user: str = ""
    config: dict[str, Any] | None = None
    env: dict[str, str] | None = None
    services: tuple[Service, ...] | None = None
    vault: Vault | None = None
    secrets: tuple[Secret, ...] | None = None
    consul: Consul | None = None
    templates: tuple[Template, ...] | None = None
    constraints: tuple[Constraint, ...] | None = None
    affinities: tuple[Affinity, ...] | None = None
    resources: Resources | None = None
    restart_policy: RestartPolicy | None = None
    dispatch_payload: DispatchPayloadConfig | None = None
    lifecycle: TaskLifecycleConfig | None = None
    meta: dict[str, str] | None = None
    kill_timeout_ns: int = 0
    log_config: LogConfig | None = None
    artifacts: tuple[TaskArtifact, ...] | None = None
    leader: bool = False
    shutdown_delay_ns: int = 0
    volume_mounts: tuple[VolumeMount, ...] | None = None
    scaling_policies: tuple[ScalingPolicy, ...] | None = None
    kill_signal: str = ""
    kind: str = ""
    csi_plugin_config: TaskCSIPluginConfig | None = None
    identity: WorkloadIdentity | None = None
    identities: tuple[WorkloadIdentity, ...] | None = None
    actions: tuple[Action, ...] | None = None
    schedule: TaskSchedule | None = None


class CSIMountOptions(Row, frozen=True, kw_only=True):
    fs_type: str = ""
    mount_flags: tuple[str, ...] | None = None


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


class EphemeralDisk(Row, frozen=True, kw_only=True):
    sticky: bool = False
    size_mb: int = 0
    migrate: bool = False


class TaskGroup(Row, frozen=True, kw_only=True):
    name: str = ""
    count: int = 0
    update: UpdateStrategy | None = None
    migrate: MigrateStrategy | None = None
    constraints: tuple[Constraint, ...] | None = None
    scaling: ScalingPolicy | None = None
    restart_policy: RestartPolicy | None = None
    disconnect: DisconnectStrategy | None = None
    tasks: tuple[Task, ...] | None = None
    ephemeral_disk: EphemeralDisk | None = None
    meta: dict[str, str] | None = None
    reschedule_policy: ReschedulePolicy | None = None
    affinities: tuple[Affinity, ...] | None = None
    spreads: tuple[Spread, ...] | None = None
    networks: tuple[NetworkResource, ...] | None = None
    consul: Consul | None = None
    services: tuple[Service, ...] | None = None
    volumes: dict[str, VolumeRequest] | None = None
    shutdown_delay_ns: int | None = None
    max_run_duration_ns: int | None = None
    stop_after_client_disconnect_ns: int | None = None
    max_client_disconnect_ns: int | None = None
    prevent_reschedule_on_lost: bool = False


class JobUILink(Row, frozen=True, kw_only=True):
    label: str = ""
    url: str = msgspec.field(default="", name="Url")


class JobUIConfig(Row, frozen=True, kw_only=True):
    description: str = ""
    links: tuple[JobUILink, ...] | None = None


class JobVersionTag(Row, frozen=True, kw_only=True):
    name: str = ""
    description: str = ""
    tagged_time_ns: int = 0


class Job(Row, frozen=True, kw_only=True):
    stop: bool = False
    region: str = ""
    namespace: str = ""
    id: str = ""
    parent_id: str = ""
    name: str = ""
    type: str = ""
    priority: int = 0
    all_at_once: bool = False
    datacenters: tuple[str, ...] | None = None
    node_pool: str = ""
    constraints: tuple[Constraint, ...] | None = None
    affinities: tuple[Affinity, ...] | None = None
    spreads: tuple[Spread, ...] | None = None
    task_groups: tuple[TaskGroup, ...] | None = None
    update: UpdateStrategy = UpdateStrategy()
    multiregion: Multiregion | None = None
    periodic: PeriodicConfig | None = None
    parameterized_job: ParameterizedJobConfig | None = None
    dispatched: bool = False
    dispatch_idempotency_token: str = ""
    payload: bytes | None = None
    meta: dict[str, str] | None = None
    consul_namespace: str = ""
    vault_namespace: str = ""
    nomad_token_id: str = ""
    status: str = ""
    status_description: str = ""
    stable: bool = False
    version: int = 0
    submit_time_ns: int = 0
    create_index: int = 0
    modify_index: int = 0
    job_modify_index: int = 0
    ui: JobUIConfig | None = None
    version_tag: JobVersionTag | None = None


class JobChildrenSummary(Row, frozen=True, kw_only=True):
    pending: int = 0
    running: int = 0
    dead: int = 0


class TaskGroupSummary(Row, frozen=True, kw_only=True):
    queued: int = 0
    complete: int = 0
    failed: int = 0
    running: int = 0
    starting: int = 0
    lost: int = 0
    unknown: int = 0


class JobSummary(Row, frozen=True, kw_only=True):
    job_id: str = ""
    namespace: str = ""
    summary: dict[str, TaskGroupSummary] | None = None
    children: JobChildrenSummary | None = None
    create_index: int = 0
    modify_index: int = 0


class JobListStub(Row, frozen=True, kw_only=True):
    id: str = ""
    parent_id: str = ""
    name: str = ""
    namespace: str = ""
    datacenters: tuple[str, ...] | None = None
    node_pool: str = ""
    multiregion: Multiregion | None = None
    type: str = ""
    priority: int = 0
    periodic: bool = False
    parameterized_job: bool = False
    stop: bool = False
    status: str = ""
    status_description: str = ""
    job_summary: JobSummary | None = None
    create_index: int = 0
    modify_index: int = 0
    job_modify_index: int = 0
    submit_time_ns: int = 0
    meta: dict[str, str] | None = None


class JobSubmission(Row, frozen=True, kw_only=True):
    source: str = ""
    format: str = ""
    variable_flags: dict[str, str] | None = None
    variables: str = ""
    namespace: str = ""
    job_id: str = ""
    version: int = 0
    job_modify_index: int = 0
