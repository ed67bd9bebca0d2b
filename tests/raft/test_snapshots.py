import random

import pytest

from raftnomad import errors
from raftnomad.raft.boot import align, restore_snapshot
from raftnomad.raft.log import Member
from raftnomad.raft.settings import RaftSettings
from raftnomad.raft.snapshots import SnapshotHeader, SnapshotParser, SnapshotWriter
from tests.raft.registers import Registers, write
from tests.raft.simulated_disk import Crash, SimulatedDisk
from tests.raft.test_journal import a_disk, a_journal, fill

HEADER = SnapshotHeader(index=5, term=2, members=(Member(id="a", name="a", rpc_address="x:1"),), cluster_id="cluster")
SETTINGS = RaftSettings(server_id="a", cluster_id="cluster", first_members=(), directory="/d")


def a_machine() -> Registers:
    machine = Registers()
    machine.apply([write(str(number), "k", number) for number in range(20)])
    return machine


def save(disk: SimulatedDisk, header: SnapshotHeader = HEADER) -> None:
    process = disk.begin()
    writer = SnapshotWriter(process, "/d", header)
    dump = a_machine().open_dump()
    while (chunk := dump.next_chunk()) is not None:
        writer.write(chunk)
    writer.finish()
    writer.sync()
    writer.publish()


def test_a_snapshot_comes_back_as_it_was() -> None:
    disk = a_disk()
    save(disk)
    machine = Registers()
    assert restore_snapshot(SETTINGS, machine, disk.begin()) == HEADER
    assert machine.dump() == a_machine().dump()


def test_every_damage_is_found_before_the_machine_is_touched() -> None:
    for seed in range(300):
        disk = a_disk()
        save(disk)
        disk.corrupt("snapshot", random.Random(seed))
        machine = Registers()
        with pytest.raises(errors.DataDirectoryError):
            restore_snapshot(SETTINGS, machine, disk.begin())
        assert machine.index == 0


def test_a_snapshot_that_is_cut_off_is_refused() -> None:
    disk = a_disk()
    save(disk)
    size = len(disk.content("/d/snapshot"))
    for keep in range(0, size, 7):
        cut = a_disk()
        save(cut)
        cut.begin().open("/d/snapshot").truncate(keep)
        with pytest.raises(errors.DataDirectoryError):
            restore_snapshot(SETTINGS, Registers(), cut.begin())


def test_a_snapshot_arriving_byte_by_byte_is_the_same() -> None:
    disk = a_disk()
    save(disk)
    parser = SnapshotParser("x")
    chunks = [chunk for byte in bytes(disk.content("/d/snapshot")) for chunk in parser.feed(bytes([byte]))]
    assert parser.complete
    assert parser.header == HEADER
    assert b"".join(chunks) == a_machine().dump()


def test_another_clusters_snapshot_is_refused() -> None:
    disk = a_disk()
    save(disk, SnapshotHeader(index=5, term=2, members=(), cluster_id="other"))
    with pytest.raises(errors.DataDirectoryError, match="cluster other"):
        restore_snapshot(SETTINGS, Registers(), disk.begin())


def test_a_crash_at_any_operation_leaves_the_last_snapshot_or_the_new_one() -> None:
    newer = SnapshotHeader(index=9, term=2, members=(), cluster_id="cluster")
    for crash_in in range(1, 40):
        disk = a_disk(crash_in)
        save(disk)
        try:
            process = disk.begin()
            disk.crash_in = crash_in
            writer = SnapshotWriter(process, "/d", newer)
            writer.write(a_machine().dump())
            writer.finish()
            writer.sync()
            writer.publish()
        except Crash:
            disk.lose_power()
        assert restore_snapshot(SETTINGS, Registers(), disk.begin()) in (HEADER, newer)


def test_the_log_beyond_a_snapshot_is_kept() -> None:
    """pysyncobj empties its journal when its beginning is not the dump's end."""
    journal = a_journal(a_disk())
    fill(journal, 20, term=2)
    align(journal, HEADER, "/d")
    assert journal.last_index == 20


def test_a_log_that_ends_before_the_snapshot_begins_there() -> None:
    journal = a_journal(a_disk())
    fill(journal, 3, term=2)
    align(journal, HEADER, "/d")
    assert journal[:] == [(b"\x01", 5, 2)]


def test_a_log_that_contradicts_the_snapshot_begins_there() -> None:
    journal = a_journal(a_disk())
    fill(journal, 9, term=1)
    align(journal, HEADER, "/d")
    assert journal[:] == [(b"\x01", 5, 2)]


def test_a_gap_between_snapshot_and_log_is_refused() -> None:
    journal = a_journal(a_disk())
    journal.reset(8, 2)
    with pytest.raises(errors.DataDirectoryError, match="what stands between is lost"):
        align(journal, HEADER, "/d")
    with pytest.raises(errors.DataDirectoryError, match="is missing"):
        align(journal, None, "/d")
