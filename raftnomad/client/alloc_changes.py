"""What the servers' list of this node's allocations means for what runs here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raftnomad.model.allocation import Allocation
from raftnomad.model.status import TERMINAL_CLIENT_STATUSES, DesiredStatus

STALE_PATIENCE_S = 300.0
"""A server that lags behind what was seen already is not believed; after so long, the cluster was restored."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    fetch: tuple[str, ...]
    """New here, or changed at the servers since."""
    forget: tuple[str, ...]
    """The servers have collected these: destroy them."""


def compare(local: Mapping[str, int], servers: Mapping[str, int]) -> Difference:
    """Both map an allocation's id to its AllocModifyIndex."""
    fetch = tuple(id for id, index in servers.items() if local.get(id, -1) < index)
    return Difference(fetch=fetch, forget=tuple(id for id in local if id not in servers))


@dataclass(frozen=True, kw_only=True)
class Plan:
    start: tuple[Allocation, ...] = ()
    update: tuple[Allocation, ...] = ()
    ignore: tuple[Allocation, ...] = ()
    """Over and not remembered here, or not whole."""
    decline: tuple[Allocation, ...] = ()
    """Stopped before this client ever ran them: say so, since their place is taken until the client has spoken."""


def plan(local: Mapping[str, int], fetched: Iterable[Allocation]) -> Plan:
    start, update, ignore, decline = [], [], [], []
    for alloc in fetched:
        if alloc.id in local:
            update.append(alloc)
        elif alloc.client_status in TERMINAL_CLIENT_STATUSES or not is_whole(alloc):
            ignore.append(alloc)
        elif alloc.desired_status == DesiredStatus.RUN:
            start.append(alloc)
        else:
            decline.append(alloc)
    return Plan(start=tuple(start), update=tuple(update), ignore=tuple(ignore), decline=tuple(decline))


def is_whole(alloc: Allocation) -> bool:
    """Whether it says what to run: its job, and in it the group that it is of."""
    groups = (alloc.job.task_groups if alloc.job is not None else None) or ()
    return any(group.name == alloc.task_group for group in groups)


def is_stale(index: int, highest_seen: int, lagging_for_s: float) -> bool:
    """Whether an answer at `index` must not be acted upon, since something newer was seen."""
    return index < highest_seen and lagging_for_s < STALE_PATIENCE_S
