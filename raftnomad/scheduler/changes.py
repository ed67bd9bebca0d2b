"""What reconciling a job found to do, group by group, before anything is placed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from raftnomad.model.allocation import RescheduleTracker
from raftnomad.model.deployment import Deployment, DeploymentState
from raftnomad.model.job import Job, TaskGroup
from raftnomad.model.plan import AllocStop, DeploymentUpdate
from raftnomad.model.status import ClientStatus, DesiredStatus
from raftnomad.scheduler.input import DOWN, MISSING, AllocView, SchedulerInput

NOT_NEEDED = "alloc not needed due to job update"
MIGRATING = "alloc is being migrated"
UPDATING = "alloc is being updated due to job update"
LOST = "alloc is lost since its node is down"
UNKNOWN = "alloc is unknown since its node is disconnected"
RECONNECTED = "alloc not needed due to disconnected client reconnect"
NODE_TAINTED = "alloc not needed as node is tainted"


class Why(StrEnum):
    """What a placement is for."""

    NEW = "new"
    MIGRATE = "migrate"
    LOST = "lost"
    RESCHEDULE = "reschedule"
    UPDATE = "update"
    CANARY = "canary"


@dataclass(frozen=True)
class Placement:
    """One allocation to place: number `index` of the group, of `job`'s version (an older one while canaries run).

    `stop` is what to do to the previous allocation, if and only if this one is placed.
    """

    group: TaskGroup
    job: Job
    index: int
    why: Why
    previous: AllocView | None = None
    tracker: RescheduleTracker | None = None
    stop: AllocStop | None = None


@dataclass
class GroupChanges:
    """Counts are those of Nomad's annotations (`DesiredUpdates`)."""

    group: TaskGroup | None
    place: list[Placement] = field(default_factory=list)
    stop: list[tuple[AllocView, AllocStop]] = field(default_factory=list)
    in_place: list[AllocView] = field(default_factory=list)
    later: list[tuple[AllocView, int]] = field(default_factory=list)
    """Failed allocations and when they may be placed again, ns."""
    disconnected: list[tuple[AllocView, int]] = field(default_factory=list)
    """Allocations whose client went away and when they count as lost, ns."""
    counts: dict[str, int] = field(default_factory=dict)
    state: DeploymentState | None = None
    """The group's part of the deployment, when it has an update block."""
    is_complete: bool = True

    def count(self, name: str, number: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + number

    def stop_now(self, alloc: AllocView, description: str, client_status: str = "") -> None:
        self.stop.append((alloc, stop_of(alloc, description, client_status)))


@dataclass
class Changes:
    groups: dict[str, GroupChanges]
    deployment: Deployment | None = None
    """A deployment to create."""
    current: Deployment | None = None
    """The deployment that placements belong to: the new one, or the active one of this version."""
    deployment_updates: list[DeploymentUpdate] = field(default_factory=list)


def gone_with_their_nodes(input: SchedulerInput) -> dict[str, AllocStop]:
    """Allocations that were told to stop and whose node will never say that they did."""
    return {
        alloc.id: stop_of(alloc, LOST, ClientStatus.LOST)
        for alloc in input.allocations
        if alloc.desired_status != DesiredStatus.RUN
        and alloc.uses_node
        and input.tainted.get(alloc.node_id) in (DOWN, MISSING)
    }


def evicted_for(alloc_id: str, victim_id: str) -> AllocStop:
    return AllocStop(
        alloc_id=victim_id,
        desired_status=DesiredStatus.EVICT,
        desired_description=f"Preempted by alloc ID {alloc_id}",
        preempted_by=alloc_id,
    )


def stop_of(alloc: AllocView, description: str, client_status: str = "") -> AllocStop:
    return AllocStop(
        alloc_id=alloc.id, desired_status="stop", desired_description=description, client_status=client_status
    )
