"""How a server has an evaluation scheduled: in a process of its own, or by a direct call in tests and the simulator."""

from __future__ import annotations

from typing import Protocol

from raftnomad.fsm.state import State
from raftnomad.scheduler.input import SchedulerInput, SchedulerOutput, with_victims
from raftnomad.scheduler.preempt import PRIORITY_DISTANCE


class Scheduling(Protocol):
    async def schedule(self, state: State, asked: SchedulerInput) -> SchedulerOutput:
        """`asked` was read from `state` just now; the nodes are taken from its node table as it is at the call."""

    async def close(self) -> None: ...


async def scheduled(scheduling: Scheduling, state: State, asked: SchedulerInput) -> SchedulerOutput:
    """The scheduler's answer. Where it finds no room and may preempt, it is asked once more, and told what runs there:
    most of the time it needs not know what belongs to others."""
    output = await scheduling.schedule(state, asked)
    if not output.short_of_room:
        return output
    again = with_victims(state, asked, output.short_of_room, PRIORITY_DISTANCE)
    return output if again is None else await scheduling.schedule(state, again)
