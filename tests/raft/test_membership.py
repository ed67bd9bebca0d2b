from raftnomad.raft.entries import MembershipChange, pack_batch, pack_change
from raftnomad.raft.log import Member
from raftnomad.raft.membership import MemberHistory


def a_member(letter: str, address: str = "127.0.0.1:4647") -> Member:
    return Member(id=letter * 8, name=letter, rpc_address=address)


A, B, C, D = map(a_member, "abcd")


def add(member: Member) -> bytes:
    return pack_change(MembershipChange(adds=member))


def remove(member: Member) -> bytes:
    return pack_change(MembershipChange(removes=member.id))


def test_a_change_counts_from_the_entry_that_makes_it() -> None:
    history = MemberHistory(1, (A, B))
    assert history.appended(5, add(C))
    assert history.at(4) == (A, B)
    assert history.at(5) == history.latest == (A, B, C)
    assert history.last_change_index == 5


def test_other_entries_change_nothing() -> None:
    history = MemberHistory(1, (A,))
    assert not history.appended(2, pack_batch([b"x"]))
    assert not history.appended(3, b"\x01")
    assert history.latest == (A,)


def test_a_change_that_is_cut_off_is_undone() -> None:
    history = MemberHistory(1, (A, B, C))
    history.appended(5, remove(C))
    history.appended(7, add(D))
    assert history.truncated(7)
    assert history.latest == (A, B)
    assert history.truncated(2)
    assert history.latest == (A, B, C)
    assert not history.truncated(2)


def test_a_member_added_again_has_its_new_address_and_undone_its_old() -> None:
    history = MemberHistory(1, (A, B))
    moved = a_member("b", "10.0.0.1:4647")
    history.appended(3, add(moved))
    assert history.latest == (A, moved)
    history.truncated(3)
    assert history.latest == (A, B)


def test_a_snapshot_takes_the_place_of_what_came_before_it() -> None:
    history = MemberHistory(1, (A,))
    history.appended(3, add(B))
    history.appended(6, add(C))
    history.compacted(4)
    assert history.at(4) == (A, B)
    assert history.latest == (A, B, C)
    history.reset(9, (D, A))
    assert history.latest == (A, D)
