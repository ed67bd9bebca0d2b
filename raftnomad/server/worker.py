"""The leader's loop that turns evaluations into plans: take one, look at the state, schedule, apply, acknowledge."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from msgspec.structs import replace

from raftnomad.errors import RaftnomadError
from raftnomad.fsm.commands import UpsertEvaluations
from raftnomad.identifiers import new_id
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.plan import Plan
from raftnomad.model.status import EvalStatus, EvalTrigger, JobType
from raftnomad.scheduler.input import SchedulerOutput, read_input
from raftnomad.server.plan_applier import PlanApplier
from raftnomad.server.scheduling import scheduled
from raftnomad.server.triggered import evaluation_of, jobs_of

if TYPE_CHECKING:
    from raftnomad.server.reign import Reign

logger = logging.getLogger(__name__)

TYPES = tuple(str(kind) for kind in JobType)
ATTEMPTS = {JobType.SERVICE: 5, JobType.BATCH: 2, JobType.SYSTEM: 5, JobType.SYSBATCH: 2}
"""How often an evaluation is scheduled anew when placements were refused, before it is blocked."""


class Worker:
    def __init__(self, reign: Reign, applier: PlanApplier, scheduling_turn: asyncio.Lock) -> None:
        self._reign = reign
        self._server = reign.server
        self._applier = applier
        self._turn = scheduling_turn
        """There is one scheduler: who has it reads the state at that moment, and not before it waited."""

    async def run(self) -> None:
        while True:
            taken = None if self._is_paused() else self._reign.broker.dequeue(TYPES, self._now_s())
            if taken is None:
                await self._reign.wait_for_work()
                continue
            await self._handle(*taken)

    def _is_paused(self) -> bool:
        return self._server.state.scheduler_configuration.pause_eval_broker

    def _now_s(self) -> float:
        return self._server.clock.monotonic_s()

    async def _handle(self, evaluation: Evaluation, token: str) -> None:
        """What goes wrong puts the evaluation back; the delivery limit keeps a hopeless one from coming for ever."""
        broker = self._reign.broker
        try:
            await self._process(evaluation, token)
        except asyncio.CancelledError:
            broker.reject(evaluation.id, token, self._now_s())
            raise
        except (RaftnomadError, OSError, TimeoutError) as error:
            logger.warning("evaluation %s of job %s failed: %s", evaluation.id, evaluation.job_id, error)
            broker.reject(evaluation.id, token, self._now_s())
        else:
            broker.acknowledge(evaluation.id, token, self._now_s())
        self._reign.wake()

    async def _process(self, evaluation: Evaluation, token: str) -> None:
        state = self._server.state
        current = state.evaluations.get(evaluation.id)
        if current is None or current.status not in (EvalStatus.PENDING, EvalStatus.BLOCKED):
            return
        attempts = ATTEMPTS.get(JobType(current.type), 2)
        for _ in range(attempts):
            output = await self._schedule(current)
            if not self._reign.broker.is_outstanding(evaluation.id, token):
                return  # It took too long, and is somebody else's now.
            self._reign.broker.extend(evaluation.id, token, self._now_s())
            if await self._apply(output):
                return
        await self._give_up(current, attempts)

    async def _schedule(self, evaluation: Evaluation) -> SchedulerOutput:
        server = self._server
        async with self._turn:
            asked = read_input(server.state, evaluation, server.clock.now_ns(), server.random_bytes(16))
            return await scheduled(server.scheduling, server.state, asked)

    async def _apply(self, output: SchedulerOutput) -> bool:
        """False when some placements were refused: the scheduler has to look again."""
        evaluations = (output.evaluation, *output.created)
        if output.is_empty:
            await self._server.propose(UpsertEvaluations(evaluations=evaluations, epoch=self._reign.epoch))
            return True
        _, refused = await self._applier.apply(output.plan, evaluations, self._of_losers(output.plan))
        return not refused

    def _of_losers(self, plan: Plan) -> tuple[Evaluation, ...]:
        """The jobs that lose allocations to the plan look for other places."""
        allocations = self._server.state.allocations
        victims = [
            alloc for stop in plan.stops if stop.preempted_by and (alloc := allocations.get(stop.alloc_id)) is not None
        ]
        return tuple(
            evaluation_of(job, EvalTrigger.PREEMPTION, self._reign.new_id, self._server.clock.now_ns())
            for job in jobs_of(self._server.state, victims).values()
        )

    async def _give_up(self, evaluation: Evaluation, attempts: int) -> None:
        """The cluster changes faster than its plans: block, to try again in a minute."""
        now_ns = self._server.clock.now_ns()
        blocked = replace(
            evaluation,
            id=new_id(self._server.random_bytes),
            status=str(EvalStatus.BLOCKED),
            triggered_by=str(EvalTrigger.MAX_PLANS),
            status_description="created due to placement conflicts",
            previous_eval=evaluation.id,
            escaped_computed_class=True,
            snapshot_index=self._server.state.index,
            create_time_ns=now_ns,
            modify_time_ns=now_ns,
        )
        failed = replace(
            evaluation,
            status=str(EvalStatus.FAILED),
            status_description=f"maximum attempts reached ({attempts})",
            blocked_eval=blocked.id,
        )
        await self._server.propose(UpsertEvaluations(evaluations=(failed, blocked), epoch=self._reign.epoch))
