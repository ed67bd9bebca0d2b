from __future__ import annotations

from raftnomad.fsm.apply.placements import ids_of
from raftnomad.fsm.commands import ApplyPlan, Command
from raftnomad.fsm.outcome import Applied
from raftnomad.model.plan import AllocStop
from raftnomad.server.plan_applier import PlanApplier, parts_of
from tests.fsm.cluster import Cluster
from tests.makers import a_block, a_deployment, a_job, a_plan, an_evaluation, an_id

IDS = [an_id(number, "allo") for number in range(3000)]
NODES = [an_id(number % 10, "node") for number in range(3000)]


def test_a_short_plan_is_one_part() -> None:
    plan = a_plan(a_job(), (a_block(IDS[:5], NODES[:5]),))
    assert list(parts_of(plan, 256 * 1024)) == [plan]


def test_a_long_plan_is_cut_and_nothing_is_lost() -> None:
    previous = {2500: an_id(1, "old")}
    plan = a_plan(a_job(), (a_block(IDS, NODES, previous=previous),), deployment=a_deployment())
    parts = list(parts_of(plan, 30_000))
    assert len(parts) > 1
    blocks = [block for part in parts for block in part.placements]
    assert [alloc_id for block in blocks for alloc_id in ids_of(block)] == IDS
    assert b"".join(block.name_index for block in blocks) == plan.placements[0].name_index
    found = [ids_of(block)[row] for block in blocks for row in block.previous or {}]
    assert found == [IDS[2500]]
    assert [part.deployment is not None for part in parts] == [True] + [False] * (len(parts) - 1)


def test_all_at_once_is_never_cut() -> None:
    plan = a_plan(a_job(), (a_block(IDS, NODES),), all_at_once=True)
    assert list(parts_of(plan, 10_000)) == [plan]


def test_every_part_knows_what_the_plan_stops() -> None:
    stops = tuple(AllocStop(alloc_id=an_id(number, "old")) for number in range(9_000))
    plan = a_plan(a_job(), (a_block(IDS, NODES),), stops=stops)
    assert all(part.stops == stops for part in parts_of(plan, 30_000))


async def test_the_evaluation_travels_with_the_last_part_unless_something_was_refused() -> None:
    plan = a_plan(a_job(), (a_block(IDS, NODES),))
    evaluations = (an_evaluation(),)
    cluster = Cluster()
    for number in range(10):
        cluster.with_node(number, cpu=1_000_000, memory_mb=1_000_000, disk_mb=1_000_000)
    for refuses in (False, True):
        seen: list[ApplyPlan] = []

        async def propose(command: Command, seen: list[ApplyPlan] = seen, refuses: bool = refuses) -> Applied:
            assert isinstance(command, ApplyPlan)
            seen.append(command)
            return Applied(len(seen), refused=("x",) if refuses and len(seen) == 1 else ())

        index, refused = await PlanApplier(propose, cluster.state, 7, 30_000).apply(plan, evaluations)
        assert index == len(seen) > 1
        assert refused == (("x",) if refuses else ())
        assert [command.epoch for command in seen] == [7] * len(seen)
        carried = [command.evaluations for command in seen]
        assert carried == [()] * (len(seen) - 1) + [() if refuses else evaluations]


async def test_what_can_not_be_placed_never_enters_the_log() -> None:
    cluster = Cluster()
    cluster.with_node(1, memory_mb=300)
    seen: list[ApplyPlan] = []

    async def propose(command: Command) -> Applied:
        assert isinstance(command, ApplyPlan)
        seen.append(command)
        return Applied(len(seen))

    applier = PlanApplier(propose, cluster.state, 7, 30_000)
    three, gone = a_block(IDS[:3], [an_id(1, "node")] * 3), a_block(IDS[:3], [an_id(2, "node")] * 3)
    _, refused = await applier.apply(a_plan(a_job(), (three,)), (an_evaluation(),))
    assert refused == (IDS[2],)
    assert [ids_of(block) for command in seen for block in command.plan.placements] == [IDS[:2]]
    assert [command.evaluations for command in seen] == [()]
    _, refused = await applier.apply(a_plan(a_job(), (gone,)), (an_evaluation(),))
    assert (refused, len(seen)) == (tuple(IDS[:3]), 1)
