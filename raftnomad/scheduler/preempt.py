"""Who has to go, so that an allocation of a more important job finds room on a node."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from raftnomad.model.scheduler_configuration import SchedulerConfiguration
from raftnomad.model.status import JobType
from raftnomad.scheduler.input import Victim

PRIORITY_DISTANCE = 10
"""Jobs that are nearer to each other leave each other alone."""


def may_preempt(configuration: SchedulerConfiguration, job_type: str) -> bool:
    """Only system and sysbatch jobs: what others would need is not built."""
    preemption = configuration.preemption_config
    if job_type == JobType.SYSTEM:
        return preemption.system_scheduler_enabled
    return job_type == JobType.SYSBATCH and preemption.sys_batch_scheduler_enabled


def choose(
    victims: Sequence[Victim],
    missing: Callable[[], np.ndarray[tuple[int], np.dtype[np.float64]]],
    fits: Callable[[], bool],
    free: Callable[[Victim], None],
    occupy: Callable[[Victim], None],
) -> list[Victim]:
    """The least important ones, of equal ones those that come nearest to what is missing; none when all would not do.

    `missing` says what the node is short of, `fits` whether it takes the allocation now; `free` and `occupy` move a
    victim out of the node's room and back. Those that are chosen are left out of it.
    """
    chosen: list[Victim] = []
    rest = list(victims)
    while not fits() and rest:
        short = missing()
        one = min(rest, key=lambda victim: (victim.priority, _distance(victim, short), victim.alloc.id))
        rest.remove(one)
        free(one)
        chosen.append(one)
    if not fits():
        for one in chosen:
            occupy(one)
        return []
    # A large one that came last may have made an earlier one's going unnecessary: spare the most important first.
    for one in sorted(chosen, key=lambda victim: (-victim.priority, victim.alloc.id)):
        occupy(one)
        if fits():
            chosen.remove(one)
        else:
            free(one)
    return chosen


def _distance(victim: Victim, short: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """How far its use is from what is missing, each resource in proportion; of what is not missing, nothing counts."""
    wanted = np.maximum(short, 0)
    scale = np.where(wanted > 0, wanted, 1)
    return float(np.sqrt((np.where(wanted > 0, (wanted - np.array(victim.alloc.demand)) / scale, 0) ** 2).sum()))
