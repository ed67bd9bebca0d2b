"""What every handler of a server is given: the server, who waits for what, and answers already encoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from raftnomad.api.blocking import Watchers
from raftnomad.api.encoded import EncodedAnswers
from raftnomad.api.event_buffer import EventBuffer
from raftnomad.api.job_intake import JobLimits
from raftnomad.members.service import Members
from raftnomad.server.server import Server


@dataclass(frozen=True, kw_only=True)
class FuzzyLimits:
    """Nomad's `server.search`."""

    enabled: bool = True
    objects_max: int = 10_000
    """So many of each kind are looked at. Nomad's default is 20, which leaves most of a larger cluster unfound."""
    results_max: int = 100
    length_min: int = 2


@dataclass(kw_only=True)
class Context:
    server: Server
    watchers: Watchers
    members: Members | None = None
    """Gossip between servers; None where there is none to join (a cluster of one in a test)."""
    encoded: EncodedAnswers
    events: EventBuffer
    job_limits: JobLimits
    fuzzy_limits: FuzzyLimits = field(default_factory=FuzzyLimits)
    configuration: dict[str, Any] = field(default_factory=dict)
    """The agent's configuration as `agent/self` shows it; secrets already replaced."""
    client_statistics: Callable[[], dict[str, str]] | None = None
    """Of the client in this process, if there is one."""
    reload: Callable[[], None] | None = None
    """What `PUT /v1/agent/reload` does."""

    @property
    def client_enabled(self) -> bool:
        return self.client_statistics is not None
