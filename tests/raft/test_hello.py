from __future__ import annotations

import dataclasses

import pytest

from raftnomad.errors import PeerError
from raftnomad.raft.hello import Hello, Purpose, incoming_refusal, outgoing_refusal, parse, refusal, refused

OWN = Hello(purpose=Purpose.RAFT, cluster_id="c1", server_id="id-a", name="a", region="global")
THEIRS = Hello(purpose=Purpose.RAFT, cluster_id="c1", server_id="id-b", name="b", region="global")


def but(**fields: object) -> Hello:
    return dataclasses.replace(THEIRS, **fields)  # type: ignore[arg-type]


def test_a_hello_survives_the_wire() -> None:
    assert parse(THEIRS.to_message()) == THEIRS


def test_a_member_of_the_cluster_is_let_in() -> None:
    assert incoming_refusal(OWN, THEIRS, {"id-b"}) == ""
    assert outgoing_refusal(OWN, THEIRS, "id-b", "127.0.0.1:1") == ""


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        (but(region="eu"), "server 'b' (id-b) is of region 'eu'; 'a' is of region 'global'"),
        (but(cluster_id="c2"), "server 'b' (id-b) is of another cluster ('c2') than 'a'"),
        (but(cluster_id=""), "server 'b' (id-b) is of another cluster ('') than 'a'"),
        (but(role="client"), "client 'b' (id-b) is no server"),
        (but(purpose=Purpose.MEMBERS), "server 'b' (id-b) wants the serf port; this is the rpc port"),
        (but(server_id="id-x"), "server 'b' (id-x) is not a member of this cluster"),
        (but(server_id="id-a"), "server 'b' (id-a) has the id of this server: was a data directory copied?"),
    ],
)
def test_who_is_refused_and_why(theirs: Hello, reason: str) -> None:
    assert incoming_refusal(OWN, theirs, {"id-b"}) == reason


def test_the_refusal_never_tells_this_servers_cluster_id() -> None:
    assert "c1" not in incoming_refusal(OWN, but(cluster_id="c2"), {"id-b"})


def test_another_server_at_the_address_is_not_the_one_that_was_called() -> None:
    assert "at 127.0.0.1:1 answers server 'b' (id-b), not the server id-c" in outgoing_refusal(
        OWN, THEIRS, "id-c", "127.0.0.1:1"
    )


def test_at_the_serf_port_a_server_without_a_cluster_is_welcome_and_one_of_another_cluster_is_not() -> None:
    own = dataclasses.replace(OWN, purpose=Purpose.MEMBERS)
    assert refusal(own, but(purpose=Purpose.MEMBERS, cluster_id="")) == ""
    assert refusal(dataclasses.replace(own, cluster_id=""), but(purpose=Purpose.MEMBERS)) == ""
    assert refusal(own, but(purpose=Purpose.MEMBERS, cluster_id="c2")) != ""


def test_another_version_is_refused_before_its_fields_are_read() -> None:
    with pytest.raises(PeerError, match="it speaks protocol version 2, this server speaks 1"):
        parse({"type": "hello", "version": 2})


def test_a_refusal_is_passed_on() -> None:
    with pytest.raises(PeerError, match="refused by the other side: no room"):
        parse(refused("no room"))


@pytest.mark.parametrize(
    "change",
    [
        {"type": "append_entries"},
        {"version": "1"},
        {"version": None},
        {"purpose": "root"},
        {"purpose": 1},
        {"name": ["b"]},
        {"name": "b" * 257},
        {"name": "b\nINFO all is well"},
        {"server_id": None},
        {"region": {}},
    ],
)
def test_what_is_no_hello_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(PeerError):
        parse(THEIRS.to_message() | change)
