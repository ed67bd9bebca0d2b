from __future__ import annotations

from dataclasses import replace

from raftnomad.members.record import Identity, Record
from raftnomad.members.table import FAILED_AFTER_S, FORGOTTEN_AFTER_S, Event, Status, Table, contradiction


def a_record(server_id: str, name: str = "", version: int = 1, **fields: object) -> Record:
    identity = Identity(id=server_id, name=name or server_id, serf_address="127.0.0.1:1")
    return replace(Record(identity=identity, version=version), **fields)  # type: ignore[arg-type]


def a_table() -> Table:
    return Table("own", "own")


def told(events: list[Event]) -> list[tuple[str, str]]:
    return [(str(event.happening), event.record.id) for event in events]


def status(table: Table, server_id: str) -> Status:
    return table.entries[server_id].status


def test_hearsay_makes_nobody_alive() -> None:
    table = a_table()
    assert told(table.learn([a_record("a")], "", 0)) == []
    assert status(table, "a") == Status.FAILED
    assert told(table.heard_from(a_record("a"), 1)) == [("joined", "a")]
    assert status(table, "a") == Status.ALIVE


def test_the_higher_version_is_believed() -> None:
    table = a_table()
    table.heard_from(a_record("a", version=2), 0)
    assert told(table.learn([a_record("a", version=1, cluster_id="old")], "", 0)) == []
    assert told(table.learn([a_record("a", version=3, cluster_id="new")], "", 0)) == [("updated", "a")]
    assert table.entries["a"].record.cluster_id == "new"


def test_silence_is_failure_and_a_word_is_life() -> None:
    table = a_table()
    table.heard_from(a_record("a"), 0)
    assert table.judge(FAILED_AFTER_S) == []
    assert told(table.judge(FAILED_AFTER_S + 0.1)) == [("failed", "a")]
    assert told(table.heard_from(a_record("a"), 10)) == [("joined", "a")]
    assert table.judge(10 + FAILED_AFTER_S) == []


def test_time_in_which_this_server_slept_is_not_silence() -> None:
    table = a_table()
    table.heard_from(a_record("a"), 0)
    table.excuse(100)
    assert table.judge(100 + FAILED_AFTER_S) == []
    assert told(table.judge(101 + FAILED_AFTER_S)) == [("failed", "a")]


def test_the_long_gone_are_forgotten_and_the_living_never() -> None:
    table = a_table()
    table.heard_from(a_record("a"), 0)
    table.heard_from(a_record("b", left=True), 0)
    table.heard_from(a_record("a"), FORGOTTEN_AFTER_S)
    table.judge(FORGOTTEN_AFTER_S + 1)
    assert set(table.entries) == {"a"}


def test_who_left_stays_left_until_its_own_newer_word() -> None:
    table = a_table()
    table.heard_from(a_record("a"), 0)
    assert told(table.heard_from(a_record("a", version=2, left=True), 1)) == [("left", "a")]
    assert table.heard_from(a_record("a", version=1), 2) == []
    assert status(table, "a") == Status.LEFT
    assert told(table.heard_from(a_record("a", version=3), 3)) == [("joined", "a")]


def test_a_forced_leave_outweighs_the_same_version_and_is_contradicted_by_a_newer_one() -> None:
    table = a_table()
    table.heard_from(a_record("a", version=4), 0)
    assert told(table.force_left("a.global", False, 1)) == [("left", "a")]
    table.heard_from(a_record("a", version=4), 2)
    assert status(table, "a") == Status.LEFT
    own = a_record("a", version=4)
    version = contradiction(own, table.records())
    assert version == 5
    table.heard_from(replace(own, version=version), 3)
    assert status(table, "a") == Status.ALIVE
    assert table.force_left("nobody", True, 4) == []


def test_nobody_contradicts_itself() -> None:
    own = a_record("own", version=4)
    assert contradiction(own, [a_record("a", version=9), a_record("own", version=4)]) == 0
    assert contradiction(own, [a_record("own", version=7)]) == 8


def test_a_name_goes_to_a_newcomer_only_when_its_holder_is_gone() -> None:
    table = a_table()
    table.heard_from(a_record("old", "web"), 0)
    assert "is alive under the name 'web'" in table.name_refusal("new", "web")
    assert table.name_refusal("old", "web") == ""
    table.judge(100)
    assert table.name_refusal("new", "web") == ""
    assert told(table.heard_from(a_record("new", "web"), 101)) == [("left", "old"), ("joined", "new")]
    assert table.learn([a_record("old", "web", version=9)], "", 102) == []
    assert set(table.entries) == {"new"}


def test_nobody_takes_this_servers_own_name() -> None:
    table = a_table()
    assert "this server is called 'own' too" in table.name_refusal("a", "own")
    table.learn([a_record("a", "own")], "", 0)
    assert table.entries == {}


def test_servers_of_another_cluster_are_not_learnt() -> None:
    table = a_table()
    table.learn([a_record("a", cluster_id="x"), a_record("b", cluster_id="y"), a_record("c")], "x", 0)
    assert set(table.entries) == {"a", "c"}


def test_the_table_is_bounded() -> None:
    table = a_table()
    table.learn([a_record(f"s{number}") for number in range(1000)], "", 0)
    assert len(table.entries) == 255


def test_a_server_whose_address_another_answers_has_failed() -> None:
    table = a_table()
    table.heard_from(a_record("a"), 0)
    assert told(table.not_at_home("a", 1)) == [("failed", "a")]
    assert table.not_at_home("a", 2) == [] and table.not_at_home("nobody", 2) == []
