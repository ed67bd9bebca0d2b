from __future__ import annotations

from msgspec.structs import replace

from raftnomad.client.alloc_changes import Difference, compare, is_stale, plan
from tests.client.makers import an_alloc


def test_new_and_changed_allocations_are_fetched_and_missing_ones_forgotten() -> None:
    difference = compare({"same": 5, "older": 5, "gone": 5}, {"same": 5, "older": 6, "new": 7})
    assert difference == Difference(fetch=("older", "new"), forget=("gone",))


def test_what_should_run_starts_and_what_is_known_is_updated() -> None:
    new, known = an_alloc(), an_alloc(desired_status="stop")
    made = plan({known.id: 1}, [new, known])
    assert (made.start, made.update, made.decline, made.ignore) == ((new,), (known,), (), ())


def test_what_was_stopped_unseen_is_declined_so_that_its_place_is_freed() -> None:
    alloc = an_alloc(desired_status="stop")
    assert plan({}, [alloc]).decline == (alloc,)


def test_what_is_over_or_not_whole_is_ignored() -> None:
    over, strange = an_alloc(client_status="complete"), replace(an_alloc(), task_group="other")
    assert plan({}, [over, strange]).ignore == (over, strange)


def test_a_server_that_lags_behind_is_not_believed_for_a_while() -> None:
    assert is_stale(4, 5, 10.0)
    assert not is_stale(5, 5, 0.0)
    assert not is_stale(4, 5, 301.0)
