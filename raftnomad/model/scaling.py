"""What scaling has done to a job: the last events of each of its groups."""

from __future__ import annotations

from typing import Any

from raftnomad.model.row import Row


class ScalingEvent(Row, frozen=True, kw_only=True):
    """`count` is None when a message was left and nothing was scaled."""

    time_ns: int = 0
    count: int | None = None
    previous_count: int = 0
    message: str = ""
    error: bool = False
    meta: dict[str, Any] | None = None
    eval_id: str | None = None
    create_index: int = 0


class JobScalingEvents(Row, frozen=True, kw_only=True):
    namespace: str = "default"
    job_id: str = ""
    scaling_events: dict[str, tuple[ScalingEvent, ...]] = {}
    """Group -> its events, newest first."""
    modify_index: int = 0
