"""Jobs that launch others, periodically or when they are dispatched: when, and what became of those."""

from __future__ import annotations

import datetime
import time
from typing import Any

from raftnomad.cli.output import columns, key_values, local_rfc3339, section
from raftnomad.durations import format_duration


def next_launch(periodic: dict[str, Any]) -> str:
    """`2026-11-25T03:00:00Z (22h30m7s from now)`, whether the launches are enabled or not; empty if there is none."""
    from raftnomad.model import cron
    from raftnomad.model.policies import PeriodicConfig

    now_ns = time.time_ns()  # noqa: TID251 - for a time that is told to a person
    config = PeriodicConfig(
        enabled=True,
        spec=periodic.get("Spec") or "",
        specs=tuple(periodic.get("Specs") or ()) or None,
        time_zone=periodic.get("TimeZone") or "",
    )
    try:
        launch = cron.next_launch(config, now_ns)
    except ValueError:
        return ""
    return "" if launch is None else from_now(launch, now_ns)


def from_now(moment: datetime.datetime, now_ns: int) -> str:
    """A moment to come, and how far off it is, to the second."""
    seconds = round(moment.timestamp()) - now_ns // 1_000_000_000
    utc = moment.astimezone(datetime.UTC).isoformat()
    return f"{local_rfc3339(utc)} ({format_duration(seconds * 1_000_000_000)} from now)"


def parent_sections(job: dict[str, Any], summary: dict[str, Any], stubs: list[dict[str, Any]]) -> list[str]:
    """What `job status` shows of a job that only launches others. stubs: the jobs whose id begins with its own."""
    children = [[stub["ID"], stub["Status"]] for stub in stubs if stub["ParentID"] == job["ID"]]
    counts = summary.get("Children") or {}
    states = ["Pending", "Running", "Dead"]
    table = columns([states, [str(counts.get(state, 0)) for state in states]])
    launched = columns([["ID", "Status"], *sorted(children)])
    if job["Periodic"] is not None:
        none = "No instances of periodic job found"
        return [
            section("Children Job Summary", table),
            section("Previously Launched Jobs", launched) if children else none,
        ]
    none = "No dispatched instances of parameterized job found"
    return [
        section("Parameterized Job", _parameters(job["ParameterizedJob"] or {})),
        section("Parameterized Job Summary", table),
        section("Dispatched Jobs", launched) if children else none,
    ]


def _parameters(config: dict[str, Any]) -> str:
    return key_values(
        [
            ("Payload", config.get("Payload") or "optional"),
            ("Required Metadata", ", ".join(config.get("MetaRequired") or ())),
            ("Optional Metadata", ", ".join(config.get("MetaOptional") or ())),
        ]
    )
