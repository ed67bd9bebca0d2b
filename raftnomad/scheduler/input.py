"""What a scheduler sees and what it answers: plain values that can cross a pipe.

`read_input` takes them from the state; nothing else of the state reaches a scheduler.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from raftnomad.clock import from_rfc3339
from raftnomad.fsm.capacity import demand_of, held_names
from raftnomad.fsm.state import State, is_terminal
from raftnomad.model.allocation import Allocation, RescheduleTracker
from raftnomad.model.deployment import Deployment
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import Job
from raftnomad.model.node import Node, NodePool
from raftnomad.model.plan import Plan
from raftnomad.model.row import ZERO_TIME
from raftnomad.model.scheduler_configuration import SchedulerConfiguration
from raftnomad.model.status import TERMINAL_CLIENT_STATUSES, ClientStatus, DesiredStatus, NodeStatus

DOWN, MISSING, DISCONNECTED = "down", "missing", "disconnected"


Use = tuple[tuple[float, float, float, float], tuple[tuple[str, int | str], ...]]
"""(cpu MHz, memory MiB, disk MiB, cores), and what is held by name."""


class AllocView(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An allocation of the job as a scheduler reads it; the job's version instead of the job.

    `demand` and `held` are what it uses of its node: (cpu MHz, memory MiB, disk MiB, cores), and ports and ids by
    name. `ended_ns` is when its last task ended, or when the row last changed. `unknown_since_ns`: when its client
    was found to be disconnected.
    """

    id: str
    name: str
    node_id: str
    task_group: str
    job_version: int
    job_create_index: int
    desired_status: str
    client_status: str
    migrate: bool
    reschedule: bool
    force_reschedule: bool
    no_replacement: bool
    deployment_id: str
    healthy: bool | None
    is_canary: bool
    followup_eval_id: str
    next_allocation: str
    previous_allocation: str
    tracker: RescheduleTracker | None
    create_index: int
    create_time_ns: int
    ended_ns: int
    ran_well: bool
    unknown_since_ns: int
    demand: tuple[float, float, float, float]
    held: tuple[tuple[str, int | str], ...]

    @property
    def is_terminal(self) -> bool:
        """Told to stop, or ended."""
        return self.desired_status != DesiredStatus.RUN or self.client_status in TERMINAL_CLIENT_STATUSES

    @property
    def uses_node(self) -> bool:
        return self.client_status not in TERMINAL_CLIENT_STATUSES


class Victim(msgspec.Struct, frozen=True, array_like=True):
    """An allocation of another job, which is less important than the one that is scheduled."""

    priority: int
    alloc: AllocView


class SchedulerInput(msgspec.Struct, frozen=True, kw_only=True):
    """`job` is None when it was purged. `versions` holds the job's other versions that allocations still run.

    `tainted` maps a node that carries allocations of the job to `down`, `missing` or `disconnected`; a node that is
    not named is up. `seed` is all the chance that there is: identifiers come from it.
    """

    evaluation: Evaluation
    job: Job | None
    versions: dict[int, Job]
    allocations: tuple[AllocView, ...]
    deployment: Deployment | None
    tainted: dict[str, str]
    configuration: SchedulerConfiguration
    node_pool: NodePool | None
    now_ns: int
    seed: bytes
    index: int
    victims: dict[str, tuple[Victim, ...]] = {}
    """Node -> the allocations that may be preempted there; asked for by `SchedulerOutput.short_of_room`."""


def oversubscribes(input: SchedulerInput) -> bool:
    """Whether tasks may use more memory than is set aside for them; a node pool may have an opinion of its own."""
    own = input.node_pool.scheduler_configuration if input.node_pool is not None else None
    if own is not None and own.memory_oversubscription_enabled is not None:
        return own.memory_oversubscription_enabled
    return input.configuration.memory_oversubscription_enabled


class SchedulerOutput(msgspec.Struct, frozen=True, kw_only=True):
    """`evaluation` is the one that was scheduled, as it becomes once the plan is applied; `created` are blocked and
    follow-up evaluations. The annotations are in both the plan and the evaluation."""

    plan: Plan
    evaluation: Evaluation
    created: tuple[Evaluation, ...] = ()
    short_of_room: tuple[str, ...] = ()
    """Nodes on which something might be preempted: the scheduler can say more when it is told what runs there."""

    @property
    def is_empty(self) -> bool:
        """Nothing is to be changed but the evaluation."""
        return changes_nothing(self.plan)


def changes_nothing(plan: Plan) -> bool:
    return not (plan.placements or plan.stops or plan.updates or plan.deployment or plan.deployment_updates)


def read_input(
    state: State, evaluation: Evaluation, now_ns: int, seed: bytes, planned: Job | None = None
) -> SchedulerInput:
    """`planned` is a job that is not registered (`job plan`): it stands in for the one in the state."""
    namespace, job_id = evaluation.namespace, evaluation.job_id
    job = planned or state.jobs.get((namespace, job_id))
    allocations = state.allocations_of_job(namespace, job_id)
    versions: dict[int, Job] = {}
    node_ids: dict[str, None] = {}
    for alloc in allocations:
        node_ids[alloc.node_id] = None
        if alloc.job is not None and (job is None or alloc.job.version != job.version):
            versions[alloc.job.version] = alloc.job
    uses: dict[int, Use] = {}
    tainted = {node_id: taint for node_id in node_ids if (taint := _taint(state.nodes.get(node_id)))}
    return SchedulerInput(
        evaluation=evaluation,
        job=job,
        versions=versions,
        allocations=tuple(view_of(alloc, uses) for alloc in allocations),
        deployment=state.latest_deployment(namespace, job_id),
        tainted=tainted,
        configuration=state.scheduler_configuration,
        node_pool=state.node_pools.get(job.node_pool or "default") if job else None,
        now_ns=now_ns,
        seed=seed,
        index=state.index,
    )


def with_victims(state: State, asked: SchedulerInput, node_ids: Iterable[str], distance: int) -> SchedulerInput | None:
    """The same question, with what runs on these nodes and is less important by at least `distance`; or None."""
    assert asked.job is not None
    priority = asked.job.priority - distance
    uses: dict[int, Use] = {}
    victims: dict[str, tuple[Victim, ...]] = {}
    for node_id in node_ids:
        found = tuple(
            Victim(alloc.job.priority, view_of(alloc, uses))
            for alloc in state.allocations_of_node(node_id)
            if alloc.job is not None and alloc.job.priority <= priority and not is_terminal(alloc)
        )
        if found:
            victims[node_id] = found
    return msgspec.structs.replace(asked, victims=victims) if victims else None


def _taint(node: Node | None) -> str:
    if node is None:
        return MISSING
    if node.status == NodeStatus.DISCONNECTED:
        return DISCONNECTED
    return DOWN if node.status == NodeStatus.DOWN else ""


def view_of(alloc: Allocation, uses: dict[int, Use] | None = None) -> AllocView:
    """`uses` remembers by identity what resources that many allocations share come to."""
    transition, health, job = alloc.desired_transition, alloc.deployment_status, alloc.job
    resources = alloc.allocated_resources
    use = None if uses is None else uses.get(id(resources))
    if use is None:
        cpu, memory, disk, cores = demand_of(resources).tolist()
        use = (cpu, memory, disk, cores), tuple(held_names(resources))
        if uses is not None:
            uses[id(resources)] = use
    return AllocView(
        id=alloc.id,
        name=alloc.name,
        node_id=alloc.node_id,
        task_group=alloc.task_group,
        job_version=job.version if job else 0,
        job_create_index=job.create_index if job else 0,
        desired_status=alloc.desired_status,
        client_status=alloc.client_status,
        migrate=bool(transition.migrate),
        reschedule=bool(transition.reschedule),
        force_reschedule=bool(transition.force_reschedule),
        no_replacement=bool(transition.migrate_disable_placement),
        deployment_id=alloc.deployment_id,
        healthy=health.healthy if health else None,
        is_canary=bool(health and health.canary),
        followup_eval_id=alloc.followup_eval_id,
        next_allocation=alloc.next_allocation,
        previous_allocation=alloc.previous_allocation,
        tracker=alloc.reschedule_tracker,
        create_index=alloc.create_index,
        create_time_ns=alloc.create_time_ns,
        ended_ns=_ended_ns(alloc),
        ran_well=_ran_well(alloc),
        unknown_since_ns=_unknown_since_ns(alloc),
        demand=use[0],
        held=use[1],
    )


def _ended_ns(alloc: Allocation) -> int:
    times = [time_ns(task.finished_at) for task in (alloc.task_states or {}).values()]
    return max(times, default=0) or alloc.modify_time_ns


def _ran_well(alloc: Allocation) -> bool:
    """Every task ended, and none of them failed."""
    tasks = (alloc.task_states or {}).values()
    return bool(tasks) and all(task.state == "dead" and not task.failed for task in tasks)


def _unknown_since_ns(alloc: Allocation) -> int:
    """When the client status last became `unknown`; 0 when it has come back from that since."""
    for state in reversed(alloc.alloc_states or ()):
        return time_ns(state.time) if state.value == ClientStatus.UNKNOWN else 0
    return 0


def time_ns(text: str) -> int:
    """An RFC 3339 time; 0 for one that was never set."""
    if not text or text == ZERO_TIME:
        return 0
    try:
        return from_rfc3339(text)
    except ValueError:
        return 0
