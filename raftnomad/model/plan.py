"""What a scheduler proposes for one evaluation, as the log carries it: placements by column, stops, updates.

A thousand placements of one group share their resources and metrics, so a block names those once and keeps what
differs as packed bytes: about 23 bytes an allocation.
"""

from __future__ import annotations

from raftnomad.model.allocation import AllocMetric, RescheduleTracker
from raftnomad.model.deployment import Deployment
from raftnomad.model.evaluation import PlanAnnotations
from raftnomad.model.resources import AllocatedResources
from raftnomad.model.row import Row


class PlacementBlock(Row, frozen=True, kw_only=True):
    """New allocations of one task group, by column; row `i` of each column is one allocation.

    alloc_ids: 16 bytes each, the UUID's bytes. node_index: u32 little-endian each, a position in `node_ids`.
    name_index: u32 little-endian each, the number in `job.group[number]`. ports: u16 little-endian each,
    `len(port_labels)` per allocation, in the order of `port_labels`: every port of the group's network first, then of
    its tasks' networks. `resources` is what each allocation gets, with dynamic port values left 0.
    """

    task_group: str = ""
    alloc_ids: bytes = b""
    node_ids: tuple[str, ...] = ()
    node_index: bytes = b""
    name_index: bytes = b""
    port_labels: tuple[str, ...] = ()
    ports: bytes = b""
    host_ips: tuple[str, ...] = ()
    """The address that each node of `node_ids` gives to the group's ports."""
    resources: AllocatedResources = AllocatedResources()
    metrics: AllocMetric | None = None
    deployment_id: str = ""
    canary: bool = False
    previous: dict[int, str] | None = None
    """Row number -> the id of the allocation that this one replaces."""
    reschedule_trackers: dict[int, RescheduleTracker] | None = None
    """Row number -> the tracker, for replacements that count as rescheduling."""
    job_version: int | None = None
    """The job's version, when it is not the plan's: while canaries run, what goes away is replaced as it was."""


class AllocStop(Row, frozen=True, kw_only=True):
    """An allocation that should stop running, or that is known to be lost."""

    alloc_id: str = ""
    desired_status: str = "stop"
    desired_description: str = ""
    client_status: str = ""
    """Set (`lost`, `unknown`) when the scheduler says what the client can't; else empty."""
    followup_eval_id: str = ""
    preempted_by: str = ""
    client_description: str = ""


class AllocUpdate(Row, frozen=True, kw_only=True):
    """An allocation that goes on running under the plan's version of the job (an in-place update), or is only
    annotated (a follow-up evaluation, a reconnect)."""

    alloc_id: str = ""
    to_plan_job: bool = True
    resources: AllocatedResources | None = None
    deployment_id: str = ""
    followup_eval_id: str = ""
    desired_description: str = ""
    canary: bool = False


class DeploymentUpdate(Row, frozen=True, kw_only=True):
    deployment_id: str = ""
    status: str = ""
    status_description: str = ""


class Plan(Row, frozen=True, kw_only=True):
    """The job is named, never carried: the state holds every version that a live allocation refers to."""

    eval_id: str = ""
    namespace: str = ""
    job_id: str = ""
    job_version: int = 0
    job_create_index: int = 0
    priority: int = 50
    all_at_once: bool = False
    placements: tuple[PlacementBlock, ...] = ()
    stops: tuple[AllocStop, ...] = ()
    updates: tuple[AllocUpdate, ...] = ()
    deployment: Deployment | None = None
    deployment_updates: tuple[DeploymentUpdate, ...] = ()
    annotations: PlanAnnotations | None = None
    snapshot_index: int = 0
    """The index of the state that the scheduler saw."""
