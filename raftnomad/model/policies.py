"""The policies of a job and its groups: restart, reschedule, update, migrate, disconnect, periodic, scaling."""

from __future__ import annotations

from typing import Any

from raftnomad.model.row import Row


class RestartPolicy(Row, frozen=True, kw_only=True):
    attempts: int = 0
    interval_ns: int = 0
    delay_ns: int = 0
    mode: str = ""
    render_templates: bool = False


class ReschedulePolicy(Row, frozen=True, kw_only=True):
    attempts: int = 0
    interval_ns: int = 0
    delay_ns: int = 0
    delay_function: str = ""
    max_delay_ns: int = 0
    unlimited: bool = False


class UpdateStrategy(Row, frozen=True, kw_only=True):
    stagger_ns: int = 0
    max_parallel: int = 0
    health_check: str = ""
    min_healthy_time_ns: int = 0
    healthy_deadline_ns: int = 0
    progress_deadline_ns: int = 0
    auto_revert: bool = False
    auto_promote: bool = False
    canary: int = 0


class MigrateStrategy(Row, frozen=True, kw_only=True):
    max_parallel: int = 0
    health_check: str = ""
    min_healthy_time_ns: int = 0
    healthy_deadline_ns: int = 0


class DisconnectStrategy(Row, frozen=True, kw_only=True):
    lost_after_ns: int = 0
    stop_on_client_after_ns: int | None = None
    replace: bool | None = None
    reconcile: str = ""


class PeriodicConfig(Row, frozen=True, kw_only=True):
    enabled: bool = False
    spec: str = ""
    specs: tuple[str, ...] | None = None
    spec_type: str = ""
    prohibit_overlap: bool = False
    time_zone: str = ""


class ParameterizedJobConfig(Row, frozen=True, kw_only=True):
    payload: str = ""
    meta_required: tuple[str, ...] | None = None
    meta_optional: tuple[str, ...] | None = None


class ScalingPolicy(Row, frozen=True, kw_only=True):
    id: str = ""
    type: str = ""
    target: dict[str, str] | None = None
    policy: dict[str, Any] | None = None
    min: int = 0
    max: int = 0
    enabled: bool = False
    create_index: int = 0
    modify_index: int = 0


class MultiregionStrategy(Row, frozen=True, kw_only=True):
    max_parallel: int = 0
    on_failure: str = ""


class MultiregionRegion(Row, frozen=True, kw_only=True):
    name: str = ""
    count: int = 0
    datacenters: tuple[str, ...] | None = None
    node_pool: str = ""
    meta: dict[str, str] | None = None


class Multiregion(Row, frozen=True, kw_only=True):
    strategy: MultiregionStrategy | None = None
    regions: tuple[MultiregionRegion, ...] | None = None
