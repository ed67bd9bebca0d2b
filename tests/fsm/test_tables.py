from __future__ import annotations

from raftnomad.fsm.tables import IdTable, Index, Table


def test_rows_are_found_by_the_beginning_of_their_id() -> None:
    table: IdTable[str] = IdTable("words")
    for word in ("abcd", "abce", "abd", "b", "abcd1"):
        table.put(word, word)
    assert table.with_prefix("abc") == ["abcd", "abcd1", "abce"]
    assert table.with_prefix("abcd") == ["abcd", "abcd1"]
    assert table.with_prefix("a") == ["abcd", "abcd1", "abce", "abd"]
    assert table.with_prefix("") == ["abcd", "abcd1", "abce", "abd", "b"]
    assert table.with_prefix("x") == table.with_prefix("abcdx") == []
    table.remove("abcd")
    table.put("abce", "changed")
    assert table.with_prefix("abc") == ["abcd1", "changed"]


def test_a_view_shows_the_table_as_it_was_opened() -> None:
    table: Table[str, int] = Table("numbers")
    table.put("kept", 1)
    table.put("changed", 2)
    table.put("removed", 3)
    view = table.open_view()
    table.put("changed", 20)
    table.put("changed", 200)
    table.remove("removed")
    table.put("removed", 30)
    table.put("new", 4)
    assert {key: view.row(key) for key in view.keys} == {"kept": 1, "changed": 2, "removed": 3}
    view.close()
    table.put("kept", 10)
    assert view.undo == {"changed": 2, "removed": 3}


def test_an_index_follows_a_row_from_group_to_group() -> None:
    by_parity: Index[str, int] = Index(lambda number: "even" if number % 2 == 0 else "odd")
    table: Table[str, int] = Table("numbers", by_parity)
    table.put("a", 1)
    table.put("b", 2)
    table.put("a", 4)
    assert by_parity.groups == {"even": {"b": None, "a": None}}
    table.remove("b")
    table.remove("a")
    assert by_parity.groups == {}
