"""Whether a task that ended is started again, and when: the job's `restart` block as a function."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from raftnomad.durations import format_duration
from raftnomad.model.policies import RestartPolicy

JITTER = 0.25
"""A delay is lengthened by up to this share of itself, so that what died together does not start together."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Restarts so far in the interval that began at `interval_started_ns` (wall clock: it outlives the agent)."""

    restarts: int = 0
    interval_started_ns: int = 0


class Ending(StrEnum):
    """How the last attempt ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    START_FAILED = "start failed, another try may help"
    UNRECOVERABLE = "start failed, another try cannot help"


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    delay_ns: int
    reason: str


class GiveUp(msgspec.Struct, frozen=True, kw_only=True):
    """The task has failed."""

    reason: str


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The task has completed."""


Decision = Restart | GiveUp | Done


def decide(
    policy: RestartPolicy | None,
    history: History,
    ending: Ending,
    *,
    restart_on_success: bool,
    now_ns: int,
    chance: float,
) -> tuple[Decision, History]:
    """What becomes of the task, and the history to remember. `chance` in [0, 1) sets the jitter.

    The restart that opens a new interval is the first of that interval.
    """
    policy = policy or RestartPolicy(mode="fail")
    if ending is Ending.SUCCESS and not restart_on_success:
        return Done(), history
    if policy.attempts <= 0:
        return GiveUp(reason="Policy allows no restarts"), history
    if ending is Ending.UNRECOVERABLE:
        return GiveUp(reason="Error was unrecoverable"), history
    started_ns = history.interval_started_ns
    count = history.restarts + 1
    if now_ns > started_ns + policy.interval_ns or now_ns < started_ns:
        started_ns, count = now_ns, 1
    after = History(restarts=count, interval_started_ns=started_ns)
    if count <= policy.attempts:
        delay_ns = policy.delay_ns + int(policy.delay_ns * JITTER * chance)
        return Restart(delay_ns=delay_ns, reason="Restart within policy"), after
    if policy.mode == "delay":
        wait_ns = max(started_ns + policy.interval_ns - now_ns, 0)
        return Restart(delay_ns=wait_ns, reason="Exceeded allowed attempts, applying a delay"), after
    interval = format_duration(policy.interval_ns)
    return GiveUp(
        reason=f'Exceeded allowed attempts {policy.attempts} in interval {interval} and mode is "fail"'
    ), after
