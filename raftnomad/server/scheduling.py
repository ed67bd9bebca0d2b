"""How a server has an evaluation scheduled: in a process of its own, or by a direct call in tests and the simulator."""

from __future__ import annotations

from typing import Protocol

from raftnomad.fsm.state import State
from raftnomad.scheduler.input import SchedulerInput, SchedulerOutput


class Scheduling(Protocol):
    async def schedule(self, state: State, asked: SchedulerInput) -> SchedulerOutput:
        """`asked` was read from `state` just now; the nodes are taken from its node table as it is at the call."""

    async def close(self) -> None: ...
