"""A log of random commands, from a seed: sensible ones, absurd ones, retries, and commands of former leaders.

Run as a program it prints the digest of the state after the log; `restore` dumps and restores it half way through.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from msgspec.structs import replace

from raftnomad.fsm.codec import Proposal, encode
from raftnomad.fsm.commands import (
    AllocationUpdate,
    ApplyPlan,
    ClaimLeadership,
    CollectGarbage,
    Command,
    DeleteEvaluations,
    DeleteNamespaces,
    DeleteNodePools,
    DeregisterJob,
    DeregisterNode,
    DispatchJob,
    LaunchPeriodicJob,
    MarkJobStable,
    PromoteDeployment,
    ReconcileSummaries,
    RegisterJob,
    RegisterNode,
    RevertJob,
    ScaleJob,
    SetAllocationHealth,
    SetSchedulerConfiguration,
    TagJobVersion,
    TransitionAllocations,
    UpdateAllocations,
    UpdateDeployment,
    UpdateNodeDrain,
    UpdateNodeEligibility,
    UpdateNodeStatus,
    UpsertEvaluations,
    UpsertNamespaces,
    UpsertNodePools,
)
from raftnomad.fsm.dump import state_bytes
from raftnomad.fsm.machine import StateMachine
from raftnomad.fsm.state import State
from raftnomad.model.allocation import AllocDeploymentStatus, DesiredTransition
from raftnomad.model.deployment import DeploymentState
from raftnomad.model.job import JobSubmission, JobVersionTag
from raftnomad.model.namespace import Namespace
from raftnomad.model.node import DrainStrategy, NodeEvent, NodePool
from raftnomad.model.plan import AllocStop, AllocUpdate, DeploymentUpdate
from raftnomad.model.policies import ParameterizedJobConfig, PeriodicConfig
from raftnomad.model.scaling import ScalingEvent
from raftnomad.model.scheduler_configuration import SchedulerConfiguration
from tests.makers import (
    SECOND,
    a_block,
    a_deployment,
    a_group,
    a_job,
    a_node,
    a_plan,
    allocated,
    an_evaluation,
    an_id,
    running,
)

JOBS = ("web", "api", "batch", "sys", "nightly", "hook")
TYPES = {"web": "service", "api": "service", "batch": "batch", "sys": "system", "nightly": "batch", "hook": "batch"}


class RandomLog:
    def __init__(self, seed: int, state: State) -> None:
        self.random = Random(seed)
        self.state = state
        self.count = 0
        self.time_ns = 1_800_000_000 * SECOND
        self.kinds: Sequence[tuple[int, Callable[[], Command]]] = (
            (6, self.register_job),
            (2, self.deregister_job),
            (1, self.revert_job),
            (1, lambda: MarkJobStable(job_id=self.job_id(), version=self.random.randrange(4))),
            (2, self.scale),
            (1, self.tag),
            (2, self.launch),
            (1, self.dispatch),
            (1, lambda: DeleteEvaluations(eval_ids=tuple(self.some(self.state.evaluations)))),
            (1, self.pause),
            (5, self.register_node),
            (1, lambda: DeregisterNode(node_ids=(self.node_id(),))),
            (3, self.node_status),
            (1, lambda: UpdateNodeEligibility(node_id=self.node_id(), eligibility=self.pick("eligible", "ineligible"))),
            (2, self.drain),
            (4, self.evaluations),
            (16, self.plan),
            (12, self.reports),
            (2, self.transitions),
            (3, self.deployment),
            (1, self.health),
            (1, lambda: PromoteDeployment(deployment_id=self.one(self.state.deployments))),
            (2, self.garbage),
            (1, lambda: ClaimLeadership(server_id=self.pick("one", "two"))),
            (1, ReconcileSummaries),
            (1, self.names),
        )

    def next(self) -> bytes:
        self.count += 1
        self.time_ns += self.random.choice((0, SECOND, 90 * SECOND, -5 * SECOND))
        weights = [weight for weight, _ in self.kinds]
        make = self.random.choices([make for _, make in self.kinds], weights)[0]
        sequence = self.count if self.random.random() > 0.05 else max(1, self.count - self.random.randrange(50))
        return encode(Proposal(make(), self.pick("p", "q", ""), sequence, self.time_ns))

    def pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def one(self, table: dict[str, Any]) -> str:
        return self.random.choice(list(table)) if table and self.random.random() < 0.95 else an_id(999, "none")

    def some(self, table: dict[str, Any], most: int = 4) -> list[str]:
        return [self.one(table) for _ in range(self.random.randrange(most))]

    def job_id(self) -> str:
        return self.pick(*JOBS)

    def node_id(self) -> str:
        return an_id(self.random.randrange(1, 8), "node")

    def an_evaluation(self, **fields: Any) -> Any:
        job_id = fields.pop("job_id", None) or self.job_id()
        number = self.count if self.random.random() < 0.7 else self.random.randrange(1, self.count + 1)
        status = self.pick("pending", "blocked", "complete", "failed", "canceled")
        queued = {"web": self.random.randrange(3)} if self.random.random() < 0.3 else None
        job = a_job(job_id, type=TYPES[job_id])
        return an_evaluation(number, job, status=status, queued_allocations=queued, **fields)

    def register_job(self) -> Command:
        job_id = self.job_id()
        periodic = None
        if job_id == "nightly":
            periodic = PeriodicConfig(enabled=self.random.random() < 0.9, prohibit_overlap=self.random.random() < 0.5)
        asked = ParameterizedJobConfig() if job_id == "hook" else None
        groups = (a_group(count=self.random.randrange(4)), *(() if self.random.random() < 0.8 else (a_group("extra"),)))
        parent = "nightly" if job_id == "batch" and self.random.random() < 0.3 else ""
        job = a_job(job_id, type=TYPES[job_id], task_groups=groups, periodic=periodic, parent_id=parent)
        job = replace(job, parameterized_job=asked)
        return RegisterJob(
            job=job,
            evaluation=self.an_evaluation(job_id=job_id) if self.random.random() < 0.8 else None,
            submission=JobSubmission(source="x") if self.random.random() < 0.5 else None,
            enforce_index=self.random.random() < 0.1,
            job_modify_index=self.random.randrange(100),
            preserve_counts=self.random.random() < 0.2,
        )

    def deregister_job(self) -> Command:
        return DeregisterJob(
            job_id=self.job_id(),
            purge=self.random.random() < 0.3,
            no_shutdown_delay=self.random.random() < 0.3,
            evaluation=self.an_evaluation(),
        )

    def revert_job(self) -> Command:
        return RevertJob(job_id=self.job_id(), version=self.random.randrange(6), evaluation=self.an_evaluation())

    def scale(self) -> Command:
        return ScaleJob(
            job_id=self.job_id(),
            group="web",
            count=self.pick(None, 0, 1, 3),
            event=ScalingEvent(message="an event", meta={"by": "chance"}),
            evaluation=self.an_evaluation(),
        )

    def launch(self) -> Command:
        return LaunchPeriodicJob(
            job_id=self.pick("nightly", "nightly", self.job_id()),
            launch_s=self.random.randrange(20),
            forced=self.random.random() < 0.2,
            evaluation=self.an_evaluation(),
        )

    def dispatch(self) -> Command:
        token = self.pick("", "", "once")
        child = f"hook/dispatch-{self.random.randrange(20)}"
        return DispatchJob(job_id="hook", child_id=child, idempotency_token=token, evaluation=self.an_evaluation())

    def pause(self) -> Command:
        configuration = SchedulerConfiguration(pause_eval_broker=self.pick(True, False))
        return SetSchedulerConfiguration(configuration=configuration)

    def tag(self) -> Command:
        name = self.pick("good", "better")
        tag = JobVersionTag(name=name) if self.random.random() < 0.7 else None
        return TagJobVersion(job_id=self.job_id(), name=name, version=self.random.randrange(6), tag=tag)

    def register_node(self) -> Command:
        number = self.random.randrange(1, 8)
        secret = an_id(number, "key") if self.random.random() < 0.95 else "stolen"
        pool = self.pick("default", "default", "", f"pool{number}")
        # A machine that shrinks under its allocations is nobody's fault: each node has one size.
        return RegisterNode(node=a_node(number, cpu=300 * number, secret_id=secret, node_pool=pool))

    def node_status(self) -> Command:
        return UpdateNodeStatus(
            node_id=self.node_id(),
            status=self.pick("ready", "ready", "down", "disconnected"),
            event=NodeEvent(message="an event") if self.random.random() < 0.5 else None,
            evaluations=(self.an_evaluation(),),
        )

    def drain(self) -> Command:
        strategy = DrainStrategy(deadline_ns=SECOND) if self.random.random() < 0.5 else None
        return UpdateNodeDrain(
            node_id=self.node_id(), strategy=strategy, mark_eligible=True, completed=self.pick(True, False)
        )

    def evaluations(self) -> Command:
        evaluations = tuple(self.an_evaluation() for _ in range(self.random.randrange(4)))
        return UpsertEvaluations(evaluations=evaluations, epoch=self.pick(0, self.state.epoch, 3))

    def plan(self) -> Command:
        job_id = self.job_id()
        job = self.state.jobs.get(("default", job_id)) or a_job(job_id)
        rows = self.random.randrange(4)
        ids = [an_id(1000 * self.count + row, "allo") for row in range(rows)]
        nodes = [self.node_id() for _ in ids]
        deployment = a_deployment(self.count, job) if self.random.random() < 0.3 else None
        if deployment is not None and self.random.random() < 0.5:
            deployment = a_deployment(self.count, job, task_groups={"web": DeploymentState(desired_canaries=1)})
        block = a_block(
            ids,
            nodes,
            group="web",
            first_index=10 * self.count,
            resources=allocated(cpu=self.pick(50, 100, 400)),
            deployment_id=deployment.id if deployment else "",
            canary=self.random.random() < 0.3,
            previous={0: self.one(self.state.allocations)} if self.random.random() < 0.3 else None,
        )
        evaluation = self.an_evaluation(job_id=job_id)
        return ApplyPlan(
            plan=a_plan(
                job,
                (block,),
                evaluation,
                all_at_once=self.random.random() < 0.1,
                deployment=deployment,
                stops=tuple(self._stop(alloc_id) for alloc_id in self.some(self.state.allocations)),
                updates=tuple(AllocUpdate(alloc_id=one) for one in self._of_job(job_id)),
                deployment_updates=tuple(
                    DeploymentUpdate(deployment_id=one, status=self.pick("cancelled", "successful"))
                    for one in self.some(self.state.deployments, 2)
                ),
            ),
            evaluations=(evaluation,),
            epoch=self.pick(0, self.state.epoch),
        )

    def _stop(self, alloc_id: str) -> AllocStop:
        if self.random.random() < 0.2:
            return AllocStop(alloc_id=alloc_id, desired_status="run", client_status="unknown")
        return AllocStop(alloc_id=alloc_id, client_status=self.pick("", "", "lost"), desired_description="why not")

    def _of_job(self, job_id: str) -> list[str]:
        return [alloc.id for alloc in self.state.allocations_of_job("default", job_id)][: self.random.randrange(2)]

    def reports(self) -> Command:
        ids = self.some(self.state.allocations, 6)
        return UpdateAllocations(
            updates=tuple(
                AllocationUpdate(
                    id=one,
                    client_status=self._client_status(one),
                    task_states=running() if self.random.random() < 0.5 else None,
                    deployment_status=AllocDeploymentStatus(healthy=self.pick(True, False, None)),
                )
                for one in ids
            ),
            evaluations=(self.an_evaluation(),) if self.random.random() < 0.3 else (),
        )

    def _client_status(self, alloc_id: str) -> str:
        """What has ended does not run again: its room may have been given away."""
        alloc = self.state.allocations.get(alloc_id)
        ended = ("complete", "failed")
        if alloc is not None and alloc.client_status in (*ended, "lost"):
            return self.pick(*ended)
        return self.pick("pending", "running", "running", "running", *ended)

    def transitions(self) -> Command:
        transitions = {one: DesiredTransition(migrate=True) for one in self.some(self.state.allocations)}
        return TransitionAllocations(transitions=transitions, evaluations=(self.an_evaluation(),))

    def deployment(self) -> Command:
        return UpdateDeployment(
            deployment_id=self.one(self.state.deployments),
            status=self.pick("failed", "successful", "paused", "running", ""),
            rollback_to=self.pick(None, None, 0, 1, 7),
            require_progress_by={"web": "2027-01-01T00:00:00Z"} if self.random.random() < 0.2 else None,
            mark_stable=self.pick(True, False),
            evaluations=(self.an_evaluation(),),
        )

    def health(self) -> Command:
        deployment = self.one(self.state.deployments)
        ids = tuple(alloc.id for alloc in self.state.allocations_of_deployment(deployment))
        return SetAllocationHealth(deployment_id=deployment, healthy=ids[:2], unhealthy=ids[1:])

    def garbage(self) -> Command:
        return CollectGarbage(
            evaluations=tuple(self.some(self.state.evaluations, 9)),
            allocations=tuple(self.some(self.state.allocations, 9)),
            deployments=tuple(self.some(self.state.deployments)),
            jobs=(("default", self.job_id()),),
            nodes=(self.node_id(),),
        )

    def names(self) -> Command:
        name = self.pick("default", "team", "all", "pool1")
        return self.pick(
            UpsertNamespaces(namespaces=(Namespace(name=name),)),
            DeleteNamespaces(names=(name,)),
            UpsertNodePools(node_pools=(NodePool(name=name),)),
            DeleteNodePools(names=(name,)),
            SetSchedulerConfiguration(configuration=SchedulerConfiguration(), check_index=self.pick(None, 1)),
        )


def restored(machine: StateMachine) -> StateMachine:
    """Another machine with the same state, by way of a dump."""
    other = StateMachine()
    restore = other.begin_restore()
    dumped = machine.open_dump()
    while (chunk := dumped.next_chunk()) is not None:
        restore.feed(chunk)
    restore.finish()
    return other


def digest_after(seed: int, count: int, restore: bool) -> str:
    machine = StateMachine()
    log = RandomLog(seed, machine.state)
    for number in range(count):
        machine.apply([log.next()])
        if restore and number == count // 2:
            machine = restored(machine)
            log.state = machine.state
    return hashlib.sha256(state_bytes(machine.state)).hexdigest()


if __name__ == "__main__":
    print(digest_after(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "restore"))
