"""The bodies of requests, as Nomad's clients send them; what raftnomad does not use is left out and so ignored."""

from __future__ import annotations

from typing import Any

import msgspec

from raftnomad.model.job import JobSubmission
from raftnomad.model.node import DrainSpec
from raftnomad.model.row import Row
from raftnomad.model.submitted import Job


class JobRegisterRequest(Row, frozen=True, kw_only=True):
    job: Job | None = None
    enforce_index: bool = False
    job_modify_index: int = 0
    policy_override: bool = False
    preserve_counts: bool = False
    preserve_resources: bool = False
    eval_priority: int = 0
    submission: JobSubmission | None = None
    region: str = ""
    namespace: str = ""


class JobPlanRequest(Row, frozen=True, kw_only=True):
    job: Job | None = None
    diff: bool = False
    policy_override: bool = False
    region: str = ""
    namespace: str = ""


class JobValidateRequest(Row, frozen=True, kw_only=True):
    job: Job | None = None
    region: str = ""
    namespace: str = ""


class JobsParseRequest(Row, frozen=True, kw_only=True):
    job_hcl: str = msgspec.field(default="", name="JobHCL")
    hclv1: bool = msgspec.field(default=False, name="HCLv1")
    variables: str = ""
    canonicalize: bool = False


class EvalOptions(Row, frozen=True, kw_only=True):
    force_reschedule: bool = False


class JobEvaluateRequest(Row, frozen=True, kw_only=True):
    job_id: str = ""
    eval_options: EvalOptions = EvalOptions()


class JobRevertRequest(Row, frozen=True, kw_only=True):
    job_id: str = ""
    job_version: int = 0
    enforce_prior_version: int | None = None


class JobStabilityRequest(Row, frozen=True, kw_only=True):
    job_id: str = ""
    job_version: int = 0
    stable: bool = False


class ScalingRequest(Row, frozen=True, kw_only=True):
    count: int | None = None
    target: dict[str, str] | None = None
    message: str = ""
    error: bool = False
    meta: dict[str, Any] | None = None
    job_modify_index: int = 0
    policy_override: bool = False


class JobTagRequest(Row, frozen=True, kw_only=True):
    version: int = 0
    description: str = ""
    latest: bool = False


class JobDispatchRequest(Row, frozen=True, kw_only=True):
    job_id: str = ""
    payload: str = ""
    meta: dict[str, str] | None = None
    id_prefix_template: str = ""
    priority: int = 0


class JobStatusesJob(Row, frozen=True, kw_only=True):
    id: str = ""
    namespace: str = ""


class JobStatusesRequest(Row, frozen=True, kw_only=True):
    jobs: tuple[JobStatusesJob, ...] | None = None
    include_children: bool = False


class EvalDeleteRequest(Row, frozen=True, kw_only=True):
    eval_ids: tuple[str, ...] | None = None
    filter: str = ""


class DeploymentPauseRequest(Row, frozen=True, kw_only=True):
    deployment_id: str = ""
    pause: bool = False


class DeploymentPromoteRequest(Row, frozen=True, kw_only=True):
    deployment_id: str = ""
    all: bool = False
    groups: tuple[str, ...] | None = None


class DeploymentAllocHealthRequest(Row, frozen=True, kw_only=True):
    deployment_id: str = ""
    healthy_allocation_ids: tuple[str, ...] | None = None
    unhealthy_allocation_ids: tuple[str, ...] | None = None


class NodeUpdateDrainRequest(Row, frozen=True, kw_only=True):
    node_id: str = ""
    drain_spec: DrainSpec | None = None
    mark_eligible: bool = False
    meta: dict[str, str] | None = None


class NodeUpdateEligibilityRequest(Row, frozen=True, kw_only=True):
    node_id: str = ""
    eligibility: str = ""


class SearchRequest(Row, frozen=True, kw_only=True):
    prefix: str = ""
    context: str = ""
    namespace: str = ""


class FuzzySearchRequest(Row, frozen=True, kw_only=True):
    text: str = ""
    context: str = ""
    namespace: str = ""


class DeploymentUnblockRequest(Row, frozen=True, kw_only=True):
    deployment_id: str = ""
