from __future__ import annotations

from raftnomad.fsm.commands import (
    AllocationUpdate,
    Command,
    DeregisterJob,
    TransitionAllocations,
    UpdateAllocations,
    UpdateNodeDrain,
)
from raftnomad.model.node import DrainStrategy
from raftnomad.model.plan import AllocStop
from raftnomad.model.policies import MigrateStrategy
from raftnomad.server.duties.drains import Deadlines, decide
from tests.fsm.cluster import Cluster
from tests.makers import SECOND, a_group, an_id, healthy

NODE = an_id(1, "node")


def draining(strategy: DrainStrategy, count: int = 3, parallel: int = 1, **job: object) -> Cluster:
    """A node with `count` running allocations of one job, about to be drained."""
    cluster = Cluster()
    cluster.with_node()
    group = a_group(count=count, migrate=MigrateStrategy(max_parallel=parallel))
    numbers = range(1, count + 1)
    cluster.place(cluster.with_job(task_groups=(group,), **job), *numbers)
    running = tuple(
        AllocationUpdate(id=an_id(number, "allo"), client_status="running", deployment_status=healthy(True))
        for number in numbers
    )
    cluster.apply(UpdateAllocations(updates=running))
    cluster.apply(UpdateNodeDrain(node_id=NODE, strategy=strategy))
    return cluster


def step(cluster: Cluster, deadlines: Deadlines, now_s: float = 0) -> tuple[Command, ...]:
    commands = decide(cluster.state, deadlines, now_s, cluster.time_ns, 0, lambda: an_id(9, "eval")).commands
    for command in commands:
        cluster.apply(command)
    return commands


def moving(cluster: Cluster) -> int:
    return sum(bool(alloc.desired_transition.migrate) for alloc in cluster.state.allocations.values())


HOUR = DrainStrategy(deadline_ns=3600 * SECOND, started_at="2026-01-01T00:00:00Z")
AT_ONCE = DrainStrategy(deadline_ns=-SECOND, started_at="2026-01-01T00:00:00Z")


def test_as_many_move_at_once_as_the_job_allows() -> None:
    cluster, deadlines = draining(HOUR, count=5, parallel=2), Deadlines()
    (command,) = step(cluster, deadlines)
    assert isinstance(command, TransitionAllocations)
    assert [evaluation.triggered_by for evaluation in command.evaluations] == ["node-drain"]
    assert moving(cluster) == 2
    assert step(cluster, deadlines) == ()


def test_the_next_waits_until_the_replacement_is_healthy() -> None:
    cluster, deadlines = draining(HOUR, count=2), Deadlines()
    step(cluster, deadlines)
    cluster.with_node(2)
    first = next(alloc for alloc in cluster.state.allocations.values() if alloc.desired_transition.migrate)
    stop = AllocStop(alloc_id=first.id)
    assert first.job is not None
    cluster.place(first.job, 9, node=2, stops=(stop,))
    for health, moved in ((None, 1), (healthy(True), 2)):
        update = AllocationUpdate(id=an_id(9, "allo"), client_status="running", deployment_status=health)
        cluster.apply(UpdateAllocations(updates=(update,)))
        step(cluster, deadlines)
        assert moving(cluster) == moved


def test_allocations_of_a_stopped_job_need_not_wait() -> None:
    cluster = draining(HOUR, count=5)
    cluster.apply(DeregisterJob(job_id="web"))
    step(cluster, Deadlines())
    assert moving(cluster) == 5


def test_batch_jobs_may_finish_until_the_deadline() -> None:
    cluster, deadlines = draining(HOUR, type="batch"), Deadlines()
    assert step(cluster, deadlines, 0) == ()
    assert step(cluster, deadlines, 3599) == ()
    step(cluster, deadlines, 3600)
    assert moving(cluster) == 3


def test_a_drain_without_a_deadline_waits_for_batch_jobs() -> None:
    cluster, deadlines = draining(DrainStrategy(), type="batch"), Deadlines()
    assert step(cluster, deadlines, 10**6) == ()


def test_a_negative_deadline_moves_everything_at_once() -> None:
    cluster = draining(AT_ONCE, count=5)
    step(cluster, Deadlines())
    assert moving(cluster) == 5


def test_system_jobs_go_last_unless_they_are_ignored() -> None:
    cluster, deadlines = draining(HOUR, count=1, type="system"), Deadlines()
    step(cluster, deadlines)
    assert moving(cluster) == 1
    ignoring = DrainStrategy(deadline_ns=SECOND, ignore_system_jobs=True)
    cluster = draining(ignoring, count=1, type="system")
    (command,) = step(cluster, Deadlines())
    assert isinstance(command, UpdateNodeDrain)
    assert cluster.state.nodes[NODE].drain_strategy is None


def test_an_empty_node_is_drained() -> None:
    cluster, deadlines = draining(AT_ONCE, count=1), Deadlines()
    step(cluster, deadlines)
    assert cluster.state.nodes[NODE].drain_strategy is not None
    cluster.apply(UpdateAllocations(updates=(AllocationUpdate(id=an_id(1, "allo"), client_status="complete"),)))
    step(cluster, deadlines)
    node = cluster.state.nodes[NODE]
    assert (node.drain_strategy, node.scheduling_eligibility) == (None, "ineligible")
    event = (node.events or ())[-1]
    assert (event.message, event.details) == ("Node drain complete", {"deadline_reached": "true"})


def test_a_batch_run_that_the_deadline_ends_is_not_placed_again() -> None:
    for kind, is_ended in (("batch", True), ("service", None)):
        cluster = draining(AT_ONCE, count=1, type=kind)
        step(cluster, Deadlines())
        assert cluster.state.allocations[an_id(1, "allo")].desired_transition.migrate_disable_placement is is_ended
