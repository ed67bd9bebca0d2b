"""Whether a job that is registered again is another specification, so that it becomes a new version."""

from __future__ import annotations

import msgspec

from raftnomad.model.job import Job

_UNSET = Job()
_SET_BY_THE_SERVER = (
    "status",
    "status_description",
    "stable",
    "version",
    "submit_time_ns",
    "create_index",
    "modify_index",
    "job_modify_index",
    "nomad_token_id",
    "version_tag",
)


def specification_changed(old: Job, new: Job) -> bool:
    """Whether the two differ in anything but what servers write into a job by themselves."""
    return _specification(old) != _specification(new)


def _specification(job: Job) -> Job:
    return msgspec.structs.replace(job, **{name: getattr(_UNSET, name) for name in _SET_BY_THE_SERVER})
