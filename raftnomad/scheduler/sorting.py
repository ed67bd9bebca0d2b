"""The allocations of a group, sorted by what has happened to them and what has to happen now.

Reconciling a group (`reconcile.py`) begins with this; counts, updates and canaries come after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raftnomad.model.deployment import Deployment
from raftnomad.model.job import Job, TaskGroup
from raftnomad.model.status import ACTIVE_DEPLOYMENT_STATUSES, ClientStatus, DesiredStatus, EvalTrigger, JobType
from raftnomad.scheduler.changes import GroupChanges
from raftnomad.scheduler.input import DISCONNECTED, AllocView, SchedulerInput
from raftnomad.scheduler.reschedule import next_reschedule

RESCHEDULE_WINDOW_NS = 1_000_000_000
"""What may be placed again this soon is placed at once."""


@dataclass(frozen=True)
class Subject:
    """A group of a job as an evaluation finds it; `current` is the deployment of this version, if there is one."""

    input: SchedulerInput
    job: Job
    group: TaskGroup
    allocs: list[AllocView]
    current: Deployment | None

    @property
    def is_batch(self) -> bool:
        return self.job.type == JobType.BATCH

    @property
    def is_deploying(self) -> bool:
        return self.current is not None and self.current.status in ACTIVE_DEPLOYMENT_STATUSES

    def lost_after_ns(self) -> int:
        """How long a client that went away may come back; 0 when it is not waited for."""
        if self.group.disconnect is not None:
            return self.group.disconnect.lost_after_ns
        return self.group.max_client_disconnect_ns or 0


@dataclass
class Sorted:
    """Those that are in none of the lists are past."""

    kept: list[AllocView] = field(default_factory=list)
    migrate: list[AllocView] = field(default_factory=list)
    lost: list[AllocView] = field(default_factory=list)
    now: list[AllocView] = field(default_factory=list)
    """Failed, to be placed again now."""
    ended: list[AllocView] = field(default_factory=list)
    """Told to leave for good: they stop, and nothing comes in their place."""


def sort(subject: Subject, changes: GroupChanges) -> Sorted:
    """What will happen later, and who has just disconnected, goes to `changes` at once."""
    into = Sorted()
    for alloc in subject.allocs:
        if _is_past(subject, alloc):
            continue
        if alloc.desired_status != DesiredStatus.RUN and alloc.no_replacement:
            into.kept.append(alloc)
        else:
            _sort_one(subject, alloc, into, changes)
    return into


def _is_past(subject: Subject, alloc: AllocView) -> bool:
    """It neither runs nor counts: it was told to stop, has a successor, or belongs to a batch run that is over."""
    if not subject.is_batch:
        if alloc.desired_status != DesiredStatus.RUN:
            return True
        if alloc.client_status in (ClientStatus.COMPLETE, ClientStatus.LOST):
            return True
        return alloc.client_status == ClientStatus.FAILED and bool(alloc.next_allocation)
    job = subject.job
    is_old = alloc.job_version != job.version or alloc.job_create_index != job.create_index
    if is_old and alloc.is_terminal:
        return True
    if alloc.desired_status != DesiredStatus.RUN:
        # A drain's deadline ends a batch run for good; what was merely moved and failed at it runs again.
        return not (alloc.ran_well or alloc.no_replacement) or bool(alloc.next_allocation)
    if alloc.client_status == ClientStatus.LOST:
        return True
    return alloc.client_status == ClientStatus.FAILED and bool(alloc.next_allocation)


def _sort_one(subject: Subject, alloc: AllocView, into: Sorted, changes: GroupChanges) -> None:
    taint = subject.input.tainted.get(alloc.node_id, "")
    if alloc.client_status == ClientStatus.FAILED:
        _sort_failed(subject, alloc, into, changes)
    elif alloc.client_status == ClientStatus.COMPLETE:
        into.kept.append(alloc)
    elif taint == DISCONNECTED and subject.lost_after_ns():
        _sort_disconnected(subject, alloc, into, changes)
    elif taint:
        into.lost.append(alloc)
    elif alloc.client_status == ClientStatus.UNKNOWN and alloc.next_allocation:
        return
    elif alloc.migrate:
        into.migrate.append(alloc)
    else:
        into.kept.append(alloc)


def _sort_failed(subject: Subject, alloc: AllocView, into: Sorted, changes: GroupChanges) -> None:
    if alloc.force_reschedule:
        into.now.append(alloc)
        return
    is_of_deployment = subject.current is not None and alloc.deployment_id == subject.current.id
    if is_of_deployment and subject.is_deploying and not alloc.reschedule:
        # While a deployment runs, its failures are its own affair until it says otherwise.
        into.kept.append(alloc)
        return
    following = next_reschedule(alloc, subject.group.reschedule_policy)
    if following is None:
        into.kept.append(alloc)
        return
    input = subject.input
    is_followed_up = bool(alloc.followup_eval_id) and alloc.followup_eval_id == input.evaluation.id
    if is_followed_up or following.at_ns - input.now_ns <= RESCHEDULE_WINDOW_NS:
        into.now.append(alloc)
        return
    into.kept.append(alloc)
    if not alloc.followup_eval_id:
        changes.later.append((alloc, following.at_ns))
        changes.count("reschedule_later")


def _sort_disconnected(subject: Subject, alloc: AllocView, into: Sorted, changes: GroupChanges) -> None:
    """The client may come back: the allocation becomes unknown, and may get a replacement meanwhile."""
    input, group = subject.input, subject.group
    if alloc.client_status == ClientStatus.UNKNOWN:
        lost_at_ns = alloc.unknown_since_ns + subject.lost_after_ns()
        if lost_at_ns - input.now_ns <= RESCHEDULE_WINDOW_NS:
            into.lost.append(alloc)
            return
        if input.evaluation.triggered_by == EvalTrigger.MAX_DISCONNECT_TIMEOUT:
            # Another server's clock was ahead: wait once more, or nobody would ever look again.
            changes.disconnected.append((alloc, lost_at_ns))
    else:
        changes.disconnected.append((alloc, input.now_ns + subject.lost_after_ns()))
        changes.count("disconnect")
    if alloc.next_allocation:
        return
    replaces = group.disconnect is None or group.disconnect.replace is not False
    following = next_reschedule(alloc, group.reschedule_policy) if replaces else None
    if following is not None and alloc.client_status != ClientStatus.UNKNOWN:
        changes.later.append((alloc, input.now_ns + following.delay_ns))
        changes.count("reschedule_later")
    elif following is not None and alloc.followup_eval_id == input.evaluation.id:
        into.now.append(alloc)
        return
    into.kept.append(alloc)
