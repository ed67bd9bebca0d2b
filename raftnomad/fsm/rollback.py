"""What a failing deployment does to its job: whether it goes back to an older version, and in which words."""

from __future__ import annotations

from collections.abc import Iterable

from raftnomad.fsm.state import State
from raftnomad.model.deployment import Deployment
from raftnomad.model.job import Job
from raftnomad.model.versions import specification_changed

UNHEALTHY = "Failed due to unhealthy allocations"
TOO_SLOW = "Failed due to progress deadline"
BY_USER = "Deployment marked as failed"


def failure(
    state: State, deployment: Deployment, reason: str, groups: Iterable[str] | None = None
) -> tuple[str, int | None]:
    """The status description, and the version to go back to (None: stay), when these groups (or all) have failed."""
    states = deployment.task_groups or {}
    job = state.jobs.get((deployment.namespace, deployment.job_id))
    if job is None or not any(states[name].auto_revert for name in (groups or states) if name in states):
        return reason, None
    stable = stable_version(state, job)
    if stable is None:
        return f"{reason} - no stable job version to auto revert to", None
    if not specification_changed(stable, job):
        # It would be deployed, fail and be rolled back to for ever.
        suffix = f"not rolling back to stable job version {stable.version} as current job has same specification"
        return f"{reason} - {suffix}", None
    return f"{reason} - rolling back to job version {stable.version}", stable.version


def stable_version(state: State, job: Job) -> Job | None:
    """The newest version before the present one that has run well."""
    versions = state.job_versions.get((job.namespace, job.id), ())
    return next((one for one in versions if one.stable and not one.stop and one.version != job.version), None)
