"""Garbage: what is over and old enough is forgotten; what depends on it is forgotten with it or before it."""

from __future__ import annotations

from raftnomad.fsm.commands import CollectGarbage, Command
from raftnomad.fsm.state import OPEN_EVAL_STATUSES, JobKey, State, uses_node
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import Job
from raftnomad.model.status import ACTIVE_DEPLOYMENT_STATUSES, JobStatus, JobType, NodeStatus
from raftnomad.server.duties.decision import Decision
from raftnomad.server.settings import ServerSettings

IDS_MAX = 7_000
"""In one command."""


class Ages:
    """How long ago something has to be over, in nanoseconds, by kind."""

    def __init__(self, settings: ServerSettings) -> None:
        self.interval_s = settings.gc_interval_s
        self.evaluation_ns = _ns(settings.eval_gc_threshold_s)
        self.batch_evaluation_ns = _ns(settings.batch_eval_gc_threshold_s)
        self.job_ns = _ns(settings.job_gc_threshold_s)
        self.node_ns = _ns(settings.node_gc_threshold_s)
        self.deployment_ns = _ns(settings.deployment_gc_threshold_s)


def _ns(seconds: float) -> int:
    return int(seconds * 1_000_000_000)


def decide(state: State, ages: Ages, now_ns: int, epoch: int) -> Decision:
    return Decision(tuple(_commands(_Garbage(state, ages, now_ns), epoch)), ages.interval_s)


def decide_forced(state: State) -> tuple[Command, ...]:
    """All that is over, however recent; empty when nothing is left."""
    return tuple(_commands(_Garbage(state, None, state.time_ns), 0))


class _Garbage:
    """What may go. With `ages` None, age does not matter."""

    def __init__(self, state: State, ages: Ages | None, now_ns: int) -> None:
        self.state = state
        self.ages = ages
        self.now_ns = now_ns
        self.allocations: dict[str, None] = {}
        self.evaluations: dict[str, None] = {}
        self.jobs: dict[JobKey, None] = {}
        for key, job in state.jobs.items():
            self._consider_job(key, job)
        for evaluation in state.evaluations.values():
            self._consider_evaluation(evaluation)
        self.deployments = [
            deployment.id
            for deployment in state.deployments.values()
            if deployment.status not in ACTIVE_DEPLOYMENT_STATUSES
            and self._is_old(deployment.modify_time_ns, ages.deployment_ns if ages else 0)
            and not any(alloc.id not in self.allocations for alloc in state.allocations_of_deployment(deployment.id))
        ]
        self.nodes = [
            node.id
            for node in state.nodes.values()
            if node.status == NodeStatus.DOWN
            and self._is_old(node.status_updated_at * 1_000_000_000, ages.node_ns if ages else 0)
            and not any(uses_node(alloc) for alloc in state.allocations_of_node(node.id))
        ]

    def _is_old(self, time_ns: int, age_ns: int) -> bool:
        return self.ages is None or time_ns + age_ns <= self.now_ns

    def _consider_job(self, key: JobKey, job: Job) -> None:
        """A dead job goes with all of its evaluations and allocations, or not at all."""
        if job.status != JobStatus.DEAD or (_is_template(job) and not job.stop):
            return
        evaluations = self.state.evaluations_of_job(*key)
        allocations = self.state.allocations_of_job(*key)
        if any(evaluation.status in OPEN_EVAL_STATUSES for evaluation in evaluations):
            return
        if any(uses_node(alloc) for alloc in allocations) or self.state.active_deployments[key]:
            return
        times = [evaluation.modify_time_ns for evaluation in evaluations]
        times += [alloc.modify_time_ns for alloc in allocations]
        if self._is_old(max([job.submit_time_ns, *times]), self.ages.job_ns if self.ages else 0):
            self.jobs[key] = None
            self.evaluations.update({evaluation.id: None for evaluation in evaluations})
            self.allocations.update({alloc.id: None for alloc in allocations})

    def _consider_evaluation(self, evaluation: Evaluation) -> None:
        """Allocations go with the evaluation that placed them. A batch job that stands keeps its allocations: they
        are how the scheduler knows that its work is done."""
        if evaluation.id in self.evaluations or evaluation.status in OPEN_EVAL_STATUSES:
            return
        is_batch = evaluation.type in (JobType.BATCH, JobType.SYSBATCH)
        age_ns = 0
        if self.ages is not None:
            age_ns = self.ages.batch_evaluation_ns if is_batch else self.ages.evaluation_ns
        if not self._is_old(evaluation.modify_time_ns, age_ns):
            return
        job = self.state.jobs.get((evaluation.namespace, evaluation.job_id))
        allocations = self.state.allocations_of_evaluation(evaluation.id)
        for alloc in allocations:
            if uses_node(alloc) or not self._is_old(alloc.modify_time_ns, age_ns):
                return
            is_over = alloc.desired_status != "run" or job is None or job.stop
            if is_batch and job is not None and alloc.job is not None and alloc.job.create_index == job.create_index:
                return
            if not is_over and not alloc.next_allocation and alloc.client_status == "failed":
                return  # It may still be placed again.
        self.evaluations[evaluation.id] = None
        self.allocations.update({alloc.id: None for alloc in allocations})


def _is_template(job: Job) -> bool:
    return job.periodic is not None or (job.parameterized_job is not None and not job.dispatched)


def _commands(garbage: _Garbage, epoch: int) -> list[Command]:
    """In pieces; allocations and evaluations before the jobs that are kept for them."""
    commands: list[Command] = []
    commands += [CollectGarbage(allocations=ids, epoch=epoch) for ids in _pieces(list(garbage.allocations))]
    commands += [CollectGarbage(evaluations=ids, epoch=epoch) for ids in _pieces(list(garbage.evaluations))]
    rest = CollectGarbage(
        deployments=tuple(garbage.deployments), jobs=tuple(garbage.jobs), nodes=tuple(garbage.nodes), epoch=epoch
    )
    if rest.deployments or rest.jobs or rest.nodes:
        commands.append(rest)
    return commands


def _pieces(ids: list[str]) -> list[tuple[str, ...]]:
    return [tuple(ids[start : start + IDS_MAX]) for start in range(0, len(ids), IDS_MAX)]
