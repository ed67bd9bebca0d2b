"""A request to reconcile one job, and what came of it."""

from __future__ import annotations

from raftnomad.model.allocation import AllocListStub, AllocMetric
from raftnomad.model.row import ZERO_TIME, Row, Time


class DesiredUpdates(Row, frozen=True, kw_only=True):
    ignore: int = 0
    place: int = 0
    migrate: int = 0
    stop: int = 0
    in_place_update: int = 0
    destructive_update: int = 0
    canary: int = 0
    preemptions: int = 0
    disconnect: int = 0
    reconnect: int = 0
    reschedule_now: int = 0
    reschedule_later: int = 0


class PlanAnnotations(Row, frozen=True, kw_only=True):
    desired_tg_updates: dict[str, DesiredUpdates] | None = None
    preempted_allocs: tuple[AllocListStub, ...] | None = None


class EvaluationStub(Row, frozen=True, kw_only=True):
    id: str = ""
    namespace: str = ""
    priority: int = 0
    type: str = ""
    triggered_by: str = ""
    job_id: str = ""
    node_id: str = ""
    deployment_id: str = ""
    status: str = ""
    status_description: str = ""
    wait_until: Time = ZERO_TIME
    next_eval: str = ""
    previous_eval: str = ""
    blocked_eval: str = ""
    create_index: int = 0
    modify_index: int = 0
    create_time_ns: int = 0
    modify_time_ns: int = 0


class Evaluation(Row, frozen=True, kw_only=True, omit_defaults=True):
    id: str = ""
    namespace: str = ""
    priority: int = 0
    type: str = ""
    triggered_by: str = ""
    job_id: str = ""
    job_modify_index: int = 0
    node_id: str = ""
    node_modify_index: int = 0
    deployment_id: str = ""
    status: str = ""
    status_description: str = ""
    wait_ns: int = 0
    wait_until: Time = ZERO_TIME
    next_eval: str = ""
    previous_eval: str = ""
    blocked_eval: str = ""
    related_evals: tuple[EvaluationStub, ...] | None = None
    failed_tg_allocs: dict[str, AllocMetric] | None = None
    plan_annotations: PlanAnnotations | None = None
    class_eligibility: dict[str, bool] | None = None
    quota_limit_reached: str = ""
    missing_non_node_resources: tuple[str, ...] | None = None
    escaped_computed_class: bool = False
    annotate_plan: bool = False
    queued_allocations: dict[str, int] | None = None
    leader_acl: str = ""
    snapshot_index: int = 0
    create_index: int = 0
    modify_index: int = 0
    create_time_ns: int = 0
    modify_time_ns: int = 0
