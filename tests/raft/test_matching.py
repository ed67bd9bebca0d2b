import pytest

from raftnomad.raft.entries import Entry
from raftnomad.raft.journal import Journal
from raftnomad.raft.matching import Broken, Held, Lacking, New, match_append
from tests.raft.test_journal import a_disk, a_journal


def a_log(*terms: int) -> Journal:
    """Entry 1 is the one that all servers have; the given terms are those of entries 2, 3, ..."""
    journal = a_journal(a_disk())
    for index, term in enumerate(terms, start=2):
        journal.add(b"\x01", index, term)
    return journal


def entries(*terms: int, first: int) -> list[Entry]:
    return [(b"\x01", index, term) for index, term in enumerate(terms, start=first)]


def test_what_follows_the_log_is_new() -> None:
    assert match_append(a_log(1, 1), 1, 3, 1, entries(1, 1, first=4)) == New(3, 1, entries(1, 1, first=4))


def test_an_empty_append_never_cuts_a_longer_log() -> None:
    assert match_append(a_log(1, 1, 1), 1, 2, 1, []) == Held(2)


def test_a_late_append_of_what_is_there_never_cuts_what_came_after_it() -> None:
    assert match_append(a_log(1, 1, 1), 1, 1, 0, entries(1, first=2)) == Held(2)


def test_only_what_contradicts_the_log_and_what_follows_is_new() -> None:
    assert match_append(a_log(1, 2, 2), 1, 1, 0, entries(1, 3, first=2)) == New(2, 1, entries(3, first=3))


def test_a_gap_is_asked_for_from_the_end_of_the_log() -> None:
    assert match_append(a_log(1), 1, 7, 1, entries(1, first=8)) == Lacking(3)


def test_a_wrong_term_goes_back_over_all_of_it_at_once() -> None:
    assert match_append(a_log(1, 2, 2, 2, 2), 1, 6, 3, []) == Lacking(3)


def test_going_back_stops_at_what_is_committed() -> None:
    assert match_append(a_log(1, 2, 2, 2, 2), 4, 6, 3, []) == Lacking(5)


@pytest.mark.parametrize(("previous", "term", "new"), [(3, 9, ()), (2, 1, (9,))])
def test_a_leader_without_a_committed_entry_stops_this_server(previous: int, term: int, new: tuple[int, ...]) -> None:
    assert isinstance(match_append(a_log(1, 1, 1), 4, previous, term, entries(*new, first=previous + 1)), Broken)
