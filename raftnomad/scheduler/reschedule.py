"""When a failed allocation is placed again: the `reschedule` policy as a function of what happened so far."""

from __future__ import annotations

from dataclasses import dataclass

from raftnomad.model.allocation import RescheduleEvent, RescheduleTracker
from raftnomad.model.policies import ReschedulePolicy
from raftnomad.scheduler.input import AllocView

EVENTS_MAX = 5
"""Of an unlimited policy's events, so many are kept."""


@dataclass(frozen=True)
class Next:
    """The failed allocation may be replaced at `at_ns`; `delay_ns` is what the policy said."""

    at_ns: int
    delay_ns: int


def next_reschedule(alloc: AllocView, policy: ReschedulePolicy | None) -> Next | None:
    """None: the policy does not allow another attempt."""
    if policy is None or not (policy.unlimited or policy.attempts > 0):
        return None
    failed_ns = alloc.ended_ns
    if not policy.unlimited:
        recent = [event for event in _events(alloc) if event.reschedule_time_ns > failed_ns - policy.interval_ns]
        if len(recent) >= policy.attempts:
            return None
    delay_ns = _delay_ns(alloc, policy)
    return Next(failed_ns + delay_ns, delay_ns)


def tracker_after(alloc: AllocView, policy: ReschedulePolicy | None, now_ns: int) -> RescheduleTracker:
    """The tracker of the allocation that replaces a failed one."""
    delay_ns = 0 if policy is None else _delay_ns(alloc, policy)
    event = RescheduleEvent(
        reschedule_time_ns=now_ns, prev_alloc_id=alloc.id, prev_node_id=alloc.node_id, delay_ns=delay_ns
    )
    events = _events(alloc)
    if policy is not None and not policy.unlimited:
        events = tuple(one for one in events if one.reschedule_time_ns > now_ns - policy.interval_ns)
    else:
        events = events[-(EVENTS_MAX - 1) :]
    return RescheduleTracker(events=(*events, event), last_reschedule="ok")


def previous_nodes(alloc: AllocView) -> list[str]:
    """Where the allocation and those before it have failed: the next one rather goes elsewhere."""
    return [alloc.node_id, *(event.prev_node_id for event in _events(alloc))]


def _events(alloc: AllocView) -> tuple[RescheduleEvent, ...]:
    return (alloc.tracker.events if alloc.tracker else None) or ()


def _delay_ns(alloc: AllocView, policy: ReschedulePolicy) -> int:
    delays = [event.delay_ns for event in _events(alloc)]
    delay = policy.delay_ns
    if not delays:
        return delay
    match policy.delay_function:
        case "exponential":
            delay = 2 * delays[-1]
        case "fibonacci":
            delay = delays[-1] + delays[-2] if len(delays) > 1 else max(delays[-1], policy.delay_ns)
        case _:
            return delay
    if policy.max_delay_ns and delay > policy.max_delay_ns:
        delay = policy.max_delay_ns
        # It ran well for longer than the longest wait: begin again with the shortest.
        if alloc.ended_ns - _events(alloc)[-1].reschedule_time_ns > delay:
            delay = policy.delay_ns
    return delay
