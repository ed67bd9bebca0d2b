"""One term of office: claim it in the log, fill the brokers from the state, then work until it ends.

Everything in here is memory that the next leader builds anew from the state. What a former leader still proposes
carries its epoch, and the state refuses it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from raftnomad.clock import from_rfc3339
from raftnomad.errors import CommandRejected, RaftnomadError
from raftnomad.fsm.changes import Changes
from raftnomad.fsm.commands import ClaimLeadership, Command
from raftnomad.fsm.outcome import Applied
from raftnomad.fsm.state import uses_node
from raftnomad.identifiers import new_id
from raftnomad.model.allocation import Allocation
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.node import Node
from raftnomad.model.row import ZERO_TIME
from raftnomad.model.status import Eligibility, EvalStatus, NodeStatus
from raftnomad.scheduler.input import read_input
from raftnomad.server.blocked_evals import BlockedEvals
from raftnomad.server.duties import deployments, drains, evaluations, garbage_collection, heartbeats, launches
from raftnomad.server.duties.decision import Decision
from raftnomad.server.eval_broker import EvalBroker
from raftnomad.server.plan_applier import PlanApplier
from raftnomad.server.worker import Worker

if TYPE_CHECKING:
    from raftnomad.server.server import Server

logger = logging.getLogger(__name__)

WORKERS = 4
"""While the plan of one is on its way through the log, another schedules. More would only be in each other's way: each
takes the best nodes of a state that does not show what the others are about to take."""
RETRY_S_MIN, RETRY_S_MAX = 0.1, 5.0
TICK_S = 0.25
"""Times that duties and the broker name are kept to within this."""
PAUSE_S = 0.1
"""Between two rounds of a duty that changes wake: what comes in the meantime is decided together."""

WAKES: dict[str, tuple[str, ...]] = {
    "heartbeats": (),
    "deployments": ("deployments", "allocations"),
    "drains": ("nodes", "allocations"),
    "evaluations": ("evaluations",),
    "garbage": (),
    "launches": ("jobs",),
}
"""Duty -> the tables whose changes it has to look at; besides, each is woken when the time is over that it named."""


class Reign:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.epoch = 0
        settings = server.settings
        self.broker = EvalBroker(settings.eval_nack_timeout_s, settings.eval_delivery_limit)
        self.blocked = BlockedEvals()
        self.deadlines = heartbeats.Deadlines(settings)
        self._work = asyncio.Event()
        self._woken: dict[str, asyncio.Event] = {}
        self._due: dict[str, float] = {}
        """Duty -> when it wants to decide again."""

    async def run(self) -> None:
        await self._claim()
        self._restore()
        end_subscription = self.server.feed.subscribe(self._note)
        applier = PlanApplier(self.propose, self.server.state, self.epoch, self.server.settings.plan_part_bytes)
        scheduling_turn = asyncio.Lock()
        logger.info("leading since index %d", self.epoch)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._warm_up(), name="warm-up")
                for number in range(WORKERS):
                    group.create_task(Worker(self, applier, scheduling_turn).run(), name=f"worker {number}")
                group.create_task(self._tick(), name="tick")
                for name, decide in self._duties().items():
                    self._woken[name] = asyncio.Event()
                    group.create_task(self._serve(name, decide), name=name)
        finally:
            end_subscription()

    async def _claim(self) -> None:
        pause_s = RETRY_S_MIN
        while True:
            try:
                claimed = await self.server.propose(ClaimLeadership(server_id=self.server.log.server_id))
            except RaftnomadError as error:
                logger.info("claiming leadership failed, trying again: %s", error)
                await self.server.clock.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_S_MAX)
            else:
                self.epoch = claimed.value
                return

    async def _warm_up(self) -> None:
        """Have the scheduler's process started, so that the first job does not wait for it."""
        asked = read_input(self.server.state, Evaluation(type="service"), 0, bytes(16))
        try:
            await self.server.scheduling.schedule(self.server.state, asked)
        except RaftnomadError as error:
            logger.warning("the scheduler did not start, it is tried again when it is needed: %s", error)

    def _restore(self) -> None:
        """What earlier leaders left open. Blocked evaluations are all tried again: nobody knows what was freed."""
        state = self.server.state
        self.broker = EvalBroker(self.broker.nack_timeout_s, self.broker.delivery_limit)
        self.blocked = BlockedEvals()
        self.deadlines = heartbeats.Deadlines(self.server.settings)
        self.deadlines.start(
            (node.id for node in state.nodes.values() if node.status != NodeStatus.DOWN),
            len(state.nodes),
            self.server.clock.monotonic_s(),
        )
        for evaluation in state.evaluations.values():
            if evaluation.status in (EvalStatus.PENDING, EvalStatus.BLOCKED):
                self._enqueue(evaluation)
        self.wake()

    def _duties(self) -> dict[str, Callable[[], Decision]]:
        state, clock = self.server.state, self.server.clock
        progress = deployments.Progress()
        drain_deadlines = drains.Deadlines()
        garbage = garbage_collection.Ages(self.server.settings)
        schedules = launches.Schedules()
        return {
            "heartbeats": lambda: heartbeats.decide(
                state, self.deadlines, clock.monotonic_s(), clock.now_ns(), self.epoch, self.new_id
            ),
            "deployments": lambda: deployments.decide(
                state, progress, clock.monotonic_s(), clock.now_ns(), self.epoch, self.new_id
            ),
            "drains": lambda: drains.decide(
                state, drain_deadlines, clock.monotonic_s(), clock.now_ns(), self.epoch, self.new_id
            ),
            "evaluations": lambda: evaluations.decide(
                state,
                self.broker,
                self.blocked,
                clock.monotonic_s(),
                clock.now_ns(),
                self.epoch,
                self.new_id,
                self._chance,
            ),
            "launches": lambda: launches.decide(state, schedules, clock.now_ns(), self.epoch, self.new_id),
            "garbage": lambda: garbage_collection.decide(state, garbage, clock.now_ns(), self.epoch),
        }

    async def _serve(self, name: str, decide: Callable[[], Decision]) -> None:
        """Decide, carry out, wait for a change or for the time that the decision named."""
        woken = self._woken[name]
        pause_s = RETRY_S_MIN
        while True:
            woken.clear()
            self._due.pop(name, None)
            decision = decide()
            try:
                for command in decision.commands:
                    await self._carry_out(name, command)
            except RaftnomadError as error:
                logger.info("%s: trying again, since %s", name, error)
                await self.server.clock.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_S_MAX)
                continue
            pause_s = RETRY_S_MIN
            if decision.again_in_s is not None:
                self._due[name] = self.server.clock.monotonic_s() + decision.again_in_s
            await woken.wait()
            await self.server.clock.sleep(PAUSE_S)

    async def _carry_out(self, name: str, command: Command) -> None:
        """What the state refuses was overtaken by events; the next decision knows them."""
        try:
            await self.propose(command)
        except CommandRejected as refusal:
            logger.info("%s: %s was refused: %s", name, type(command).__name__, refusal)

    async def propose(self, command: Command) -> Applied:
        return await self.server.propose(command)

    def new_id(self) -> str:
        return new_id(self.server.random_bytes)

    def _chance(self) -> float:
        """From 0 to 1, for spreading retries."""
        return int.from_bytes(self.server.random_bytes(4), "big") / 0xFFFFFFFF

    def heard(self, node_ids: Sequence[str]) -> None:
        self.deadlines.start(node_ids, len(self.server.state.nodes), self.server.clock.monotonic_s())

    def wake(self) -> None:
        """There may be something for the worker."""
        self._work.set()

    async def wait_for_work(self) -> None:
        self._work.clear()
        await self._work.wait()

    async def _tick(self) -> None:
        """The only timer: it lets time pass for the broker, the worker and the duties."""
        while True:
            now_s = self.server.clock.monotonic_s()
            self.broker.tick(now_s)
            self.wake()
            for name, due_s in self._due.items():
                if due_s <= now_s:
                    self._woken[name].set()
            await self.server.clock.sleep(TICK_S)

    def statistics(self) -> dict[str, str]:
        counts = {**self.broker.counts(), "total_blocked": len(self.blocked)}
        return {name: str(count) for name, count in counts.items()}

    def _note(self, changes: Changes) -> None:
        """The feed's subscriber: what the log has just applied, told to whoever in here waits for it."""
        if changes.command == "Restore":
            self._restore()
        for change in changes.rows:
            if change.table == "evaluations":
                self._note_evaluation(change.key, change.new)
            elif change.table == "allocations":
                self._note_allocation(change.old, change.new, changes.index)
            elif change.table == "nodes":
                self._note_node(change.old, change.new, changes.index)
        for name, event in self._woken.items():
            if any(change.table in WAKES[name] for change in changes.rows):
                event.set()

    def _enqueue(self, evaluation: Evaluation) -> None:
        delay_s = 0.0
        if evaluation.wait_until != ZERO_TIME:
            delay_s = (_nanoseconds(evaluation.wait_until) - self.server.clock.now_ns()) / 1_000_000_000
        elif evaluation.wait_ns:
            delay_s = evaluation.wait_ns / 1_000_000_000
        self.broker.enqueue(evaluation, self.server.clock.monotonic_s(), delay_s)
        self.wake()

    def _note_evaluation(self, key: object, new: Evaluation | None) -> None:
        eval_id = str(key)
        if new is None or new.status not in (EvalStatus.PENDING, EvalStatus.BLOCKED):
            self.broker.forget(eval_id)
            self.blocked.forget(eval_id)
        elif new.status == EvalStatus.PENDING:
            self.blocked.forget(eval_id)
            self._enqueue(new)
        elif (urgent := self.blocked.block(new, self.server.clock.monotonic_s())) is not None:
            self._enqueue(urgent)

    def _note_allocation(self, old: Allocation | None, new: Allocation | None, index: int) -> None:
        """One that has ended leaves room on its node."""
        if old is not None and uses_node(old) and (new is None or not uses_node(new)):
            node = self.server.state.nodes.get(old.node_id)
            if node is not None:
                self._unblock(node, index)

    def _note_node(self, old: Node | None, new: Node | None, index: int) -> None:
        if new is None:
            self.deadlines.forget(old.id if old is not None else "")
            return
        if old is None or old.status == NodeStatus.DOWN:
            self.deadlines.start((new.id,), len(self.server.state.nodes), self.server.clock.monotonic_s())
        if _takes_work(new) and (old is None or not _takes_work(old) or _is_another_machine(old, new)):
            self._unblock(new, index)

    def _unblock(self, node: Node, index: int) -> None:
        for evaluation in (*self.blocked.unblock(node.computed_class, index), *self.blocked.unblock_node(node.id)):
            self._enqueue(evaluation)


def _takes_work(node: Node) -> bool:
    return node.status == NodeStatus.READY and node.scheduling_eligibility == Eligibility.ELIGIBLE


def _is_another_machine(old: Node, new: Node) -> bool:
    return old.computed_class != new.computed_class or old.node_resources != new.node_resources


def _nanoseconds(text: str) -> int:
    try:
        return from_rfc3339(text)
    except ValueError:
        return 0
