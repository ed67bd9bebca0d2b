"""A tracked rollout of one version of a job."""

from __future__ import annotations

from raftnomad.model.row import ZERO_TIME, Row, Time


class DeploymentState(Row, frozen=True, kw_only=True):
    auto_revert: bool = False
    auto_promote: bool = False
    progress_deadline_ns: int = 0
    require_progress_by: Time = ZERO_TIME
    promoted: bool = False
    placed_canaries: tuple[str, ...] | None = None
    desired_canaries: int = 0
    desired_total: int = 0
    placed_allocs: int = 0
    healthy_allocs: int = 0
    unhealthy_allocs: int = 0


class Deployment(Row, frozen=True, kw_only=True):
    id: str = ""
    namespace: str = ""
    job_id: str = ""
    job_version: int = 0
    job_modify_index: int = 0
    job_spec_modify_index: int = 0
    job_create_index: int = 0
    is_multiregion: bool = False
    task_groups: dict[str, DeploymentState] | None = None
    status: str = ""
    status_description: str = ""
    eval_priority: int = 0
    create_index: int = 0
    modify_index: int = 0
    create_time_ns: int = 0
    modify_time_ns: int = 0
