"""How a server has an evaluation scheduled: in a process of its own, or by a direct call in tests and the simulator."""

from __future__ import annotations

from typing import Protocol

from msgspec.structs import replace

from raftnomad.fsm.state import State
from raftnomad.model.allocation import Allocation, AllocListStub
from raftnomad.model.status import JobType
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
    if again is None:
        return output
    output = await scheduling.schedule(state, again)
    is_system = again.job is not None and again.job.type in (JobType.SYSTEM, JobType.SYSBATCH)
    return output if is_system else _naming_victims(output, state)


def _naming_victims(output: SchedulerOutput, state: State) -> SchedulerOutput:
    """The annotations show who would have to go, as far as lists show allocations. (Not those of system jobs, as in
    Nomad.)"""
    victims = [state.allocations.get(stop.alloc_id) for stop in output.plan.stops if stop.preempted_by]
    if not victims or output.plan.annotations is None:
        return output
    stubs = tuple(_stub(victim) for victim in victims if victim is not None)
    annotations = replace(output.plan.annotations, preempted_allocs=stubs)
    return replace(
        output,
        plan=replace(output.plan, annotations=annotations),
        evaluation=replace(output.evaluation, plan_annotations=annotations),
    )


_SHARED = tuple(
    name
    for name in AllocListStub.__struct_fields__
    if name in Allocation.__struct_fields__ and name != "allocated_resources"
)


def _stub(alloc: Allocation) -> AllocListStub:
    assert alloc.job is not None
    shared = {name: getattr(alloc, name) for name in _SHARED}
    return AllocListStub(job_type=alloc.job.type, job_version=alloc.job.version, **shared)
