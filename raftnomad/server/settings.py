"""What an operator may set of a server, with Nomad's defaults where Nomad has the setting. Seconds unless named."""

from __future__ import annotations

from dataclasses import dataclass

HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    name: str = "server"
    region: str = "global"
    datacenter: str = "dc1"
    heartbeat_ttl_s: float = 10.0
    """The least time between two heartbeats of a node; it grows with the nodes, to 1,000 heartbeats a second."""
    heartbeat_grace_s: float = 10.0
    """How much later than its TTL a node may be before it counts as down."""
    heartbeats_per_second_max: float = 1000.0
    eval_delivery_limit: int = 3
    eval_nack_timeout_s: float = 60.0
    gc_interval_s: float = 300.0
    eval_gc_threshold_s: float = HOUR_S
    batch_eval_gc_threshold_s: float = 24 * HOUR_S
    job_gc_threshold_s: float = 4 * HOUR_S
    node_gc_threshold_s: float = 24 * HOUR_S
    deployment_gc_threshold_s: float = HOUR_S
    plan_part_bytes: int = 256 * 1024
    """A larger plan is proposed in parts of about this size."""
