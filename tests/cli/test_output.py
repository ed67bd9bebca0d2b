from raftnomad.cli.output import ago, columns, key_values, limit_id, local_rfc3339, local_time

SECOND = 1_000_000_000


def test_columns_are_as_wide_as_their_widest_cell():
    assert columns([["ID", "Status"], ["long-name", "x"]]) == "ID         Status\nlong-name  x"


def test_empty_cells_show_what_stands_for_empty():
    assert columns([["Class"], [""]], empty="<none>") == "Class\n<none>"


def test_key_values_align_their_equal_signs():
    assert key_values([("ID", "a"), ("Job ID", "")]) == "ID     = a\nJob ID = <none>"


def test_ages_have_at_most_two_units():
    assert ago(1, 1 + 3 * SECOND) == "3s ago"
    assert ago(1, 1 + 3723 * SECOND) == "1h2m ago"
    assert ago(1, 1) == "0s ago"


def test_a_moment_that_never_was_is_not_shown_as_one():
    assert ago(0, SECOND) == ""
    assert local_time(0) == "N/A"
    assert local_rfc3339("0001-01-01T00:00:00Z") == "N/A"


def test_times_are_shown_in_the_users_zone(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert local_rfc3339("2026-11-24T04:27:05.123456Z") == "2026-11-24T04:27:05Z"
    assert local_time(1795494425 * SECOND) == "2026-11-24T04:27:05Z"


def test_ids_are_cut_unless_all_is_asked_for():
    assert limit_id("0123456789", verbose=False) == "01234567"
    assert limit_id("0123456789", verbose=True) == "0123456789"
