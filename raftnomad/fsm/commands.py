"""Every kind of entry that the log can hold.

A command is data: whoever proposes it has already chosen identifiers and read the clock. `KINDS` numbers them for
the log; numbers are never reused, and fields are only ever appended. Commands of the leader carry the epoch, the
index at which the present leader claimed office, and are rejected when another has claimed it since.
"""

from __future__ import annotations

from raftnomad.model.allocation import AllocDeploymentStatus, AllocNetworkStatus, DesiredTransition, TaskState
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import Job, JobSubmission, JobVersionTag
from raftnomad.model.namespace import Namespace
from raftnomad.model.node import DrainStrategy, Node, NodeEvent, NodePool
from raftnomad.model.plan import Plan
from raftnomad.model.row import Row
from raftnomad.model.scaling import ScalingEvent
from raftnomad.model.scheduler_configuration import SchedulerConfiguration


class Command(Row, frozen=True, kw_only=True):
    """One change that a server proposes."""


class ClaimLeadership(Command, frozen=True, kw_only=True):
    """The first command of a new leader; its index is the epoch that the leader's commands then carry."""

    server_id: str = ""


class RegisterJob(Command, frozen=True, kw_only=True):
    """A job as canonicalized and validated; an unchanged job gets no new version, only the evaluation.

    Same entry as its evaluation, so no crash can leave a job that nobody was asked to place.
    """

    job: Job = Job()
    submission: JobSubmission | None = None
    evaluation: Evaluation | None = None
    enforce_index: bool = False
    job_modify_index: int = 0
    """With `enforce_index`: the JobModifyIndex that the job must have; 0 means that it must not exist."""
    preserve_counts: bool = False
    preserve_resources: bool = False


class DeregisterJob(Command, frozen=True, kw_only=True):
    namespace: str = "default"
    job_id: str = ""
    purge: bool = False
    evaluation: Evaluation | None = None
    no_shutdown_delay: bool = False


class RevertJob(Command, frozen=True, kw_only=True):
    """Make an older version the newest one again. Also used by a deployment that rolls itself back."""

    namespace: str = "default"
    job_id: str = ""
    version: int = 0
    enforce_prior_version: int | None = None
    evaluation: Evaluation | None = None


class MarkJobStable(Command, frozen=True, kw_only=True):
    namespace: str = "default"
    job_id: str = ""
    version: int = 0
    stable: bool = True


class UpsertEvaluations(Command, frozen=True, kw_only=True):
    """From the leader (epoch set: worker, broker, duties), or from a user who asks for one (epoch 0)."""

    evaluations: tuple[Evaluation, ...] = ()
    epoch: int = 0


class ApplyPlan(Command, frozen=True, kw_only=True):
    """A verified plan. The last part of a split plan also carries what becomes of the evaluation.

    The state checks once more that each node is ready and not over its capacity; a placement that is refused is
    named in the outcome, and the rest of the plan stands (all or nothing with `plan.all_at_once`).
    """

    plan: Plan = Plan()
    evaluations: tuple[Evaluation, ...] = ()
    """The evaluation itself (complete or failed) and those that the scheduler created (blocked, follow-up)."""
    epoch: int = 0
    preempted: tuple[Evaluation, ...] = ()
    """Of the jobs that lose allocations to this one; each is kept when its job does lose some."""


class AllocationUpdate(Row, frozen=True, kw_only=True):
    """What a client agent says of one allocation."""

    id: str = ""
    client_status: str = ""
    client_description: str = ""
    task_states: dict[str, TaskState] | None = None
    deployment_status: AllocDeploymentStatus | None = None
    network_status: AllocNetworkStatus | None = None


class UpdateAllocations(Command, frozen=True, kw_only=True):
    """Status from client agents; with the evaluations that failed allocations need."""

    node_id: str = ""
    updates: tuple[AllocationUpdate, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()


class TransitionAllocations(Command, frozen=True, kw_only=True):
    """Ask that allocations be moved or rescheduled (`alloc stop`, drain): they stop when they are replaced."""

    transitions: dict[str, DesiredTransition] | None = None
    evaluations: tuple[Evaluation, ...] = ()
    epoch: int = 0


class RegisterNode(Command, frozen=True, kw_only=True):
    """A node as its client agent describes it; status, drain and eligibility that the state has are kept.

    Rejected when the node exists with another secret.
    """

    node: Node = Node()
    evaluations: tuple[Evaluation, ...] = ()


class DeregisterNode(Command, frozen=True, kw_only=True):
    node_ids: tuple[str, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    epoch: int = 0


class UpdateNodeStatus(Command, frozen=True, kw_only=True):
    node_id: str = ""
    status: str = ""
    event: NodeEvent | None = None
    evaluations: tuple[Evaluation, ...] = ()
    epoch: int = 0


class UpdateNodeEligibility(Command, frozen=True, kw_only=True):
    node_id: str = ""
    eligibility: str = ""
    event: NodeEvent | None = None
    evaluations: tuple[Evaluation, ...] = ()


class UpdateNodeDrain(Command, frozen=True, kw_only=True):
    """Start, change or (strategy None) end a drain."""

    node_id: str = ""
    strategy: DrainStrategy | None = None
    mark_eligible: bool = False
    meta: dict[str, str] | None = None
    completed: bool = False
    """The drain ended because nothing is left to drain, and not because a user ended it."""
    event: NodeEvent | None = None
    evaluations: tuple[Evaluation, ...] = ()
    epoch: int = 0
    accessor_id: str = "token:acls-disabled"
    """Whose token asked for it."""


class UpdateDeployment(Command, frozen=True, kw_only=True):
    """The next step of a deployment: counts follow allocations by themselves, status only by this."""

    deployment_id: str = ""
    status: str = ""
    status_description: str = ""
    require_progress_by: dict[str, str] | None = None
    """Group -> the new deadline, an RFC 3339 time."""
    mark_stable: bool = False
    """The job version of this deployment becomes a version to roll back to."""
    evaluations: tuple[Evaluation, ...] = ()
    epoch: int = 0
    rollback_to: int | None = None
    """The job version that becomes the newest one again in the same step, when the job is still as rolled out."""


class PromoteDeployment(Command, frozen=True, kw_only=True):
    """Accept the canaries of these groups (None: of all): they become ordinary allocations.

    Rejected, with nothing changed, when a group that is to be promoted has fewer healthy canaries than it wants;
    unknown groups and groups without canaries are passed over.
    """

    deployment_id: str = ""
    groups: tuple[str, ...] | None = None
    evaluations: tuple[Evaluation, ...] = ()
    epoch: int = 0


class SetAllocationHealth(Command, frozen=True, kw_only=True):
    deployment_id: str = ""
    healthy: tuple[str, ...] = ()
    unhealthy: tuple[str, ...] = ()
    timestamp: str = ""
    evaluations: tuple[Evaluation, ...] = ()


class SetSchedulerConfiguration(Command, frozen=True, kw_only=True):
    configuration: SchedulerConfiguration = SchedulerConfiguration()
    check_index: int | None = None
    """Check-and-set: the ModifyIndex that the present configuration must have."""


class UpsertNodePools(Command, frozen=True, kw_only=True):
    node_pools: tuple[NodePool, ...] = ()


class DeleteNodePools(Command, frozen=True, kw_only=True):
    names: tuple[str, ...] = ()
    region: str = "global"
    """For the words of a refusal."""


class UpsertNamespaces(Command, frozen=True, kw_only=True):
    namespaces: tuple[Namespace, ...] = ()


class DeleteNamespaces(Command, frozen=True, kw_only=True):
    names: tuple[str, ...] = ()
    region: str = "global"
    """For the words of a refusal."""


class CollectGarbage(Command, frozen=True, kw_only=True):
    """Forget what is over: rows that are still needed when the command is applied are kept, silently."""

    evaluations: tuple[str, ...] = ()
    allocations: tuple[str, ...] = ()
    deployments: tuple[str, ...] = ()
    jobs: tuple[tuple[str, str], ...] = ()
    """(namespace, id)"""
    nodes: tuple[str, ...] = ()
    epoch: int = 0


class ReconcileSummaries(Command, frozen=True, kw_only=True):
    """Recount every job summary from the allocations."""


class ScaleJob(Command, frozen=True, kw_only=True):
    """Another count for one group, as a new version; without a count only the event is kept.

    Rejected while a deployment of the job goes on, and beyond what the group's scaling policy allows.
    """

    namespace: str = "default"
    job_id: str = ""
    group: str = ""
    count: int | None = None
    job_modify_index: int | None = None
    """The JobModifyIndex that the job must have, when it is given."""
    count_max: int = 0
    """Of all groups together; 0 is no limit."""
    event: ScalingEvent = ScalingEvent()
    evaluation: Evaluation | None = None


class TagJobVersion(Command, frozen=True, kw_only=True):
    """A version with a tag is kept however old it gets; without a tag: the version that has this name loses it."""

    namespace: str = "default"
    job_id: str = ""
    name: str = ""
    version: int = 0
    tag: JobVersionTag | None = None


class DeleteEvaluations(Command, frozen=True, kw_only=True):
    """Forget evaluations by hand. Rejected while the broker is not paused, and when one of them cannot be spared."""

    eval_ids: tuple[str, ...] = ()


class LaunchPeriodicJob(Command, frozen=True, kw_only=True):
    """Have a periodic job's child for the time `launch_s`, which its schedule names (or, forced, which it is now).

    The leader's, with its epoch; or a user's, forced, with none. Rejected when the job was launched for that time.
    """

    namespace: str = "default"
    job_id: str = ""
    launch_s: int = 0
    """Seconds since 1970; they are part of the child's id."""
    forced: bool = False
    evaluation: Evaluation | None = None
    epoch: int = 0


class DispatchJob(Command, frozen=True, kw_only=True):
    """Have a parameterized job's child, with what it is to work on."""

    namespace: str = "default"
    job_id: str = ""
    child_id: str = ""
    payload: bytes = b""
    meta: dict[str, str] | None = None
    priority: int = 0
    """Of the child; 0 is its parent's."""
    idempotency_token: str = ""
    evaluation: Evaluation | None = None


KINDS: dict[int, type[Command]] = {
    1: ClaimLeadership,
    2: RegisterJob,
    3: DeregisterJob,
    4: RevertJob,
    5: MarkJobStable,
    6: UpsertEvaluations,
    7: ApplyPlan,
    8: UpdateAllocations,
    9: TransitionAllocations,
    10: RegisterNode,
    11: DeregisterNode,
    12: UpdateNodeStatus,
    13: UpdateNodeEligibility,
    14: UpdateNodeDrain,
    15: UpdateDeployment,
    16: SetAllocationHealth,
    17: SetSchedulerConfiguration,
    18: UpsertNodePools,
    19: DeleteNodePools,
    20: UpsertNamespaces,
    21: DeleteNamespaces,
    22: CollectGarbage,
    23: ReconcileSummaries,
    24: PromoteDeployment,
    25: ScaleJob,
    26: TagJobVersion,
    27: DeleteEvaluations,
    28: LaunchPeriodicJob,
    29: DispatchJob,
}
