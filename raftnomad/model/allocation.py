"""One task group placed on one node: what is desired, what the client says, and why it was placed there."""

from __future__ import annotations

from raftnomad.model.job import Job
from raftnomad.model.resources import AllocatedResources, DNSConfig, Resources
from raftnomad.model.row import ZERO_TIME, Row, Time


class DesiredTransition(Row, frozen=True, kw_only=True):
    migrate: bool | None = None
    reschedule: bool | None = None
    force_reschedule: bool | None = None
    no_shutdown_delay: bool | None = None
    migrate_disable_placement: bool | None = None


class AllocDeploymentStatus(Row, frozen=True, kw_only=True):
    healthy: bool | None = None
    timestamp: Time = ZERO_TIME
    canary: bool = False
    modify_index: int = 0


class RescheduleEvent(Row, frozen=True, kw_only=True):
    reschedule_time_ns: int = 0
    prev_alloc_id: str = ""
    prev_node_id: str = ""
    delay_ns: int = 0


class RescheduleTracker(Row, frozen=True, kw_only=True):
    events: tuple[RescheduleEvent, ...] | None = None
    last_reschedule: str = ""


class AllocNetworkStatus(Row, frozen=True, kw_only=True):
    interface_name: str = ""
    address: str = ""
    address_ipv6: str = ""
    dns: DNSConfig | None = None


class NodeScoreMeta(Row, frozen=True, kw_only=True):
    node_id: str = ""
    scores: dict[str, float] | None = None
    norm_score: float = 0.0


class AllocMetric(Row, frozen=True, kw_only=True):
    nodes_evaluated: int = 0
    nodes_filtered: int = 0
    nodes_in_pool: int = 0
    node_pool: str = ""
    nodes_available: dict[str, int] | None = None
    class_filtered: dict[str, int] | None = None
    constraint_filtered: dict[str, int] | None = None
    nodes_exhausted: int = 0
    class_exhausted: dict[str, int] | None = None
    dimension_exhausted: dict[str, int] | None = None
    quota_exhausted: tuple[str, ...] | None = None
    resources_exhausted: dict[str, Resources] | None = None
    scores: dict[str, float] | None = None
    score_meta_data: tuple[NodeScoreMeta, ...] | None = None
    allocation_time_ns: int = 0
    coalesced_failures: int = 0


class AllocState(Row, frozen=True, kw_only=True):
    field: int = 0
    """0 is the client status, the only one there is."""
    value: str = ""
    time: Time = ZERO_TIME


class TaskEvent(Row, frozen=True, kw_only=True):
    type: str = ""
    time_ns: int = 0
    message: str = ""
    display_message: str = ""
    details: dict[str, str] | None = None
    fails_task: bool = False
    restart_reason: str = ""
    setup_error: str = ""
    driver_error: str = ""
    exit_code: int = 0
    signal: int = 0
    kill_timeout_ns: int = 0
    kill_error: str = ""
    kill_reason: str = ""
    start_delay_ns: int = 0
    download_error: str = ""
    validation_error: str = ""
    disk_limit: int = 0
    failed_sibling: str = ""
    vault_error: str = ""
    task_signal_reason: str = ""
    task_signal: str = ""
    driver_message: str = ""
    generic_source: str = ""


class TaskState(Row, frozen=True, kw_only=True):
    state: str = ""
    failed: bool = False
    restarts: int = 0
    last_restart: Time = ZERO_TIME
    started_at: Time = ZERO_TIME
    finished_at: Time = ZERO_TIME
    events: tuple[TaskEvent, ...] | None = None
    paused: str = ""


class Allocation(Row, frozen=True, kw_only=True, omit_defaults=True):
    id: str = ""
    namespace: str = ""
    eval_id: str = ""
    name: str = ""
    node_id: str = ""
    node_name: str = ""
    job_id: str = ""
    job: Job | None = None
    task_group: str = ""
    resources: Resources | None = None
    shared_resources: Resources | None = None
    task_resources: dict[str, Resources] | None = None
    allocated_resources: AllocatedResources | None = None
    metrics: AllocMetric | None = None
    desired_status: str = ""
    desired_description: str = ""
    desired_transition: DesiredTransition = DesiredTransition()
    client_status: str = ""
    client_description: str = ""
    task_states: dict[str, TaskState] | None = None
    alloc_states: tuple[AllocState, ...] | None = None
    previous_allocation: str = ""
    next_allocation: str = ""
    deployment_id: str = ""
    deployment_status: AllocDeploymentStatus | None = None
    reschedule_tracker: RescheduleTracker | None = None
    network_status: AllocNetworkStatus | None = None
    followup_eval_id: str = ""
    preempted_allocations: tuple[str, ...] | None = None
    preempted_by_allocation: str = ""
    signing_key_id: str = ""
    create_index: int = 0
    modify_index: int = 0
    alloc_modify_index: int = 0
    create_time_ns: int = 0
    modify_time_ns: int = 0


class AllocListStub(Row, frozen=True, kw_only=True):
    id: str = ""
    eval_id: str = ""
    name: str = ""
    namespace: str = ""
    node_id: str = ""
    node_name: str = ""
    job_id: str = ""
    job_type: str = ""
    job_version: int = 0
    task_group: str = ""
    allocated_resources: AllocatedResources | None = None
    desired_status: str = ""
    desired_description: str = ""
    client_status: str = ""
    client_description: str = ""
    desired_transition: DesiredTransition = DesiredTransition()
    task_states: dict[str, TaskState] | None = None
    deployment_status: AllocDeploymentStatus | None = None
    followup_eval_id: str = ""
    next_allocation: str = ""
    reschedule_tracker: RescheduleTracker | None = None
    preempted_allocations: tuple[str, ...] | None = None
    preempted_by_allocation: str = ""
    create_index: int = 0
    modify_index: int = 0
    create_time_ns: int = 0
    modify_time_ns: int = 0
