"""What a server says of itself to the others: the whole vocabulary of the serf port."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from raftnomad.errors import PeerError
from raftnomad.raft.log import Member
from raftnomad.raft.network import Message

RECORDS_MAX = 256
TEXT_CHARACTERS_MAX = 256
CLUSTER_MEMBERS_MAX = 64


class Stage(StrEnum):
    """How far a server is on its way into a cluster; the last two are for ever."""

    EMPTY = "empty"
    PROPOSING = "proposing"
    """It has proposed a cluster, and thereby promised itself to it."""
    PROMISED = "promised"
    """It has promised itself to another server's proposal, until that one decides."""
    FOUNDED = "founded"
    JOINED = "joined"


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A cluster to be: its id, who proposes it, and exactly the servers that it begins with, in order of their ids."""

    cluster_id: str
    proposer: str
    members: tuple[Member, ...]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What does not change while a server runs. Addresses are `host:port`, as others reach them."""

    id: str
    name: str
    region: str = "global"
    datacenter: str = "dc1"
    build: str = ""
    rpc_address: str = ""
    http_address: str = ""
    serf_address: str = ""
    expect: int = 0
    """bootstrap_expect; 0 never founds a cluster and waits for one to join."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A server's word about itself; the higher `version` is the newer one.

    version: counted by that server alone, durably, one up with every change and every start.
    left: it went away on purpose; `pruned`: and shall not even be shown. The only two that others may set.
    cluster_members: raft's members as that server knows them, and `cluster_index` how new that is.
    """

    identity: Identity
    version: int
    left: bool = False
    pruned: bool = False
    stage: Stage = Stage.EMPTY
    proposal: Proposal | None = None
    cluster_id: str = ""
    cluster_members: tuple[Member, ...] = ()
    cluster_index: int = 0

    @property
    def id(self) -> str:
        return self.identity.id

    @property
    def name(self) -> str:
        return self.identity.name

    def newer_than(self, other: Record) -> bool:
        return (self.version, self.left, self.pruned) > (other.version, other.left, other.pruned)

    def __str__(self) -> str:
        return f"server '{self.name}' ({self.id}, {self.identity.serf_address})"


def member_of(identity: Identity) -> Member:
    return Member(id=identity.id, name=identity.name, rpc_address=identity.rpc_address)


# The wire.


def members_message(records: list[Record]) -> Message:
    """The one message of the serf port, both as question and as answer: all that the sender knows."""
    return {"type": "members", "records": [to_wire(record) for record in records[:RECORDS_MAX]]}


def parse_members(message: Message) -> list[Record]:
    """Raises PeerError for whatever is not exactly that."""
    if message["type"] != "members":
        raise PeerError(f"it sent a '{str(message['type'])[:32]}' message to the serf port")
    records = message.get("records")
    if not isinstance(records, list) or len(records) > RECORDS_MAX:
        raise PeerError("its list of servers is no list, or too long")
    return [from_wire(record) for record in records]


def to_wire(record: Record) -> dict[str, Any]:
    proposal = record.proposal
    return {
        **dataclasses.asdict(record.identity),
        "version": record.version,
        "left": record.left,
        "pruned": record.pruned,
        "stage": str(record.stage),
        "proposal": None if proposal is None else proposal_to_wire(proposal),
        "cluster_id": record.cluster_id,
        "cluster_members": members_to_wire(record.cluster_members),
        "cluster_index": record.cluster_index,
    }


def proposal_to_wire(proposal: Proposal) -> dict[str, Any]:
    return {
        "cluster_id": proposal.cluster_id,
        "proposer": proposal.proposer,
        "members": members_to_wire(proposal.members),
    }


def members_to_wire(members: tuple[Member, ...]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(member) for member in members]


def from_wire(wire: Any) -> Record:
    """Raises PeerError; fields that this version does not know are left out."""
    proposal = _field(wire, "proposal", dict | None)
    stage = _text(wire, "stage")
    if stage not in list(Stage):
        raise PeerError(f"a server is in the unknown stage '{stage}'")
    return Record(
        identity=Identity(
            id=_text(wire, "id"),
            name=_text(wire, "name"),
            region=_text(wire, "region"),
            datacenter=_text(wire, "datacenter"),
            build=_text(wire, "build"),
            rpc_address=_text(wire, "rpc_address"),
            http_address=_text(wire, "http_address"),
            serf_address=_text(wire, "serf_address"),
            expect=_count(wire, "expect"),
        ),
        version=_count(wire, "version"),
        left=_field(wire, "left", bool),
        pruned=_field(wire, "pruned", bool),
        stage=Stage(stage),
        proposal=None if proposal is None else proposal_from_wire(proposal),
        cluster_id=_text(wire, "cluster_id"),
        cluster_members=members_from_wire(_field(wire, "cluster_members", list)),
        cluster_index=_count(wire, "cluster_index"),
    )


def proposal_from_wire(wire: dict[str, Any]) -> Proposal:
    return Proposal(
        cluster_id=_text(wire, "cluster_id"),
        proposer=_text(wire, "proposer"),
        members=members_from_wire(_field(wire, "members", list)),
    )


def members_from_wire(wire: list[Any]) -> tuple[Member, ...]:
    if len(wire) > CLUSTER_MEMBERS_MAX:
        raise PeerError("a cluster of too many members")
    return tuple(
        Member(
            id=_text(member, "id"),
            name=_text(member, "name"),
            rpc_address=_text(member, "rpc_address"),
            voter=_field(member, "voter", bool),
        )
        for member in wire
    )


def _field(wire: Any, key: str, kind: Any) -> Any:
    value = wire.get(key) if isinstance(wire, dict) else None
    if not isinstance(value, kind) or not isinstance(wire, dict):
        raise PeerError(f"a server's record has no usable '{key}'")
    return value


def _text(wire: Any, key: str) -> str:
    value: str = _field(wire, key, str)
    if len(value) > TEXT_CHARACTERS_MAX or not value.isprintable():
        raise PeerError(f"a server's record has no usable '{key}'")
    return value


def _count(wire: Any, key: str) -> int:
    value: int = _field(wire, key, int)
    if isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise PeerError(f"a server's record has no usable '{key}'")
    return value
