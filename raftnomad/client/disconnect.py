"""How long an allocation may run on without a word from any server."""

from __future__ import annotations

from raftnomad.model.job import TaskGroup


def stop_after_s(group: TaskGroup) -> float | None:
    """Seconds after which its client stops it; None for ever."""
    limit_ns = group.disconnect.stop_on_client_after_ns if group.disconnect is not None else None
    if limit_ns is None:
        limit_ns = group.stop_after_client_disconnect_ns
    return limit_ns / 1e9 if limit_ns else None
