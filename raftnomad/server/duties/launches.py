"""Periodic jobs: when a schedule's time has come, the job has a child for it, exactly one, whoever leads.

The state remembers for which time each job was launched last. Schedules name wall-clock times, so the clock of the
leader decides. Of the times that went by while nobody led, the last one is made up for.
"""

from __future__ import annotations

from raftnomad.fsm.commands import LaunchPeriodicJob
from raftnomad.fsm.state import JobKey, State
from raftnomad.model.cron import next_launch
from raftnomad.model.job import Job
from raftnomad.model.policies import PeriodicConfig
from raftnomad.model.status import EvalTrigger
from raftnomad.server.duties.decision import Decision
from raftnomad.server.triggered import NewId, evaluation_of

SECOND_NS = 1_000_000_000
LOOK_AGAIN_S = 30.0
"""A wall clock may be set, and then the wait for the next launch was too long."""


class Schedules:
    """What each job's schedule says next: asking it is dear, and most of the time nothing has changed."""

    def __init__(self) -> None:
        self.since_s: int | None = None
        """When the leader began to look."""
        self._known: dict[JobKey, tuple[PeriodicConfig, int, int | None]] = {}

    def next_s(self, job: Job, after_s: int) -> int | None:
        key = (job.namespace, job.id)
        assert job.periodic is not None
        known = self._known.get(key)
        if known is None or known[:2] != (job.periodic, after_s):
            known = self._known[key] = (job.periodic, after_s, _next_s(job.periodic, after_s))
        return known[2]

    def keep_only(self, keys: dict[JobKey, None]) -> None:
        if len(self._known) > len(keys):
            self._known = {key: known for key, known in self._known.items() if key in keys}


def decide(state: State, schedules: Schedules, now_ns: int, epoch: int, new_id: NewId) -> Decision:
    now_s = now_ns // SECOND_NS
    since_s = schedules.since_s = schedules.since_s if schedules.since_s is not None else now_s
    commands: list[LaunchPeriodicJob] = []
    again_s = LOOK_AGAIN_S
    jobs = state.periodic_jobs()
    schedules.keep_only({(job.namespace, job.id): None for job in jobs})
    for job in jobs:
        after_s = settled_until_s(state, job, now_s, since_s)
        first_s = schedules.next_s(job, after_s)
        if first_s is None:
            continue
        if first_s > now_s:
            again_s = min(again_s, first_s - now_ns / SECOND_NS)
            continue
        assert job.periodic is not None
        commands.append(
            LaunchPeriodicJob(
                namespace=job.namespace,
                job_id=job.id,
                launch_s=last_missed_s(job.periodic, first_s, now_s),
                evaluation=evaluation_of(job, EvalTrigger.PERIODIC_JOB, new_id, now_ns),
                epoch=epoch,
            )
        )
        again_s = 0.0
    return Decision(tuple(commands), again_s)


def settled_until_s(state: State, job: Job, now_s: int, since_s: int) -> int:
    """The time after which the job's launches are still open: its last launch, or when this version was submitted.

    A time that has not come yet is that of a server whose clock was ahead. The job must not wait for it: what is due
    since this leader began to look is open.
    """
    last = state.periodic_launches.get((job.namespace, job.id))
    times = (job.submit_time_ns // SECOND_NS, last.launch_s if last is not None else 0)
    return max(time if time <= now_s else since_s for time in times)


def last_missed_s(periodic: PeriodicConfig, first_s: int, now_s: int) -> int:
    """The schedule's last time that is not after `now_s`; `first_s` is an earlier one, or the same."""
    early_s, late_s = first_s - 1, now_s
    if not _has_come(_next_s(periodic, first_s), now_s):
        return first_s
    while late_s - early_s > 1:
        middle_s = (early_s + late_s) // 2
        if _has_come(_next_s(periodic, middle_s), now_s):
            early_s = middle_s
        else:
            late_s = middle_s
    return late_s


def _has_come(launch_s: int | None, now_s: int) -> bool:
    return launch_s is not None and launch_s <= now_s


def _next_s(periodic: PeriodicConfig, after_s: int) -> int | None:
    """None also for a schedule that can't be read: it was refused, or an older raftnomad has taken it."""
    try:
        launch = next_launch(periodic, after_s * SECOND_NS)
    except ValueError:
        return None
    return None if launch is None else int(launch.timestamp())
