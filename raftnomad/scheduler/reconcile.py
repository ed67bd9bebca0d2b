"""What a service or batch job needs: its allocations compared with what the job asks for.

Pure: it decides what to place, stop, replace, update in place and leave, never where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from raftnomad.model.deployment import Deployment
from raftnomad.model.job import Job, TaskGroup
from raftnomad.model.status import (
    ACTIVE_DEPLOYMENT_STATUSES,
    ClientStatus,
    DeploymentStatus,
    DesiredStatus,
)
from raftnomad.scheduler.changed import must_replace
from raftnomad.scheduler.changes import (
    LOST,
    MIGRATING,
    NOT_NEEDED,
    RECONNECTED,
    UPDATING,
    Changes,
    GroupChanges,
    Placement,
    Why,
    stop_of,
)
from raftnomad.scheduler.deployments import (
    cancel_unneeded,
    complete,
    create_deployment,
    new_state,
)
from raftnomad.scheduler.input import AllocView, SchedulerInput
from raftnomad.scheduler.names import free_indexes, index_of
from raftnomad.scheduler.reschedule import tracker_after
from raftnomad.scheduler.sorting import Sorted, Subject, sort

CanStay = Callable[[Job, TaskGroup, AllocView], bool]
"""Whether the node of an allocation still meets what the group asks for."""


def reconcile(input: SchedulerInput, can_stay: CanStay, new_id: Callable[[], str]) -> Changes:
    job = input.job
    if job is None or job.stop:
        return _stop_all(input)
    updates = cancel_unneeded(input.deployment, job)
    current = None if updates or not _is_of(input.deployment, job) else input.deployment
    by_group: dict[str, list[AllocView]] = {group.name: [] for group in job.task_groups or ()}
    for alloc in input.allocations:
        by_group.setdefault(alloc.task_group, []).append(alloc)
    changes = Changes({}, deployment_updates=updates)
    for group in job.task_groups or ():
        changes.groups[group.name] = _Group(input, job, group, by_group.pop(group.name), current, can_stay).reconcile()
    for name, allocs in by_group.items():
        changes.groups[name] = _stop_group(input, allocs)
    changes.deployment = create_deployment(input, job, changes.groups, current, new_id)
    changes.current = changes.deployment or (
        current if current is not None and current.status in ACTIVE_DEPLOYMENT_STATUSES else None
    )
    changes.deployment_updates.extend(complete(current, changes.groups))
    return changes


def _is_of(deployment: Deployment | None, job: Job) -> bool:
    """An active or failed deployment of this very version; one that succeeded has nothing more to say."""
    return (
        deployment is not None
        and deployment.job_version == job.version
        and deployment.job_create_index == job.create_index
        and deployment.status not in (DeploymentStatus.SUCCESSFUL, DeploymentStatus.CANCELLED)
    )


def _stop_all(input: SchedulerInput) -> Changes:
    changes = Changes({}, deployment_updates=cancel_unneeded(input.deployment, None))
    by_group: dict[str, list[AllocView]] = {}
    for alloc in input.allocations:
        by_group.setdefault(alloc.task_group, []).append(alloc)
    for name, allocs in by_group.items():
        changes.groups[name] = _stop_group(input, allocs)
    return changes


def _stop_group(input: SchedulerInput, allocs: Iterable[AllocView]) -> GroupChanges:
    """The group is not in the job any more, or the job is stopped."""
    changes = GroupChanges(None)
    for alloc in allocs:
        if alloc.is_terminal:
            continue
        lost = alloc.node_id in input.tainted
        changes.stop_now(alloc, LOST if lost else NOT_NEEDED, ClientStatus.LOST if lost else "")
        changes.count("stop")
    return changes


class _Group:
    def __init__(
        self,
        input: SchedulerInput,
        job: Job,
        group: TaskGroup,
        allocs: list[AllocView],
        current: Deployment | None,
        can_stay: CanStay,
    ) -> None:
        self.input = input
        self.job = job
        self.group = group
        self.allocs = allocs
        self.current = current
        self.can_stay = can_stay
        self.subject = Subject(input, job, group, allocs, current)
        self.is_batch = self.subject.is_batch
        self.changes = GroupChanges(group)
        self.strategy = group.update if group.update is not None and group.update.max_parallel > 0 else None
        known = (current.task_groups or {}).get(group.name) if current is not None else None
        self.state = known or (new_state(self.strategy, group.count) if self.strategy is not None else None)

    def reconcile(self) -> GroupChanges:
        changes = self.changes
        sorted_ = sort(self.subject, self.changes)
        canaries = self._take_canaries(sorted_)
        self._stop_duplicates(sorted_)
        self._stop_surplus(sorted_)
        in_place, destructive = self._split_updates(sorted_.kept)
        changes.in_place = in_place
        changes.count("in_place_update", len(in_place))
        is_canarying = self._want_canaries(destructive, canaries)
        placements = self._placements(sorted_, canaries, is_canarying)
        limit = self._limit(sorted_, destructive, placements, is_canarying)
        self._place(placements, sorted_, limit)
        limit -= min(len(placements), limit) if self.strategy else 0
        updated = [] if is_canarying else destructive[: max(limit, 0)]
        for alloc in updated:
            self._replace(alloc, Why.UPDATE, UPDATING)
        changes.count("destructive_update", len(updated))
        for alloc in sorted_.migrate:
            self._replace(alloc, Why.MIGRATE, MIGRATING)
        changes.count("migrate", len(sorted_.migrate))
        changes.count("ignore", len(sorted_.kept) - len(in_place) - len(updated) + len(canaries))
        changes.state = self.state
        changes.is_complete = not (
            changes.place or destructive or in_place or sorted_.migrate or sorted_.now or changes.later
        )
        return changes

    def _take_canaries(self, sorted_: Sorted) -> list[AllocView]:
        """The canaries of the running deployment, out of what is kept; those of others are stopped."""
        canaries = [alloc for alloc in sorted_.kept if alloc.is_canary]
        sorted_.kept = [alloc for alloc in sorted_.kept if not alloc.is_canary]
        mine = []
        for alloc in canaries:
            if self.current is not None and alloc.deployment_id == self.current.id and self.subject.is_deploying:
                mine.append(alloc)
            else:
                self._stop(alloc, NOT_NEEDED)
        return mine

    def _stop_duplicates(self, sorted_: Sorted) -> None:
        """Two live allocations of one name: after a promotion the older version goes; after a reconnect, the one
        that the group's strategy does not keep."""
        by_name: dict[str, AllocView] = {}
        kept: list[AllocView] = []
        for alloc in sorted_.kept:
            other = by_name.get(alloc.name)
            if other is None or alloc.is_terminal or other.is_terminal:
                by_name[alloc.name] = alloc
                kept.append(alloc)
                continue
            loser, description = self._loser(other, alloc)
            self._stop(loser, description)
            if loser is other:
                kept[kept.index(other)] = alloc
                by_name[alloc.name] = alloc
        sorted_.kept = kept

    def _loser(self, older: AllocView, newer: AllocView) -> tuple[AllocView, str]:
        if older.job_version != newer.job_version:
            return (older if older.job_version < newer.job_version else newer), NOT_NEEDED
        if older.next_allocation != newer.id:
            return newer, NOT_NEEDED
        self.changes.count("reconnect")
        if self.group.disconnect is not None and self.group.disconnect.reconcile == "keep_replacement":
            return older, NOT_NEEDED
        return newer, RECONNECTED

    def _stop_surplus(self, sorted_: Sorted) -> None:
        """More than the group's count: those that move go first, then the highest numbers."""
        surplus = len(sorted_.kept) + len(sorted_.migrate) - self.group.count
        for lost in sorted_.lost:
            self._stop(lost, LOST, ClientStatus.LOST)
        for moving in sorted(sorted_.migrate, key=lambda alloc: -index_of(alloc.name)):
            if surplus > 0 or moving.no_replacement:
                sorted_.migrate.remove(moving)
                self._stop(moving, NOT_NEEDED if surplus > 0 else MIGRATING)
                if surplus <= 0:
                    sorted_.ended.append(moving)
                surplus -= 1
        if surplus <= 0:
            return
        live = [alloc for alloc in sorted_.kept if not self._has_run(alloc)]
        # Of equal numbers the younger one goes.
        order = sorted(live, key=lambda alloc: (-index_of(alloc.name), -alloc.create_index, alloc.id))
        for alloc in order[:surplus]:
            sorted_.kept.remove(alloc)
            self._stop(alloc, NOT_NEEDED)

    def _has_run(self, alloc: AllocView) -> bool:
        """A batch run that is over: there is nothing to stop."""
        return self.is_batch and alloc.is_terminal and (alloc.ran_well or alloc.desired_status != DesiredStatus.RUN)

    def _stop(self, alloc: AllocView, description: str, client_status: str = "") -> None:
        self.changes.stop_now(alloc, description, client_status)
        self.changes.count("stop")

    def _split_updates(self, kept: list[AllocView]) -> tuple[list[AllocView], list[AllocView]]:
        in_place: list[AllocView] = []
        destructive: list[AllocView] = []
        changed: dict[int, bool] = {}
        for alloc in kept:
            same_job = alloc.job_create_index == self.job.create_index
            if (same_job and alloc.job_version == self.job.version) or self._is_over(alloc):
                continue
            if alloc.job_version not in changed:
                before = self.input.versions.get(alloc.job_version)
                changed[alloc.job_version] = before is None or must_replace(before, self.job, self.group.name)
            if not same_job or changed[alloc.job_version] or not self.can_stay(self.job, self.group, alloc):
                destructive.append(alloc)
            else:
                in_place.append(alloc)
        return in_place, destructive

    def _is_over(self, alloc: AllocView) -> bool:
        """A batch run that has ended is never run again by an update that leaves it in the count."""
        return self.is_batch and (
            alloc.client_status == ClientStatus.COMPLETE or alloc.desired_status != DesiredStatus.RUN
        )

    def _want_canaries(self, destructive: list[AllocView], canaries: list[AllocView]) -> bool:
        """Place the canaries that are missing; whether the group waits for their promotion."""
        state, strategy = self.state, self.strategy
        if state is None or strategy is None:
            return False
        if destructive and strategy.canary and not state.promoted and not state.desired_canaries:
            state = self.state = msgspec.structs.replace(state, desired_canaries=strategy.canary)
        if not state.desired_canaries or state.promoted:
            return False
        missing = state.desired_canaries - len(canaries)
        if missing > 0 and self._may_progress():
            taken = {index_of(alloc.name) for alloc in canaries}
            preferred = sorted({index_of(alloc.name) for alloc in destructive} - taken)[:missing]
            others = free_indexes(taken | {index_of(alloc.name) for alloc in self.allocs}, missing - len(preferred))
            for index in (*preferred, *others):
                self.changes.place.append(Placement(self.group, self.job, index, Why.CANARY))
            self.changes.count("canary", missing)
        return True

    def _may_progress(self) -> bool:
        return self.current is None or self.current.status not in (DeploymentStatus.PAUSED, DeploymentStatus.FAILED)

    def _placements(self, sorted_: Sorted, canaries: list[AllocView], is_canarying: bool) -> list[Placement]:
        group, now_ns = self.group, self.input.now_ns
        found: list[Placement] = []
        for alloc in sorted_.now:
            stop = None if alloc.client_status == ClientStatus.UNKNOWN else stop_of(alloc, "")
            tracker = tracker_after(alloc, group.reschedule_policy, now_ns)
            job = self._version_for(alloc, is_canarying)
            why = Why.CANARY if alloc.is_canary and is_canarying else Why.RESCHEDULE
            found.append(Placement(group, job, index_of(alloc.name), why, alloc, tracker, stop))
        existing = len(sorted_.kept) + len(sorted_.migrate) + len(sorted_.ended) + len(found)
        for alloc in sorted_.lost:
            if existing >= group.count:
                break
            job = self._version_for(alloc, is_canarying)
            found.append(Placement(group, job, index_of(alloc.name), Why.LOST, alloc, alloc.tracker))
            existing += 1
        here = (*sorted_.kept, *sorted_.migrate, *sorted_.ended)
        in_use = [index_of(alloc.name) for alloc in here] + [placement.index for placement in found]
        in_use += [index_of(alloc.name) for alloc in canaries] if not is_canarying else []
        for index in free_indexes(in_use, max(group.count - existing, 0)):
            found.append(Placement(group, self._version_for(None, is_canarying), index, Why.NEW))
        return found

    def _version_for(self, previous: AllocView | None, is_canarying: bool) -> Job:
        """While canaries are tried, everything else stays with the version that was there before."""
        if not is_canarying or (previous is not None and previous.is_canary):
            return self.job
        if previous is not None:
            return self.input.versions.get(previous.job_version, self.job)
        older = [version for version in self.input.versions if version < self.job.version]
        return self.input.versions[max(older)] if older else self.job

    def _limit(
        self, sorted_: Sorted, destructive: list[AllocView], placements: list[Placement], is_canarying: bool
    ) -> int:
        """How many allocations may be placed or replaced now."""
        strategy = self.strategy
        if strategy is None or not (destructive or placements):
            return self.group.count
        if not self._may_progress() or is_canarying:
            return 0
        limit = strategy.max_parallel
        if self.current is not None:
            for alloc in sorted_.kept:
                if alloc.deployment_id != self.current.id:
                    continue
                if alloc.healthy is False:
                    return 0
                if alloc.healthy is None:
                    limit -= 1
        return max(limit, 0)

    def _place(self, placements: list[Placement], sorted_: Sorted, limit: int) -> None:
        """A deployment that does not progress lets only what went away be replaced."""
        held_back = not self._may_progress()
        for placement in placements:
            previous = placement.previous
            if held_back and (
                previous is None
                or (
                    self.current is not None and previous.deployment_id == self.current.id and placement.why != Why.LOST
                )
            ):
                continue
            self.changes.place.append(placement)
            self.changes.count("place")
            if placement.stop is not None:
                self.changes.count("stop")

    def _replace(self, alloc: AllocView, why: Why, description: str) -> None:
        stop = stop_of(alloc, description)
        tracker = alloc.tracker if why is Why.MIGRATE else None
        placement = Placement(self.group, self.job, index_of(alloc.name), why, alloc, tracker, stop)
        self.changes.place.append(placement)
