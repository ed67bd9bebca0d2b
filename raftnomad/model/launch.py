"""When a periodic job was launched last, so that no launch happens twice, whoever leads."""

from __future__ import annotations

from raftnomad.model.row import Row


class PeriodicLaunch(Row, frozen=True, kw_only=True):
    namespace: str = "default"
    job_id: str = ""
    launch_s: int = 0
    """The time that the schedule names, in seconds since 1970; the launch itself comes a little later."""
    create_index: int = 0
    modify_index: int = 0
