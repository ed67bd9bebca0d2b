"""The policies of groups: restart, reschedule, update, migrate, disconnect, scaling."""

from __future__ import annotations

from raftnomad.durations import format_duration as shown
from raftnomad.model.job import TaskGroup
from raftnomad.model.policies import (
    DisconnectStrategy,
    MigrateStrategy,
    ReschedulePolicy,
    RestartPolicy,
    UpdateStrategy,
)

_SECOND_NS = 1_000_000_000
_DELAY_FUNCTIONS = ("constant", "exponential", "fibonacci")


def restart_errors(policy: RestartPolicy, group: str) -> list[str]:
    errors: list[str] = []
    if policy.mode not in ("delay", "fail"):
        errors.append(f'Unsupported restart mode: "{policy.mode}"')
    elif policy.attempts == 0 and policy.mode != "fail":
        return [f'Restart policy "{policy.mode}" with 0 attempts is ambiguous']
    if policy.interval_ns < 5 * _SECOND_NS:
        errors.append(f"Interval can not be less than 5s (got {shown(policy.interval_ns)})")
    if policy.attempts * policy.delay_ns > policy.interval_ns:
        errors.append(
            f"Nomad can't restart the TaskGroup {policy.attempts} times in an interval of "
            f"{shown(policy.interval_ns)} with a delay of {shown(policy.delay_ns)}"
        )
    return errors


def reschedule_errors(policy: ReschedulePolicy) -> list[str]:
    if policy.attempts <= 0 and not policy.unlimited:
        return []
    errors: list[str] = []
    if policy.attempts > 0 and policy.interval_ns <= 0:
        errors.append("Interval must be a non zero value if Attempts > 0")
    if policy.unlimited and policy.attempts > 0:
        errors.append(
            f"Reschedule Policy with Attempts = {policy.attempts}, Interval = {shown(policy.interval_ns)}, and "
            "Unlimited = true is ambiguous"
        )
        errors.append("If Attempts >0, Unlimited cannot also be set to true")
    known = policy.delay_function in _DELAY_FUNCTIONS
    if policy.delay_ns < 5 * _SECOND_NS:
        errors.append(f"Delay cannot be less than 5s (got {shown(policy.delay_ns)})")
    if not known:
        choice = " ".join(f'"{name}"' for name in _DELAY_FUNCTIONS)
        errors.append(f'Invalid delay function "{policy.delay_function}", must be one of [{choice}]')
    elif policy.delay_function != "constant" and policy.max_delay_ns < policy.delay_ns:
        errors.append(
            f"Max Delay cannot be less than Delay {shown(policy.delay_ns)} (got {shown(policy.max_delay_ns)})"
        )
    if policy.unlimited:
        return errors
    if policy.interval_ns < 15 * _SECOND_NS:
        errors.append(f"Interval cannot be less than 15s (got {shown(policy.interval_ns)})")
    if known and policy.delay_ns > 0:
        errors += _too_many_attempts(policy)
    return errors


def _too_many_attempts(policy: ReschedulePolicy) -> list[str]:
    possible, needed_ns = _possible_attempts(policy)
    if possible >= policy.attempts:
        return []
    what = (
        f"Nomad can only make {possible} attempts in {shown(policy.interval_ns)} with initial delay "
        f"{shown(policy.delay_ns)}"
    )
    if policy.delay_function == "constant":
        what += f' and delay function "{policy.delay_function}"'
    else:
        what += f', delay function "{policy.delay_function}", and delay ceiling {shown(policy.max_delay_ns)}'
    return [what, f"Set the interval to at least {shown(needed_ns)} to accommodate {policy.attempts} attempts"]


def _possible_attempts(policy: ReschedulePolicy) -> tuple[int, int]:
    """How many attempts fit into the interval, and the interval that all of them need, as Nomad reckons."""
    if policy.delay_function == "constant":
        return policy.interval_ns // policy.delay_ns, policy.attempts * policy.delay_ns
    possible, needed_ns, at_ceiling = 0, 0, False
    before, delay_ns = 0, policy.delay_ns
    for attempt in range(policy.attempts):
        wanted_ns = delay_ns
        exponential = policy.delay_function == "exponential"
        if wanted_ns > policy.max_delay_ns:
            wanted_ns = policy.max_delay_ns
            needed_ns = needed_ns + wanted_ns if exponential or at_ceiling else wanted_ns
            at_ceiling = True
        else:
            needed_ns = wanted_ns
        possible += needed_ns <= policy.interval_ns
        if exponential:
            delay_ns *= 2
        elif attempt == 0:
            before = delay_ns
        else:
            before, delay_ns = delay_ns, before + delay_ns
    return possible, needed_ns


def update_errors(update: UpdateStrategy) -> list[str]:
    errors: list[str] = []
    if update.health_check not in ("checks", "task_states", "manual"):
        errors.append(f'Invalid health check given: "{update.health_check}"')
    if update.max_parallel < 0:
        errors.append(f"Max parallel can not be less than zero: {update.max_parallel} < 0")
    if update.canary < 0:
        errors.append(f"Canary count can not be less than zero: {update.canary} < 0")
    if update.canary == 0 and update.auto_promote:
        errors.append("Auto Promote requires a Canary count greater than zero")
    minimum, healthy, progress = update.min_healthy_time_ns, update.healthy_deadline_ns, update.progress_deadline_ns
    if minimum < 0:
        errors.append(f"Minimum healthy time may not be less than zero: {shown(minimum)}")
    if healthy <= 0:
        errors.append(f"Healthy deadline must be greater than zero: {shown(healthy)}")
    if progress < 0:
        errors.append(f"Progress deadline must be zero or greater: {shown(progress)}")
    if minimum >= healthy:
        errors.append(f"Minimum healthy time must be less than healthy deadline: {shown(minimum)} > {shown(healthy)}")
    if progress != 0 and healthy >= progress:
        errors.append(f"Healthy deadline must be less than progress deadline: {shown(healthy)} > {shown(progress)}")
    if update.stagger_ns <= 0:
        errors.append(f"Stagger must be greater than zero: {shown(update.stagger_ns)}")
    return errors


def migrate_errors(migrate: MigrateStrategy) -> list[str]:
    errors: list[str] = []
    if migrate.max_parallel < 0:
        errors.append(f"MaxParallel must be >= 0 but found {migrate.max_parallel}")
    if migrate.health_check not in ("checks", "task_states"):
        errors.append(f'Invalid HealthCheck: "{migrate.health_check}"')
    if migrate.min_healthy_time_ns < 0:
        errors.append(f"MinHealthyTime is {shown(migrate.min_healthy_time_ns)} and must be >= 0")
    if migrate.healthy_deadline_ns < 0:
        errors.append(f"HealthyDeadline is {shown(migrate.healthy_deadline_ns)} and must be >= 0")
    if migrate.min_healthy_time_ns > migrate.healthy_deadline_ns:
        errors.append("MinHealthyTime must be less than HealthyDeadline")
    return errors


def disconnect_errors(disconnect: DisconnectStrategy, job_type: str) -> list[str]:
    errors: list[str] = []
    stop = disconnect.stop_on_client_after_ns
    if disconnect.lost_after_ns < 0:
        errors.append("lost_after cannot be a negative duration")
    if stop is not None:
        if stop < 0:
            errors.append("stop_after cannot be a negative duration")
        if job_type not in ("service", "batch"):
            errors.append("stop_after can only be used with service and batch jobs")
        if disconnect.lost_after_ns != 0:
            errors.append("Disconnect cannot be configured with both lost_after and stop_after")
    if disconnect.reconcile not in ("", "keep_original", "keep_replacement", "best_score", "longest_running"):
        errors.append(f"reconcile option is invalid: {disconnect.reconcile}")
    return errors


def scaling_errors(group: TaskGroup) -> list[str]:
    scaling = group.scaling
    if scaling is None:
        return []
    invalid = "Scaling policy invalid: "
    errors: list[str] = []
    if scaling.max < 0 or (scaling.max == 0 and scaling.min > 0):
        errors.append(f"{invalid}maximum count must be specified and non-negative")
    elif scaling.max < scaling.min:
        errors.append(f"{invalid}maximum count must not be less than minimum count")
    if group.count < scaling.min:
        errors.append(f"{invalid}task group count must not be less than minimum count in scaling policy")
    if group.count > scaling.max:
        errors.append(f"{invalid}task group count must not be greater than maximum count in scaling policy")
    return errors
