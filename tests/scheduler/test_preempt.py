"""System jobs make room for themselves, at the cost of what is less important."""

from __future__ import annotations

from typing import Any

import msgspec

from raftnomad.model.scheduler_configuration import PreemptionConfig, SchedulerConfiguration
from raftnomad.scheduler.input import SchedulerOutput, Victim, view_of
from raftnomad.scheduler.schedule import schedule
from tests.scheduler.cluster import Cluster, a_cluster, a_group, a_job, counts

ALLOWED = SchedulerConfiguration(preemption_config=PreemptionConfig(system_scheduler_enabled=True))


def full(*memory: int, **fields: Any) -> Cluster:
    """One node of 1000 MiB with an allocation of each of these sizes."""
    cluster = a_cluster(nodes=1)
    cluster.configuration = ALLOWED
    groups = [a_group(f"low{number}", cpu=10, memory=size) for number, size in enumerate(memory)]
    cluster.run(a_job(*groups, priority=20, **fields))
    return cluster


def preempting(
    cluster: Cluster, memory: int, priorities: dict[int, int] | None = None, **fields: Any
) -> SchedulerOutput:
    """A system job that needs so much; the victims' priorities by their size."""
    job = a_job(a_group(memory=memory, cpu=10), id="agent", type="system", priority=80)
    asked = msgspec.structs.replace(cluster.input(job, **fields), allocations=())
    output = schedule(asked, cluster.table())
    if not output.short_of_room:
        return output
    victims = tuple(
        Victim((priorities or {}).get(int(view.demand[1]), 20), view)
        for view in map(view_of, cluster.allocations.values())
    )
    return schedule(msgspec.structs.replace(asked, victims={output.short_of_room[0]: victims}), cluster.table())


def evicted(cluster: Cluster, output: SchedulerOutput) -> list[int]:
    """Sizes of what has to go."""
    assert all(stop.desired_status == "evict" for stop in output.plan.stops)
    return sorted(int(view_of(cluster.allocations[stop.alloc_id]).demand[1]) for stop in output.plan.stops)


def test_what_comes_nearest_to_what_is_missing_goes() -> None:
    cluster = full(200, 300, 400)
    assert evicted(cluster, preempting(cluster, memory=380)) == [300]
    assert evicted(cluster, preempting(cluster, memory=480)) == [400]
    assert evicted(cluster, preempting(cluster, memory=950)) == [200, 300, 400]


def test_the_least_important_go_first_and_nobody_goes_for_nothing() -> None:
    cluster = full(200, 300, 400)
    assert evicted(cluster, preempting(cluster, memory=380, priorities={400: 10})) == [400]
    # The small one is chosen first; once the large one goes too, it may stay.
    assert evicted(cluster, preempting(cluster, memory=450, priorities={200: 10})) == [200, 300]
    output = preempting(cluster, memory=1100)
    assert (output.plan.stops, output.plan.placements) == ((), ())
    assert output.evaluation.blocked_eval


def test_who_is_evicted_knows_for_whom() -> None:
    cluster = full(900)
    output = preempting(cluster, memory=500)
    (stop,), (block,) = output.plan.stops, output.plan.placements
    assert stop.preempted_by.replace("-", "") == block.alloc_ids.hex()
    assert stop.desired_description == f"Preempted by alloc ID {stop.preempted_by}"
    assert output.created == ()


def test_nothing_is_asked_for_when_the_operator_does_not_want_it() -> None:
    cluster = full(900)
    cluster.configuration = SchedulerConfiguration()
    assert preempting(cluster, memory=500).short_of_room == ()


SERVICES_TOO = SchedulerConfiguration(preemption_config=PreemptionConfig(service_scheduler_enabled=True))


def displacing(cluster: Cluster, count: int, memory: int, priorities: dict[str, int]) -> SchedulerOutput:
    """A service that needs so much, and the priority of what runs on each node."""
    job = a_job(a_group(count=count, memory=memory, cpu=10), id="high", priority=80)
    asked = msgspec.structs.replace(cluster.input(job), allocations=())
    output = schedule(asked, cluster.table())
    victims: dict[str, tuple[Victim, ...]] = {}
    for view in map(view_of, cluster.allocations.values()):
        assert view.node_id in output.short_of_room
        victims[view.node_id] = (*victims.get(view.node_id, ()), Victim(priorities[view.node_id], view))
    return schedule(msgspec.structs.replace(asked, victims=victims), cluster.table())


def test_a_service_goes_where_the_least_important_have_to_go() -> None:
    cluster = a_cluster(nodes=2)
    cluster.configuration = SERVICES_TOO
    cluster.run(a_job(a_group(count=2, memory=600, cpu=10), priority=20))
    priorities = {"n0": 30, "n1": 20}
    output = displacing(cluster, count=1, memory=600, priorities=priorities)
    (stop,) = output.plan.stops
    assert cluster.allocations[stop.alloc_id].node_id == "n1"
    assert counts(output) == {"place": 1, "preemptions": 1}
    assert (output.created, output.evaluation.failed_tg_allocs) == ((), None)
    output = displacing(cluster, count=3, memory=600, priorities=priorities)
    assert sorted(stop.alloc_id for stop in output.plan.stops) == sorted(cluster.allocations), "each goes once"
    assert counts(output) == {"place": 3, "preemptions": 2}
    assert (output.evaluation.queued_allocations or {})["g"] == 1
