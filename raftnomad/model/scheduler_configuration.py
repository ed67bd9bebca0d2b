"""The settings of the scheduler that operators change at run time."""

from __future__ import annotations

from raftnomad.model.row import Row


class PreemptionConfig(Row, frozen=True, kw_only=True):
    system_scheduler_enabled: bool = False
    sys_batch_scheduler_enabled: bool = False
    batch_scheduler_enabled: bool = False
    service_scheduler_enabled: bool = False


class SchedulerConfiguration(Row, frozen=True, kw_only=True):
    scheduler_algorithm: str = ""
    preemption_config: PreemptionConfig = PreemptionConfig()
    memory_oversubscription_enabled: bool = False
    reject_job_registration: bool = False
    pause_eval_broker: bool = False
    node_limit_for_feasibility_checks: int = 0
    create_index: int = 0
    modify_index: int = 0
