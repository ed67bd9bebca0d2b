"""Each way in which pysyncobj 0.3.17 loses, fakes or invents something, closed; and shown open in the library itself.

In each pair of tests the same is said to one server by puppets in the others' places.
"""

import asyncio
import os
import pickle
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pysyncobj.journal import FileJournal

from raftnomad import errors
from raftnomad.raft.entries import MembershipChange
from raftnomad.raft.log import Member
from raftnomad.raft.network import Message
from tests.raft.registers import write
from tests.raft.simulated_cluster import SimulatedCluster, SimulatedServer
from tests.raft.stock import StockCluster
from tests.raft.stories import Puppet, append, elected, figure, followers, simulate, stock_append
from tests.raft.virtual_time import VirtualLoop


def simulate_stock(story: Callable[[Any], Awaitable[None]], servers: int = 3, started: int = 1) -> None:
    """Over unmodified pysyncobj; `StockCluster` removes its own files when the loop is done."""
    clusters: list[StockCluster] = []

    def make(loop: VirtualLoop) -> SimulatedCluster:
        clusters.append(StockCluster(loop, 1, servers))
        return clusters[0]

    try:
        simulate(story, make=make, started=started, violations=True)
    finally:
        clusters[0].remove_files()


def one_of(cluster: SimulatedCluster) -> tuple[SimulatedServer, list[Puppet]]:
    server, *others = cluster.servers.values()
    return server, [Puppet(cluster, other.id) for other in others]


# --- a follower and its log


def test_a_repeated_append_cuts_nothing() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, (leader, _) = one_of(cluster)
        await leader.say(server.id, append(5, (1, 0), [(2, 5), (3, 5), (4, 5)], 4))
        await leader.say(server.id, append(5, (1, 0), [(2, 5)], 4))
        await leader.say(server.id, append(5, (1, 0), [], 4))
        assert figure(server, "last_log_index") == 4
        assert figure(server, "commit_index") == 4

    simulate(story, started=1)


def test_pysyncobj_cuts_committed_entries_for_a_repeated_append() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, (leader, _) = one_of(cluster)
        await leader.say(server.id, stock_append(5, (1, 0), [(2, 5), (3, 5), (4, 5)], 4))
        await leader.say(server.id, stock_append(5, (1, 0), [(2, 5)], 4))
        assert figure(server, "last_log_index") == 2

    simulate_stock(story)


def test_a_leader_that_sends_a_snapshot_commits_nothing_of_the_followers_own() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, (old, new) = one_of(cluster)
        await old.say(server.id, append(5, (1, 0), [(2, 5), (3, 5), (4, 5)], 1))
        chunk = {"type": "snapshot", "term": 6, "seq": 1, "index": 9, "snapshot_term": 6, "size": 500, "offset": 0}
        await new.say(server.id, {**chunk, "data": b"x"})
        await new.say(server.id, {"type": "heartbeat", "term": 6, "seq": 2})
        assert figure(server, "term") == 6
        assert figure(server, "commit_index") == 1

    simulate(story, started=1)


def test_pysyncobj_commits_its_own_unproven_tail_while_it_is_sent_a_snapshot() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, (old, new) = one_of(cluster)
        await old.say(server.id, stock_append(5, (1, 0), [(2, 5), (3, 5), (4, 5)], 1))
        await new.say(server.id, {"type": "append_entries", "term": 6, "commit_index": 9, "serialized": None})
        assert figure(server, "commit_index") == 4

    simulate_stock(story)


def test_a_snapshot_of_what_is_there_already_undoes_nothing() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, (leader, _) = one_of(cluster)
        await leader.say(server.id, append(5, (1, 0), [(2, 5), (3, 5), (4, 5)], 2))
        for index, done in ((2, True), (3, True), (4, True), (5, False)):
            chunk = {
                "type": "snapshot",
                "term": 5,
                "seq": 2,
                "index": index,
                "snapshot_term": 5,
                "size": 9,
                "offset": 1,
            }
            await leader.say(server.id, {**chunk, "data": b"x"})
            assert leader.take("snapshot_received")[-1]["done"] is done
        assert figure(server, "last_log_index") == 4

    simulate(story, started=1)


def test_a_damaged_snapshot_is_neither_installed_nor_acknowledged() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, (leader, _) = one_of(cluster)
        chunk = {"type": "snapshot", "term": 5, "seq": 1, "index": 9, "snapshot_term": 5, "size": 100, "offset": 0}
        await leader.say(server.id, {**chunk, "data": b"x" * 100})
        assert leader.take("snapshot_received")[-1] == {
            "type": "snapshot_received",
            "term": 5,
            "index": 9,
            "offset": 0,
            "done": False,
        }
        assert all(ack["success"] is False for ack in leader.take("next_node_idx"))
        assert figure(server, "applied_index") == 1

    simulate(story, started=1)


def test_pysyncobj_acknowledges_a_damaged_snapshot() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, (leader, _) = one_of(cluster)
        message = {"type": "append_entries", "term": 5, "commit_index": 1}
        await leader.say(server.id, {**message, "serialized": (b"x" * 100, True, False)})
        await leader.say(server.id, {**message, "serialized": (b"", False, True)})
        assert leader.take("next_node_idx")[-1]["success"] is True

    simulate_stock(story)


def test_pysyncobj_believes_a_commit_index_beyond_its_journal(tmp_path: os.PathLike[str]) -> None:
    """Ours is bounded by what was read: `test_the_commit_index_never_exceeds_the_log`."""
    path = os.path.join(tmp_path, "journal")
    journal = FileJournal(path)
    journal.add(b"\x01", 1, 0)
    journal.setRaftCommitIndex(50)
    journal.onOneSecondTimer()
    journal._destroy()
    again = FileJournal(path)
    assert again.getRaftCommitIndex() == 50
    assert again[-1][1] == 1


def test_pysyncobj_does_not_notice_a_flipped_bit(tmp_path: os.PathLike[str]) -> None:
    """Ours does: `test_damage_anywhere_in_what_was_durable_is_found_or_harmless`."""
    path = os.path.join(tmp_path, "journal")
    journal = FileJournal(path)
    journal.add(b"\x00a command", 1, 0)
    journal._destroy()
    with open(path, "r+b") as file:
        data = file.read()
        file.seek(data.index(b"a command"))
        file.write(b"b command")
    assert FileJournal(path)[0] == (b"\x00b command", 1, 0)


# --- elections


def vote(term: int) -> Message:
    return {"type": "response_vote", "term": term}


async def grant(server: SimulatedServer, puppets: list[Puppet]) -> int:
    """Let the server win its polls until it asks for votes; returns the term that it asks them for."""
    for _ in range(400):
        await asyncio.sleep(0.01)
        for puppet in puppets:
            for poll in puppet.take("pre_vote"):
                await puppet.say(server.id, {"type": "pre_vote_granted", "id": poll["id"]}, 0.0)
        asked = [request["term"] for puppet in puppets for request in puppet.take("request_vote")]
        if asked:
            return max(asked)
    raise AssertionError("no vote was asked for")


def test_a_vote_that_arrives_twice_counts_once() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, puppets = one_of(cluster)
        term = await grant(server, puppets)
        for _ in range(3):
            await puppets[0].say(server.id, vote(term), 0.003)
        assert not server.leads and figure(server, "term") == term
        await puppets[1].say(server.id, vote(term))
        assert server.node is not None and server.node.statistics()["state"] == "Leader"

    simulate(story, servers=5, started=1)


def test_pysyncobj_counts_a_vote_as_often_as_it_arrives() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, puppets = one_of(cluster)
        term = await grant(server, puppets)
        for _ in range(2):
            await puppets[0].say(server.id, vote(term), 0.003)
        assert server.node is not None and server.node.statistics()["state"] == "Leader"

    simulate_stock(story, servers=5)


def test_a_vote_is_given_once_in_a_term_also_across_a_power_cut() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, (first, second) = one_of(cluster)
        request = {"type": "request_vote", "term": 50, "last_log_index": 9, "last_log_term": 9}
        await first.say(server.id, request)
        assert len(first.take("response_vote")) == 1
        cluster.kill(server.id, power=True)
        await cluster.start(server.id)
        cluster.network.connect()
        await second.say(server.id, request)
        assert second.take("response_vote") == []

    simulate(story, started=1)


def test_no_promise_leaves_before_the_disk_holds_it() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, (first, second) = one_of(cluster)
        server.disk._sync_s = (0.2, 0.2)
        await first.say(server.id, {"type": "request_vote", "term": 5, "last_log_index": 9, "last_log_term": 9}, 0.1)
        assert first.take("response_vote") == []
        await asyncio.sleep(0.2)
        assert len(first.take("response_vote")) == 1
        await second.say(server.id, append(6, (1, 0), [(2, 6)], 1), 0.1)
        assert second.take("next_node_idx") == []
        await asyncio.sleep(0.2)
        assert [ack["success"] for ack in second.take("next_node_idx")] == [True]

    simulate(story, started=1)


def test_a_server_that_was_deaf_deposes_nobody() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        term, deaf = figure(leader, "term"), followers(cluster)[0]
        for other in cluster.servers:
            cluster.network.deaf.add((other, deaf.id))
        await asyncio.sleep(10)
        cluster.heal()
        await asyncio.sleep(3)
        assert figure(leader, "term") == term
        assert cluster.leader() is leader

    simulate(story)


def test_pysyncobj_lets_a_deaf_server_depose_a_leader_that_did_nothing_wrong() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        term, deaf = figure(leader, "term"), followers(cluster)[0]
        for other in cluster.servers:
            cluster.network.deaf.add((other, deaf.id))
        await asyncio.sleep(10)
        assert max(figure(server, "term") for server in cluster.live()) > term + 3

    simulate_stock(story, started=3)


def test_a_leader_that_is_cut_off_steps_down_within_a_second_and_answers_no_reads() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        assert leader.node is not None
        for follower in followers(cluster):
            cluster.network.deaf |= {(leader.id, follower.id), (follower.id, leader.id)}
        with pytest.raises(errors.NoLeader):
            await leader.node.consistent_read(timeout_s=0.95)
        assert not leader.node.is_leader
        assert leader.leads == [True, False]

    simulate(story)


def test_pysyncobj_leads_and_reads_on_for_half_a_minute() -> None:
    async def story(cluster: StockCluster) -> None:
        leader = await elected(cluster)
        assert leader.node is not None
        for follower in followers(cluster):
            cluster.network.deaf |= {(leader.id, follower.id), (follower.id, leader.id)}
        await asyncio.sleep(25)
        await leader.node.consistent_read()

    default_s = 30.0
    made: list[StockCluster] = []

    def make(loop: VirtualLoop) -> SimulatedCluster:
        made.append(StockCluster(loop, 1, 3, leader_fallback_s=default_s))
        return made[0]

    try:
        simulate(story, make=make, violations=True)
    finally:
        made[0].remove_files()


# --- a leader and its followers


async def led(cluster: SimulatedCluster) -> tuple[SimulatedServer, list[Puppet], int]:
    server, puppets = one_of(cluster)
    term = await grant(server, puppets)
    for puppet in puppets:
        await puppet.say(server.id, vote(term), 0.003)
    return server, puppets, term


def test_an_acknowledgement_of_another_term_counts_for_nothing() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, (follower, _), term = await led(cluster)
        ack = {"type": "next_node_idx", "next_node_idx": 3, "reset": False, "success": True, "echo": 1}
        await follower.say(server.id, {**ack, "term": term - 1})
        assert figure(server, "commit_index") == 1
        await follower.say(server.id, {**ack, "term": term})
        assert figure(server, "commit_index") == 2

    simulate(story, started=1)


def test_pysyncobj_counts_acknowledgements_of_any_term() -> None:
    """They carry none."""

    async def story(cluster: SimulatedCluster) -> None:
        server, (follower, _), _ = await led(cluster)
        ack = {"type": "next_node_idx", "next_node_idx": 3, "reset": False, "success": True}
        await follower.say(server.id, ack, 0.1)
        assert figure(server, "commit_index") == 2

    simulate_stock(story)


def test_a_late_reset_does_not_send_a_follower_back() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, (follower, _), term = await led(cluster)
        ack = {"type": "next_node_idx", "term": term, "next_node_idx": 2, "reset": True, "success": False}
        newest = max(m["seq"] for m in follower.take("append_entries"))
        await follower.say(server.id, {**ack, "echo": newest}, 0.01)
        assert any(m["entries"] for m in follower.take("append_entries"))
        await follower.say(server.id, {**ack, "echo": newest}, 0.01)
        assert not any(m["entries"] for m in follower.take("append_entries"))

    simulate(story, started=1)


def test_a_leaders_own_copy_counts_only_when_it_is_durable() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, puppets = one_of(cluster)
        term = await grant(server, puppets)
        server.disk._sync_s = (0.3, 0.3)
        await asyncio.gather(*(puppet.say(server.id, vote(term), 0.003) for puppet in puppets))
        ack = {"type": "next_node_idx", "term": term, "next_node_idx": 3, "reset": False, "success": True, "echo": 1}
        await puppets[0].say(server.id, ack, 0.1)
        assert figure(server, "last_log_index") == 2
        assert figure(server, "commit_index") == 1
        await asyncio.sleep(0.3)
        assert figure(server, "commit_index") == 2

    simulate(story, started=1)


def test_a_lost_follower_is_not_flooded_while_a_snapshot_is_made_for_it() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, (follower, _), term = await led(cluster)
        ack = {"type": "next_node_idx", "term": term, "reset": False, "success": True, "echo": 1}
        await follower.say(server.id, {**ack, "next_node_idx": 3})
        server.disk._sync_s = (0.2, 0.2)
        follower.received.clear()
        await follower.say(
            server.id, {**ack, "next_node_idx": 1, "reset": True, "success": False, "echo": 1 << 30}, 0.6
        )
        assert len(follower.received) < 40
        assert follower.take("snapshot")

    simulate(story, started=1)


# --- members


def a_stranger(letter: str) -> Member:
    return Member(id=letter * 8, name=letter, rpc_address=f"{letter}:4647")


def test_one_change_of_the_members_at_a_time() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, (follower, _), term = await led(cluster)
        assert server.node is not None
        ack = {"type": "next_node_idx", "term": term, "reset": False, "success": True, "echo": 1}
        await follower.say(server.id, {**ack, "next_node_idx": 3})
        core = server.node._core
        answers: list[object] = []
        for letter in "xyz":
            core.change_members(MembershipChange(adds=a_stranger(letter)), answers.append)
        server.node._kick()
        await asyncio.sleep(0.05)
        assert len(server.node.members) == 4
        assert answers == [None, None]
        with pytest.raises(errors.Conflict, match="under way"):
            await server.node.remove_server(follower.id)

    simulate(story, started=1)


def test_pysyncobj_takes_any_number_of_changes_at_once() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        server, (follower, _), _ = await led(cluster)
        ack = {"type": "next_node_idx", "reset": False, "success": True}
        await follower.say(server.id, {**ack, "next_node_idx": 3}, 0.2)
        raft: Any = server.node.raft  # type: ignore[union-attr]
        from tests.raft.stock import OrderedNode

        raft.conf.dynamicMembershipChange = True
        for letter in "abcd":
            raft.addNodeToCluster(OrderedNode(letter * 12))
        await asyncio.sleep(0.2)
        assert len(raft.otherNodes) == 6
        assert raft.raftCommitIndex == 2

    simulate_stock(story)


def test_members_come_from_the_log_also_after_a_restart() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        assert leader.node is not None
        fourth = cluster.add_machine()
        await cluster.start(fourth.id)
        await leader.node.add_server(cluster.member(fourth.id))
        assert await cluster.until(cluster.has_converged)
        for server in list(cluster.servers.values()):
            cluster.kill(server.id, power=True)
        await cluster.start_all()
        for server in cluster.live():
            assert server.node is not None
            assert len(server.node.members) == 4
        cluster.kill(leader.id)
        cluster.kill(fourth.id)
        await asyncio.sleep(5)
        assert cluster.leader() is None, "two of four are no majority"

    simulate(story)


# --- the rest


def test_nothing_that_arrives_is_ever_unpickled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("pickle was reached")

    for name in ("loads", "load", "dumps", "dump"):
        monkeypatch.setattr(pickle, name, refuse)

    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        late = followers(cluster)[0]
        cluster.kill(late.id)
        assert leader.node is not None
        for number in range(60):
            await leader.node.propose(write(str(number), "k", number))
        await cluster.start(late.id)
        assert await cluster.until(cluster.has_converged)
        await leader.node.transfer_leadership()

    simulate(story, snapshot_entries=20, trailing_entries=0)


def test_pysyncobj_applies_an_entry_that_raises_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours stops at the first: `test_an_entry_that_can_not_be_applied_stops_the_server_and_is_not_tried_again`."""
    tries: list[bytes] = []

    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        assert leader.node is not None

        def fail(proposals: list[bytes]) -> None:
            tries.extend(proposals)
            raise KeyError("a bug")

        monkeypatch.setattr(leader.machine, "apply", fail)
        with pytest.raises(errors.OutcomeUnknown):
            await leader.node.propose(write("1", "k", 1), timeout_s=2)

    simulate_stock(story, started=3)
    assert len(tries) > 20


def test_a_proposal_is_answered_after_one_round_and_one_sync_and_waits_for_no_tick() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        assert leader.node is not None
        await cluster.until(cluster.has_converged)
        for number in range(20):
            started_s = cluster.loop.time()
            await leader.node.propose(write(str(number), "k", number))
            # There and back at 1.5 ms each at most, and a sync of at most 5 ms on each side, one after the other.
            assert cluster.loop.time() - started_s < 0.0131

    simulate(story)


def test_a_write_that_was_retried_is_there_once() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        chance = random.Random(1)
        await elected(cluster)
        calls = []
        for number in range(60):
            server = chance.choice(cluster.live())
            assert server.node is not None
            calls.append(asyncio.ensure_future(server.node.propose(write(str(number), "k", number))))
            await asyncio.sleep(0.02)
            if number % 20 == 10:
                first, second = chance.sample(list(cluster.servers), 2)
                cluster.network.cut.add(frozenset((first, second)))
                cluster.network.break_links()
                await asyncio.sleep(0.3)
                cluster.network.cut.clear()
        outcomes = await asyncio.gather(*calls)
        assert sorted(outcome.index for outcome in outcomes) == list(range(1, 61))
        assert await cluster.until(cluster.has_converged)

    simulate(story)
