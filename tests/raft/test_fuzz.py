"""Forty seeds of each; `python -m tests.raft.fuzz --servers 3 --seeds 0-500` runs as many as there is time for."""

from collections.abc import Callable

import pytest

from raftnomad.raft import filter as message_filter
from raftnomad.raft import matching
from raftnomad.raft.core import Core
from raftnomad.raft.journal import Journal
from raftnomad.raft.matching import Held, Match, New
from raftnomad.raft.outbox import Outbox
from raftnomad.raft.reads import Reads
from tests.raft import stock
from tests.raft.fuzz import run_seed
from tests.raft.linearizability import NEVER, Operation, is_linearizable, register_step

STORM_S = 15.0


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_three_servers_keep_every_promise_through_any_faults(first: int) -> None:
    for seed in range(first, first + 10):
        assert run_seed(seed, 3, STORM_S).violations == {}, f"seed {seed}"


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_five_servers_keep_every_promise_through_any_faults(first: int) -> None:
    for seed in range(first, first + 10):
        assert run_seed(seed, 5, STORM_S / 2).violations == {}, f"seed {seed}"


def test_a_server_alone_keeps_every_promise_through_any_faults() -> None:
    for seed in range(20):
        assert run_seed(seed, 1, STORM_S).violations == {}, f"seed {seed}"


@pytest.mark.parametrize("first", range(0, 20, 10))
def test_servers_that_join_and_leave_keep_every_promise_through_any_faults(first: int) -> None:
    for seed in range(first, first + 10):
        assert run_seed(seed, 3, STORM_S, changes_members=True).violations == {}, f"seed {seed}"


def test_a_seed_replays_exactly() -> None:
    assert run_seed(3, 3, STORM_S) == run_seed(3, 3, STORM_S)
    assert run_seed(3, 3, STORM_S) != run_seed(4, 3, STORM_S)


def test_unmodified_pysyncobj_fails_under_the_same_seeds() -> None:
    found = {violation for seed in range(20) for violation in stock.run_seed(seed, 3, STORM_S).violations}
    assert "acknowledged writes lost" in found
    assert "something acknowledged was not seen by what came after it" in found


# --- a check that can't fail is worse than none: each of these faults, planted, is found


def _cut_after_every_append(
    journal: Journal, commit_index: int, previous: int, previous_term: int, entries: list[tuple[bytes, int, int]]
) -> Match:
    match = matching.match_append(journal, commit_index, previous, previous_term, entries)
    if isinstance(match, Held) and previous < journal.last_index:
        return New(previous, previous_term, list(entries))
    return match


def _promise_at_once(self: Outbox, peer_id: str, message: dict[str, object]) -> None:
    self._send(peer_id, message)


def _read_at_once(self: Reads) -> None:
    for read in self._waiting:
        read.answer(0)
    self._waiting = []


def _forget_votes(self: Journal, term: int, voted_for: str | None) -> None:
    self._term = term


PLANTED: dict[str, tuple[object, str, Callable[..., object]]] = {
    "appends that cut what they do not contradict": (message_filter, "match_append", _cut_after_every_append),
    "acknowledgements and votes that do not wait for the disk": (Outbox, "promise", _promise_at_once),
    "reads without a majority": (Reads, "pump", _read_at_once),
    "terms and votes that are not kept": (Journal, "setCurrentTerm", _forget_votes),
    "commits of entries that only the leader has": (Core, "quorum", property(lambda self: 1)),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, replacement = PLANTED[fault]
    monkeypatch.setattr(owner, name, replacement)
    assert any(run_seed(seed, 3).violations for seed in range(60))


# --- the checker itself


def an_operation(called_s: float, returned_s: float, *given: object, output: object = None) -> Operation:
    return Operation(called_s=called_s, returned_s=returned_s, input=given, output=output)


def test_a_read_may_see_a_write_that_overlaps_it_or_not() -> None:
    for value in (0, 1):
        history = [an_operation(0, 10, "write", 1), an_operation(5, 6, "read", output=value)]
        assert is_linearizable(history, 0, register_step) is True


def test_a_read_after_a_write_sees_it() -> None:
    history = [an_operation(0, 1, "write", 1), an_operation(2, 3, "read", output=0)]
    assert is_linearizable(history, 0, register_step) is False


def test_a_write_without_an_answer_may_come_late_or_never() -> None:
    lost = an_operation(0, NEVER, "write", 1)
    for values in ((0, 0), (0, 1), (1, 1)):
        reads = [an_operation(2 * n + 1, 2 * n + 2, "read", output=value) for n, value in enumerate(values)]
        assert is_linearizable([lost, *reads], 0, register_step) is True
    reads = [an_operation(2 * n + 1, 2 * n + 2, "read", output=value) for n, value in enumerate((1, 0))]
    assert is_linearizable([lost, *reads], 0, register_step) is False


def test_two_swaps_of_one_value_can_not_both_be_done() -> None:
    history = [an_operation(0, 5, "swap", 0, 1, output=True), an_operation(0, 5, "swap", 0, 2, output=True)]
    assert is_linearizable(history, 0, register_step) is False
