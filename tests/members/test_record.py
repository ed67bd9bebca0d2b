from __future__ import annotations

from typing import Any

import pytest

from raftnomad.errors import PeerError
from raftnomad.members.record import (
    Identity,
    Proposal,
    Record,
    Stage,
    from_wire,
    members_message,
    parse_members,
    to_wire,
)
from raftnomad.raft import frames
from raftnomad.raft.log import Member

MEMBER = Member(id="id-a", name="a", rpc_address="127.0.0.1:1")
RECORD = Record(
    identity=Identity(id="id-a", name="a", build="1", rpc_address="r", http_address="h", serf_address="s", expect=3),
    version=7,
    stage=Stage.PROPOSING,
    proposal=Proposal(cluster_id="c", proposer="id-a", members=(MEMBER,)),
    cluster_members=(MEMBER,),
    cluster_index=9,
)


def test_records_survive_the_wire() -> None:
    message = frames.decode(frames.encode(members_message([RECORD, RECORD]))[4:])
    assert parse_members(message) == [RECORD, RECORD]


def test_a_field_of_a_later_version_is_left_out() -> None:
    assert from_wire(to_wire(RECORD) | {"zone": "b"}) == RECORD


@pytest.mark.parametrize("key", sorted(to_wire(RECORD)))
@pytest.mark.parametrize("value", [None, -1, 1 << 63, 1.5, "a\n", "a" * 300, [1], {"a": 1}, [{"id": 1}], [{}] * 100])
def test_a_field_of_another_kind_is_refused_or_harmless(key: str, value: Any) -> None:
    try:
        record = from_wire(to_wire(RECORD) | {key: value})
    except PeerError:
        return
    assert from_wire(to_wire(record)) == record


@pytest.mark.parametrize("message", [{"type": "x"}, {"type": "members"}, {"type": "members", "records": {}}])
def test_what_is_no_list_of_records_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(PeerError):
        parse_members(message)
    with pytest.raises(PeerError):
        parse_members({"type": "members", "records": [None]})
    with pytest.raises(PeerError):
        parse_members({"type": "members", "records": [to_wire(RECORD)] * 257})
