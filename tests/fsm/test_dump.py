from __future__ import annotations

import pytest

from raftnomad.errors import DataDirectoryError
from raftnomad.fsm import dump
from raftnomad.fsm.changes import Changes
from raftnomad.fsm.dump import CHUNK_BYTES_MAX, state_bytes
from raftnomad.fsm.machine import StateMachine
from tests.fsm.cluster import Cluster
from tests.fsm.random_log import RandomLog, restored
from tests.makers import an_id


def chunks_of(machine: StateMachine) -> list[bytes]:
    dumped = machine.open_dump()
    chunks = []
    while (chunk := dumped.next_chunk()) is not None:
        chunks.append(chunk)
    return chunks


def busy(count: int = 300) -> tuple[StateMachine, RandomLog]:
    machine = StateMachine()
    log = RandomLog(5, machine.state)
    for _ in range(count):
        machine.apply([log.next()])
    return machine, log


def test_a_dump_holds_the_state_of_its_opening_while_the_log_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump, "FRAME_BYTES", 500)
    machine, log = busy()
    before = chunks_of(machine)
    assert len(before) > 50
    dumped = machine.open_dump()
    chunks = []
    while (chunk := dumped.next_chunk()) is not None:
        chunks.append(chunk)
        machine.apply([log.next() for _ in range(3)])
    assert chunks == before
    assert chunks_of(machine) != before


def test_a_closed_dump_costs_no_write_anything() -> None:
    machine, log = busy()
    dumped = machine.open_dump()
    dumped.next_chunk()
    dumped.close()
    assert dumped.next_chunk() is None
    assert all(not table.views for table in (*machine.state.tables(), machine.state.outcomes.table))
    machine.apply([log.next()])


def test_whoever_holds_the_state_sees_the_restored_one() -> None:
    machine, _ = busy()
    other = StateMachine()
    held = other.state
    seen: list[Changes] = []
    other.feed.subscribe(seen.append)
    restore = other.begin_restore()
    for chunk in chunks_of(machine):
        restore.feed(chunk)
        assert not held.jobs
    restore.finish()
    assert other.state is held
    assert state_bytes(held) == state_bytes(machine.state)
    assert [(changes.command, changes.rows) for changes in seen] == [("Restore", ())]


def test_what_allocations_share_they_share_after_a_restore(cluster: Cluster) -> None:
    cluster.with_node()
    cluster.place(cluster.with_job(count=2), 1, 2)
    state = restored(cluster.machine).state
    first, second = state.allocations[an_id(1, "allo")], state.allocations[an_id(2, "allo")]
    assert first.job is second.job
    assert first.allocated_resources is second.allocated_resources
    assert first.node_id is second.node_id
    assert state.jobs["default", "web"] is state.job_versions["default", "web"][0]


def test_a_damaged_dump_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump, "FRAME_BYTES", 2000)
    machine, _ = busy()
    chunks = chunks_of(machine)
    flipped = chunks[3][:40] + bytes((chunks[3][40] ^ 1,)) + chunks[3][41:]
    for damaged in (
        chunks[:-1],
        [*chunks[:2], *chunks[3:]],
        [*chunks[:3], flipped, *chunks[4:]],
        [*chunks[:3], chunks[3][:4]],
        [],
    ):
        other = StateMachine()
        restore = other.begin_restore()
        with pytest.raises(DataDirectoryError):
            _feed(restore, damaged)
        assert other.state.index == 1


def _feed(restore: dump.Restore, chunks: list[bytes]) -> None:
    for chunk in chunks:
        restore.feed(chunk)
    restore.finish()


def test_a_newer_dump_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, _ = busy()
    monkeypatch.setattr(dump, "FORMAT", 2)
    chunks = chunks_of(machine)
    monkeypatch.setattr(dump, "FORMAT", 1)
    with pytest.raises(DataDirectoryError, match="format 2"):
        _feed(StateMachine().begin_restore(), chunks)


def test_a_row_larger_than_a_chunk_is_cut(cluster: Cluster) -> None:
    cluster.with_job(payload=b"x" * 3_000_000)
    chunks = chunks_of(cluster.machine)
    assert max(map(len, chunks)) <= CHUNK_BYTES_MAX
    assert restored(cluster.machine).state.jobs["default", "web"].payload == b"x" * 3_000_000
