"""Servers together, on virtual time. Where a rule is one that pysyncobj breaks, `test_defects.py` has it."""

import asyncio
import dataclasses
import itertools

import pytest

from raftnomad import errors
from raftnomad.fsm.outcome import Applied
from tests.raft.registers import write
from tests.raft.simulated_cluster import SimulatedCluster, SimulatedServer
from tests.raft.stories import elected, figure, followers, simulate


async def put(server: SimulatedServer, *numbers: int, timeout_s: float = 10.0) -> None:
    assert server.node is not None
    for number in numbers:
        await server.node.propose(write(str(number), "k", number), timeout_s)


def test_three_servers_elect_one_and_agree() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        await put(leader, *range(10))
        assert await cluster.until(cluster.has_converged)
        assert [server.leads for server in cluster.live() if server is leader] == [[True]]
        for server in cluster.live():
            assert server.node is not None
            assert server.node.leader is not None
            assert server.node.leader.id == leader.id

    simulate(story)


def test_a_follower_forwards_and_has_what_it_is_answered() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        await elected(cluster)
        follower = followers(cluster)[0]
        assert follower.node is not None
        for number in range(10):
            outcome = await follower.node.propose(write(str(number), "k", number))
            assert isinstance(outcome, Applied)
            assert follower.machine.index >= outcome.index

    simulate(story)


def test_any_server_reads_what_was_acknowledged_anywhere() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        for number in range(20):
            await put(leader, number)
            for server in cluster.live():
                assert server.node is not None
                await server.node.consistent_read()
                assert server.machine.values["k"] == number

    simulate(story)


def test_a_leader_that_dies_is_replaced_and_nothing_acknowledged_is_lost() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        first = await elected(cluster)
        await put(first, *range(10))
        cluster.kill(first.id, power=True)
        second = await elected(cluster)
        assert second.machine.values == {"k": 9}
        await put(second, 10)
        await cluster.start(first.id)
        assert await cluster.until(cluster.has_converged)
        assert first.machine.values == {"k": 10}

    simulate(story)


def test_a_proposal_under_way_when_the_leader_dies_is_offered_to_the_next() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        follower = followers(cluster)[0]
        calls = [asyncio.ensure_future(put(follower, number)) for number in range(20)]
        await asyncio.sleep(0.002)
        cluster.kill(leader.id)
        await asyncio.gather(*calls)
        assert follower.machine.index == 20

    simulate(story)


def test_without_a_majority_nothing_is_written_and_the_caller_knows_which() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        for follower in followers(cluster):
            cluster.kill(follower.id)
        with pytest.raises(errors.OutcomeUnknown):
            await put(leader, 1, timeout_s=2.0)
        with pytest.raises(errors.NoLeader):
            await put(leader, 2, timeout_s=2.0)
        assert leader.node is not None
        with pytest.raises(errors.NoLeader):
            await leader.node.consistent_read()
        await cluster.start_all()
        await elected(cluster)
        assert await cluster.until(cluster.has_converged)
        assert "2" not in leader.machine.outcomes

    simulate(story)


def test_a_follower_that_lacks_what_the_log_has_forgotten_is_sent_a_snapshot() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        late = followers(cluster)[0]
        cluster.kill(late.id)
        await put(leader, *range(100))
        assert await cluster.until(lambda: figure(leader, "first_log_index") > 50)
        await cluster.start(late.id)
        assert await cluster.until(cluster.has_converged)
        assert late.machine.dump() == leader.machine.dump()
        assert figure(late, "last_snapshot_index") > 50

    simulate(story, snapshot_entries=20, trailing_entries=0, snapshot_chunk_bytes=300)


def test_a_follower_that_lacks_only_what_trails_the_snapshot_needs_none() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        late = followers(cluster)[0]
        cluster.kill(late.id)
        snapshots: list[str] = []
        cluster.network.watch = lambda source, target, message: (
            message["type"] != "snapshot" or snapshots.append(target) is not None or True
        )
        await put(leader, *range(60))
        assert figure(leader, "last_snapshot_index") > 0
        await cluster.start(late.id)
        assert await cluster.until(cluster.has_converged)
        assert snapshots == []

    simulate(story, snapshot_entries=20, trailing_entries=1000)


def test_a_snapshot_goes_on_where_the_connection_broke() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        late = followers(cluster)[0]
        cluster.kill(late.id)
        await put(leader, *range(300))
        offsets: list[int] = []

        def watch(source: str, target: str, message: dict[str, object]) -> bool:
            if message["type"] == "snapshot":
                assert isinstance(message["offset"], int)
                offsets.append(message["offset"])
                if len(offsets) == 10:
                    cluster.network.cut.add(frozenset((source, target)))
                    cluster.loop.call_later(0.01, cluster.network.break_links)
                    cluster.loop.call_later(0.05, cluster.network.cut.clear)
            return True

        cluster.network.watch = watch
        await cluster.start(late.id)
        assert await cluster.until(cluster.has_converged)
        assert offsets.count(0) == 2
        assert len(offsets) < 2 * len(set(offsets))
        assert late.machine.dump() == leader.machine.dump()

    simulate(story, snapshot_entries=100, trailing_entries=0, snapshot_chunk_bytes=200)


def test_a_snapshot_that_is_newer_than_noted_is_sent_as_what_it_is() -> None:
    """Found by a seed: a snapshot has its name a moment before it is noted, and was sent under the last one's index;
    the follower refused it for ever."""

    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        late = followers(cluster)[0]
        cluster.kill(late.id)
        await put(leader, *range(60))
        assert leader.node is not None
        snapshots = leader.node._snapshots
        assert snapshots.last is not None
        snapshots.last = dataclasses.replace(snapshots.last, index=snapshots.last.index - 3)
        await cluster.start(late.id)
        assert await cluster.until(lambda: late.machine.index == 60)

    simulate(story, snapshot_entries=50, trailing_entries=0)


def test_a_burst_is_applied_in_slices_between_which_the_loop_goes_on() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        late = followers(cluster)[0]
        await put(leader, *range(200))
        assert late.node is not None
        cluster.kill(late.id)
        await put(leader, *range(200, 400))
        seen: list[int] = []

        def look() -> None:
            seen.append(late.machine.index)
            if seen[-1] < 400 and len(seen) < 300:
                cluster.loop.call_soon(look)

        applied = cluster._applied

        def note(server: SimulatedServer, index: int, proposal: bytes) -> None:
            applied(server, index, proposal)
            if server is late and not seen:
                look()

        cluster._applied = note  # type: ignore[method-assign]
        await cluster.start(late.id)
        assert await cluster.until(cluster.has_converged)
        assert len(seen) > 20
        assert max(after - before for before, after in itertools.pairwise(seen)) <= 4

    simulate(story, apply_slice_entries=4, entry_bytes_aim=1)


def test_leadership_is_handed_over_on_request_from_any_server() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        first = await elected(cluster)
        heir, other = followers(cluster)
        await put(first, *range(5))
        assert other.node is not None and first.node is not None
        assert (await other.node.transfer_leadership(heir.id)).id == heir.id
        assert await elected(cluster) is heir
        assert first.leads == [True, False]
        await put(first, 6)
        assert heir.node is not None
        chosen = await heir.node.transfer_leadership()
        assert (await elected(cluster)).id == chosen.id != heir.id

    simulate(story)


def test_leadership_can_not_go_to_a_stranger() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        assert leader.node is not None
        with pytest.raises(errors.NotFound):
            await leader.node.transfer_leadership("nobody")
        for server in followers(cluster):
            assert server.node is not None
            with pytest.raises(errors.NotFound):
                await server.node.transfer_leadership("nobody")

    simulate(story)


def test_a_server_joins_by_snapshot_and_counts() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        await put(leader, *range(30))
        fourth = cluster.add_machine()
        await cluster.start(fourth.id)
        await asyncio.sleep(5)
        assert fourth.node is not None
        assert figure(fourth, "term") == 0, "a server that was told of no members must not campaign"
        asked = followers(cluster)[0]
        assert asked.node is not None
        await asked.node.add_server(cluster.member(fourth.id))
        assert await cluster.until(cluster.has_converged)
        assert [len(server.node.members) for server in cluster.live() if server.node] == [4] * 4
        for server in followers(cluster)[:1]:
            cluster.kill(server.id)
        await put(leader, 30)
        assert fourth.machine.values == {"k": 30} or await cluster.until(lambda: fourth.machine.values == {"k": 30})

    simulate(story)


def test_a_server_alone_grows_to_three_and_back() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        first = await elected(cluster)
        assert first.node is not None
        await put(first, *range(5))
        for _ in range(2):
            server = cluster.add_machine()
            await cluster.start(server.id)
            await first.node.add_server(cluster.member(server.id))
        await put(first, *range(5, 10))
        assert await cluster.until(cluster.has_converged)
        for server in followers(cluster):
            await first.node.remove_server(server.id)
            cluster.kill(server.id)
            del cluster.servers[server.id]
        await put(first, *range(10, 15))
        assert [member.id for member in first.node.members] == [first.id]

    simulate(story, servers=1)


def test_a_leader_that_is_removed_hands_over_first() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        first = await elected(cluster)
        assert first.node is not None
        await put(first, *range(5))
        await first.node.remove_server(first.id)
        cluster.kill(first.id)
        del cluster.servers[first.id]
        second = await elected(cluster)
        await put(second, 6)
        assert second.node is not None
        assert first.id not in [member.id for member in second.node.members]

    simulate(story)


def test_a_removed_server_disturbs_nobody() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        removed = followers(cluster)[0]
        assert leader.node is not None
        await leader.node.remove_server(removed.id)
        term = figure(leader, "term")
        await asyncio.sleep(10)
        assert cluster.leader() is leader
        assert figure(leader, "term") == term

    simulate(story)


def test_a_member_gets_its_new_address() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        from dataclasses import replace

        leader = await elected(cluster)
        follower = followers(cluster)[0]
        moved = replace(cluster.member(follower.id), rpc_address="10.0.0.9:4647")
        assert leader.node is not None
        await leader.node.add_server(moved)
        assert await cluster.until(cluster.has_converged)
        for server in cluster.live():
            assert server.node is not None
            assert moved in server.node.members

    simulate(story)


def test_an_answer_meant_for_a_servers_last_process_is_not_taken_for_its_own() -> None:
    """Found by seed 1120: outcomes of other proposals were acknowledged."""

    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        follower = followers(cluster)[0]
        leader.disk._sync_s = (0.5, 0.5)
        for other in followers(cluster):
            other.disk._sync_s = (0.5, 0.5)
        lost = asyncio.ensure_future(put(follower, 1, 2, 3))
        await asyncio.sleep(0.05)
        cluster.kill(follower.id)
        await cluster.start(follower.id)
        assert follower.node is not None
        assert await cluster.until(lambda: follower.node is not None and follower.node.leader is not None)
        outcomes = await asyncio.gather(*(follower.node.propose(write(f"n{n}", "k", n)) for n in range(3)))
        assert await cluster.until(cluster.has_converged)
        for number, outcome in enumerate(outcomes):
            assert leader.machine.outcomes[f"n{number}"] == outcome
        lost.cancel()

    simulate(story, entry_bytes_aim=1)


def test_a_follower_whose_disk_is_full_goes_on_when_there_is_room_again() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        full = followers(cluster)[0]
        full.disk.full = True
        await put(leader, *range(500))
        assert figure(full, "last_log_index") < 400
        full.disk.full = False
        assert await cluster.until(cluster.has_converged)

    simulate(story, segment_bytes=16384)


def test_a_leader_whose_disk_is_full_refuses_and_hands_over() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        leader.disk.full = True
        with pytest.raises(errors.Overloaded, match="disk is full"):
            await put(leader, *range(1000))
        assert await cluster.until(lambda: cluster.leader() not in (None, leader))
        await put(await elected(cluster), 3000)
        leader.disk.full = False
        await put(leader, 3001)
        assert await cluster.until(cluster.has_converged)
        assert len(leader.machine.outcomes) == leader.machine.index

    simulate(story, segment_bytes=16384)


def test_a_server_alone_whose_disk_is_full_refuses_and_goes_on_when_there_is_room_again() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        leader.disk.full = True
        with pytest.raises(errors.Overloaded, match="disk is full"):
            await put(leader, *range(1000))
        with pytest.raises(errors.Overloaded, match="disk is full"):
            await put(leader, 2000)
        leader.disk.full = False
        await asyncio.sleep(2)
        await put(leader, 3000)
        assert "2000" not in leader.machine.outcomes

    simulate(story, servers=1, segment_bytes=16384)


def test_a_bug_in_a_step_stops_the_server_and_not_only_its_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        assert leader.node is not None
        cluster.allow_damage = True
        monkeypatch.setattr(leader.node._proposals, "pump", lambda: 1 / 0)
        assert await cluster.until(lambda: leader.node is None)
        assert cluster.failures == ["a bug: ZeroDivisionError('division by zero')"]

    simulate(story)
