import asyncio
import os
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from raftnomad import errors
from raftnomad.clock import SystemClock
from raftnomad.fsm.outcome import Applied, Outcome
from raftnomad.raft.data_directory import identify
from raftnomad.raft.disk import SystemDisk
from raftnomad.raft.log import Machine, Member
from raftnomad.raft.node import RaftNode
from raftnomad.raft.null_network import NullNetwork
from raftnomad.raft.settings import RaftSettings
from tests.raft.registers import Registers, swap, write


class Alone:
    """A server with nobody else, on a real disk."""

    def __init__(self, directory: str, **settings: float) -> None:
        self.disk = SystemDisk()
        identity = identify(directory, self.disk, os.urandom)
        me = Member(id=identity.server_id, name="alone", rpc_address="127.0.0.1:4647")
        self.settings = replace(
            RaftSettings(server_id=me.id, cluster_id="cluster", first_members=(me,), directory=directory),
            segment_bytes=1 << 20,
            **settings,
        )
        self.failures: list[str] = []

    async def start(self, machine: Machine) -> RaftNode:
        node = RaftNode(
            self.settings, machine, NullNetwork(), self.disk, SystemClock(), random.Random(1), self.failures.append
        )
        led = asyncio.Event()
        node.on_leadership(lambda leads: led.set() if leads else None)
        await node.start()
        async with asyncio.timeout(10):
            await led.wait()
        return node


@pytest.fixture
def alone(tmp_path: os.PathLike[str]) -> Alone:
    return Alone(os.path.join(tmp_path, "server", "raft"))


async def test_a_server_alone_leads_and_commits(alone: Alone) -> None:
    machine = Registers()
    node = await alone.start(machine)
    assert await node.propose(write("1", "k", 7)) == Applied(index=1, value=1)
    await node.consistent_read()
    assert machine.values == {"k": 7}
    assert node.is_leader
    assert node.leader == node.members[0]
    assert node.last_contact_ms == 0
    await node.stop()


async def test_a_restart_brings_everything_back(alone: Alone) -> None:
    node = await alone.start(Registers())
    for number in range(50):
        await node.propose(write(str(number), "k", number))
    await node.stop()
    machine = Registers()
    node = await alone.start(machine)
    assert machine.index == 50
    assert machine.values == {"k": 49}
    await node.stop()


async def test_a_killed_server_brings_back_what_it_acknowledged_from_snapshot_and_log(
    tmp_path: os.PathLike[str],
) -> None:
    alone = Alone(str(tmp_path), snapshot_entries=10, trailing_entries=5)
    for life in range(4):
        machine = Registers()
        node = await alone.start(machine)
        assert machine.index == life * 30
        for number in range(30):
            await node.propose(write(f"{life}-{number}", "k", number))
        node.kill()
        node._release_lock()
    figures = node.statistics()
    assert int(figures["first_log_index"]) > 50
    assert int(figures["last_snapshot_index"]) > 50


async def test_the_same_proposal_twice_has_the_effect_of_one(alone: Alone) -> None:
    machine = Registers()
    node = await alone.start(machine)
    once = await node.propose(swap("1", "k", 0, 5))
    assert await node.propose(swap("1", "k", 0, 5)) == once
    assert machine.index == 1
    await node.stop()


async def test_many_proposals_share_entries_and_syncs(alone: Alone) -> None:
    node = await alone.start(Registers())
    before = int(node.statistics()["log_syncs"])
    outcomes = await asyncio.gather(*(node.propose(write(str(n), "k", n)) for n in range(500)))
    assert [outcome.index for outcome in outcomes] == list(range(1, 501))
    assert int(node.statistics()["log_syncs"]) - before < 20
    await node.stop()


async def test_a_proposal_over_the_limit_is_refused(alone: Alone) -> None:
    node = await alone.start(Registers())
    with pytest.raises(errors.TooLarge, match="over the log's limit"):
        await node.propose(b"x" * (4 << 20))
    await node.stop()


async def test_the_largest_proposal_passes(alone: Alone) -> None:
    class Takes:
        def apply(self, proposals: Sequence[bytes]) -> list[Outcome]:
            return [Applied(index=len(proposal)) for proposal in proposals]

    node = await alone.start(Takes())  # type: ignore[arg-type]
    size = (4 << 20) - 100
    assert (await node.propose(b"x" * size)).index == size
    await node.stop()


async def test_a_full_queue_refuses_and_writes_nothing(tmp_path: os.PathLike[str]) -> None:
    alone = Alone(str(tmp_path), queue_bytes_max=1000)
    machine = Registers()
    node = await alone.start(machine)
    results = await asyncio.gather(
        *(node.propose(write(str(number), "k", number)) for number in range(200)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, errors.Overloaded)]
    assert refused
    assert machine.index == 200 - len(refused)
    await node.stop()


async def test_an_entry_that_can_not_be_applied_stops_the_server_and_is_not_tried_again(alone: Alone) -> None:
    """pysyncobj would apply it again at every tick, with its side effects."""
    tries = []

    class Broken(Registers):
        def apply(self, proposals: Sequence[bytes]) -> list[Outcome]:
            tries.append(proposals)
            raise KeyError("a bug")

    node = await alone.start(Broken())
    with pytest.raises((errors.OutcomeUnknown, TimeoutError)):
        async with asyncio.timeout(0.5):
            await node.propose(write("1", "k", 1), timeout_s=0.3)
    assert len(tries) == 1
    assert alone.failures == ["log entry 3 can't be applied: KeyError('a bug')"]
    with pytest.raises(errors.NoLeader):
        await node.propose(write("2", "k", 1))


async def test_a_failed_sync_stops_the_server_without_an_acknowledgement(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await alone.start(Registers())

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(errors.OutcomeUnknown):
        await node.propose(write("1", "k", 1), timeout_s=0.3)
    assert len(alone.failures) == 1
    assert "can't be made durable" in alone.failures[0]


async def test_a_second_agent_on_the_directory_is_refused(alone: Alone) -> None:
    node = await alone.start(Registers())
    with pytest.raises(errors.DataDirectoryError, match="in use by another agent"):
        await alone.start(Registers())
    await node.stop()


async def test_what_waits_is_answered_when_the_server_stops(alone: Alone) -> None:
    node = await alone.start(Registers())
    waiting = asyncio.ensure_future(node.propose(write("1", "k", 1)))
    await asyncio.sleep(0)
    await node.stop()
    with pytest.raises((errors.NoLeader, errors.OutcomeUnknown)):
        await waiting


async def test_leadership_is_told_to_whoever_asks_late(alone: Alone) -> None:
    node = await alone.start(Registers())
    told: list[bool] = []
    node.on_leadership(told.append)
    await node.stop()
    assert told == [True, False]
