import contextlib
import random
from typing import NoReturn

import pytest

from raftnomad import errors
from raftnomad.raft.journal import Journal
from tests.raft.simulated_disk import Crash, SimulatedDisk

DIRECTORY = "/journal"
FIRST = (1, 0)


class Stopped(Exception):
    pass


def stop(reason: str) -> NoReturn:
    raise Stopped(reason)


def a_disk(seed: int = 1) -> SimulatedDisk:
    return SimulatedDisk(random.Random(seed), lambda: None, (0.0, 0.0))


def a_journal(disk: SimulatedDisk, segment_bytes: int = 16384) -> Journal:
    journal = Journal(DIRECTORY, disk.begin(), segment_bytes, stop)
    journal.open(FIRST)
    return journal


def fill(journal: Journal, last: int, term: int = 1, size: int = 10) -> None:
    for index in range(journal.last_index + 1, last + 1):
        journal.add(b"\x00" + b"x" * size, index, term)


def indexes(journal: Journal) -> list[int]:
    return [entry[1] for entry in journal[:]]


def test_a_new_journal_begins_with_the_entry_that_all_servers_have() -> None:
    assert a_journal(a_disk())[:] == [(b"\x01", 1, 0)]


def test_what_was_synced_survives_a_power_cut() -> None:
    for seed in range(30):
        disk = a_disk(seed)
        journal = a_journal(disk)
        fill(journal, 20)
        journal.setCurrentTerm(3, "somebody")
        journal.sync_now()
        fill(journal, 30)
        disk.lose_power()
        again = a_journal(disk)
        assert again.last_index >= 20
        assert again.getCurrentTerm() == 3
        assert again.getVotedForNodeId() == "somebody"
        assert indexes(again) == list(range(1, again.last_index + 1))


def test_nothing_is_durable_before_a_sync_says_so() -> None:
    journal = a_journal(a_disk())
    fill(journal, 5)
    assert journal.durable_index == 1
    point = journal.sync_point()
    fill(journal, 8)
    assert point is not None
    journal.synced_to(point)
    assert journal.durable_index == 5


def test_an_entry_that_replaced_another_after_the_sync_began_is_not_durable() -> None:
    journal = a_journal(a_disk())
    fill(journal, 5)
    point = journal.sync_point()
    journal.deleteEntriesFrom(2)
    fill(journal, 5, term=2)
    assert point is not None
    journal.synced_to(point)
    assert journal.durable_index == 2


def test_cut_entries_stay_cut() -> None:
    disk = a_disk()
    journal = a_journal(disk)
    fill(journal, 9)
    journal.deleteEntriesFrom(4)
    fill(journal, 6, term=2)
    journal.sync_now()
    assert [entry[1:] for entry in a_journal(disk)[:]] == [(1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2)]


def test_a_committed_entry_can_not_be_cut() -> None:
    journal = a_journal(a_disk())
    fill(journal, 9)
    journal.setRaftCommitIndex(5)
    with pytest.raises(AssertionError):
        journal.deleteEntriesFrom(4)


def test_the_commit_index_never_exceeds_the_log() -> None:
    """Whatever was noted before the power went."""
    for seed in range(30):
        disk = a_disk(seed)
        journal = a_journal(disk)
        journal.sync_now()
        fill(journal, 9)
        journal.setRaftCommitIndex(9)
        journal.record_commit()
        disk.lose_power()
        again = a_journal(disk)
        assert again.getRaftCommitIndex() <= again.last_index


def test_a_log_of_many_segments_is_read_whole() -> None:
    disk = a_disk()
    journal = a_journal(disk)
    fill(journal, 2000)
    journal.sync_now()
    assert len(disk.paths()) > 3
    assert indexes(a_journal(disk)) == list(range(1, 2001))


def test_a_crash_at_any_operation_while_segments_come_and_go_loses_nothing_durable() -> None:
    crash_in = 0
    while True:
        crash_in += 1
        disk = a_disk(crash_in)
        journal = a_journal(disk)
        fill(journal, 300, size=60)
        journal.sync_now()
        disk.crash_in = crash_in
        try:
            journal.compact(200)
            fill(journal, 600, size=60)
            journal.sync_now()
            journal.compact(500)
        except Crash:
            if crash_in % 2:
                disk.lose_power()
            again = a_journal(disk)
            assert again.first_index <= 500
            assert again.last_index >= 300
            assert indexes(again) == list(range(again.first_index, again.last_index + 1))
        else:
            break
    assert crash_in > 300


def test_a_seal_that_was_never_synced_is_made_durable_before_the_next_segment_begins() -> None:
    """Found by seed 1245: a kill while sealing, then a power cut, and the journal looked damaged."""
    for crash_in in range(1, 12):
        disk = a_disk(crash_in)
        journal = a_journal(disk)
        while journal._room_left() > journal._reserve_bytes + 60:
            fill(journal, journal.last_index + 1)
        journal.setCurrentTerm(5, "me")
        journal.sync_now()
        last = journal.last_index
        disk.crash_in = crash_in
        with contextlib.suppress(Crash):
            fill(journal, last + 2)
        again = a_journal(disk)
        assert again.getCurrentTerm() == 5
        fill(again, last + 4)
        again.sync_now()
        disk.lose_power()
        third = a_journal(disk)
        assert third.last_index == last + 4
        assert (third.getCurrentTerm(), third.getVotedForNodeId()) == (5, "me")


def test_compaction_frees_whole_segments() -> None:
    disk = a_disk()
    journal = a_journal(disk)
    fill(journal, 3000)
    before = journal.disk_bytes
    journal.compact(2900)
    assert journal.first_index == 2900
    assert journal.disk_bytes < before / 3
    assert a_journal(disk).last_index == 3000


def test_a_snapshot_in_its_place_begins_the_log_anew() -> None:
    disk = a_disk()
    journal = a_journal(disk)
    fill(journal, 9)
    journal.reset(50, 7)
    fill(journal, 52, term=8)
    journal.sync_now()
    again = a_journal(disk)
    assert [entry[1:] for entry in again[:]] == [(50, 7), (51, 8), (52, 8)]
    assert again.getRaftCommitIndex() == 50


def test_a_missing_segment_in_the_middle_leaves_only_what_follows_it() -> None:
    """Which the snapshot has to reach: see `align`."""
    disk = a_disk()
    journal = a_journal(disk)
    fill(journal, 2000)
    journal.sync_now()
    process = disk.begin()
    process.remove(disk.paths()[1])
    again = Journal(DIRECTORY, process, 16384, stop)
    again.open(FIRST)
    assert again.first_index > 100


def test_damage_anywhere_in_what_was_durable_is_found_or_harmless() -> None:
    """A thousand flipped bits: never another log than the one that was written, never a silent gap."""
    for seed in range(300):
        disk = a_disk(seed)
        journal = a_journal(disk)
        fill(journal, 100)
        journal.sync_now()
        journal.setRaftCommitIndex(100)
        journal.record_commit()
        journal.sync_now()
        disk.corrupt("journal", random.Random(seed))
        try:
            again = a_journal(disk)
        except errors.DataDirectoryError:
            continue
        assert indexes(again) == list(range(1, 101))


def test_a_full_disk_refuses_entries_and_still_takes_votes() -> None:
    disk = a_disk()
    journal = a_journal(disk)
    disk.full = True
    while journal.reserve([11]):
        fill(journal, journal.last_index + 1)
    journal.setCurrentTerm(7, "me")
    journal.sync_now()
    disk.full = False
    assert journal.reserve([11])
    fill(journal, journal.last_index + 1)
    journal.sync_now()
    again = a_journal(disk)
    assert again.getCurrentTerm() == 7
    assert again.last_index == journal.last_index


def test_a_failed_sync_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = a_journal(a_disk())
    fill(journal, 5)
    point = journal.sync_point()
    assert point is not None

    def fail() -> NoReturn:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(point.segment.file, "sync", fail)
    with pytest.raises(Stopped, match="can't be made durable"):
        journal.sync_now()
    assert journal.durable_index == 1


def test_alone_nothing_is_committed_before_it_is_durable() -> None:
    journal = a_journal(a_disk())
    journal.is_alone = True
    fill(journal, 5)
    journal.setRaftCommitIndex(5)
    assert journal.durable_index == 5


def test_a_batch_has_at_least_one_entry_and_at_most_what_fits() -> None:
    journal = a_journal(a_disk())
    fill(journal, 10, size=99)
    assert [entry[1] for entry in journal.batch(2, 300)] == [2, 3]
    assert [entry[1] for entry in journal.batch(2, 1)] == [2]
    assert journal.batch(11, 100) == []
