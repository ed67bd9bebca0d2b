"""Who has to go, so that an allocation of a more important job finds room on a node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from raftnomad.model.scheduler_configuration import SchedulerConfiguration
from raftnomad.model.status import JobType
from raftnomad.scheduler.ask import Given
from raftnomad.scheduler.input import Victim
from raftnomad.scheduler.rank import GroupRank

PRIORITY_DISTANCE = 10
"""Jobs that are nearer to each other leave each other alone."""
NODES_MAX = 100
"""So many nodes are looked at for a place for a service or batch job."""


def may_preempt(configuration: SchedulerConfiguration, job_type: str) -> bool:
    preemption = configuration.preemption_config
    return {
        JobType.SYSTEM: preemption.system_scheduler_enabled,
        JobType.SYSBATCH: preemption.sys_batch_scheduler_enabled,
        JobType.BATCH: preemption.batch_scheduler_enabled,
    }.get(JobType(job_type), preemption.service_scheduler_enabled)


def make_room(rank: GroupRank, slot: int, victims: Sequence[Victim]) -> list[Victim]:
    """The least important ones, of equal ones those that come nearest to what is missing; none when all would not do.

    Those that are chosen have left the node's room.
    """
    chosen: list[Victim] = []
    rest = list(victims)
    room = rank.room
    while rest and not _fits(rank, slot):
        short = _missing(rank, slot)
        one = min(rest, key=lambda victim: (victim.priority, _distance(victim, short), victim.alloc.id))
        rest.remove(one)
        room.free(one.alloc)
        chosen.append(one)
    if not _fits(rank, slot):
        for one in chosen:
            room.occupy(one.alloc)
        return []
    # A large one that came last may have made an earlier one's going unnecessary: spare the most important first.
    for one in sorted(chosen, key=lambda victim: (-victim.priority, victim.alloc.id)):
        room.occupy(one.alloc)
        if _fits(rank, slot):
            chosen.remove(one)
        else:
            room.free(one.alloc)
    return chosen


def _missing(rank: GroupRank, slot: int) -> NDArray[np.float64]:
    short: NDArray[np.float64] = rank.room.used[slot] + rank.demand[slot] - rank.room.nodes.total[slot]
    return short


def _fits(rank: GroupRank, slot: int) -> bool:
    room = rank.room
    if (_missing(rank, slot) > 0).any() or room.limit_of(slot) < 1:
        return False
    given = room.give(slot, rank.ask) if rank.ask.by_name else Given()
    if isinstance(given, str):
        return False
    room.release(slot, rank.ask, given)
    return True


def _distance(victim: Victim, short: NDArray[np.float64]) -> float:
    """How far its use is from what is missing, each resource in proportion; of what is not missing, nothing counts."""
    wanted = np.maximum(short, 0)
    scale = np.where(wanted > 0, wanted, 1)
    return float(np.sqrt((np.where(wanted > 0, (wanted - np.array(victim.alloc.demand)) / scale, 0) ** 2).sum()))
