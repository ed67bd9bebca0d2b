"""The first frame of every connection between servers: who is there, of which cluster, and may it come in.

Decisions only. Nothing else of a connection is parsed before the hello has been accepted on both sides.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum

from raftnomad.errors import PeerError
from raftnomad.raft.network import Message

VERSION = 1
"""Of the hello and of all that follows it. A server refuses any other, by name."""

HELLO_BYTES_MAX = 4096

TEXT_CHARACTERS_MAX = 256


class Purpose(StrEnum):
    """What the connection is for: the port that was meant."""

    RAFT = "raft"
    MEMBERS = "members"


@dataclass(frozen=True, kw_only=True)
class Hello:
    """Who is speaking. `cluster_id` is empty until the first members have agreed on one."""

    purpose: Purpose
    cluster_id: str
    server_id: str
    name: str
    region: str
    rpc_address: str = ""
    role: str = "server"
    version: int = VERSION

    def to_message(self) -> Message:
        return {
            "type": "hello",
            "version": self.version,
            "purpose": str(self.purpose),
            "cluster_id": self.cluster_id,
            "server_id": self.server_id,
            "name": self.name,
            "region": self.region,
            "rpc_address": self.rpc_address,
            "role": self.role,
        }

    def __str__(self) -> str:
        return f"{self.role} '{self.name}' ({self.server_id})"


def parse(message: Message) -> Hello:
    """What a peer said first. Raises PeerError for a refusal of ours, another version, or no hello at all."""
    if message["type"] == "refused":
        raise PeerError(f"refused by the other side: {str(message.get('reason', ''))[:TEXT_CHARACTERS_MAX]}")
    if message["type"] != "hello":
        raise PeerError("it did not begin with a hello")
    version = message.get("version")
    if version != VERSION:
        # Before its other fields are looked at: they may mean something else there.
        raise PeerError(f"it speaks protocol version {str(version)[:16]}, this server speaks {VERSION}")
    purpose = _text(message, "purpose")
    if purpose not in list(Purpose):
        raise PeerError(f"its hello has the unknown purpose '{purpose}'")
    return Hello(
        purpose=Purpose(purpose),
        cluster_id=_text(message, "cluster_id"),
        server_id=_text(message, "server_id"),
        name=_text(message, "name"),
        region=_text(message, "region"),
        rpc_address=_text(message, "rpc_address"),
        role=_text(message, "role"),
    )


def _text(message: Message, key: str) -> str:
    value = message.get(key)
    if not isinstance(value, str) or len(value) > TEXT_CHARACTERS_MAX or not value.isprintable():
        raise PeerError(f"its hello has no usable '{key}'")
    return value


def refused(reason: str) -> Message:
    """The answer to a hello that was not accepted."""
    return {"type": "refused", "reason": reason[:TEXT_CHARACTERS_MAX]}


def refusal(own: Hello, theirs: Hello) -> str:
    """Why this server does not talk with that one; empty when it does. Membership is a question of its own.

    The other's own words are repeated to it, never this server's cluster id: who doesn't know it shall not learn it.
    """
    who = str(theirs)
    if theirs.purpose != own.purpose:
        ports = {Purpose.RAFT: "rpc", Purpose.MEMBERS: "serf"}
        return f"{who} wants the {ports[theirs.purpose]} port; this is the {ports[own.purpose]} port"
    if theirs.role != "server":
        return f"{who} is no server"
    if theirs.region != own.region:
        return f"{who} is of region '{theirs.region}'; '{own.name}' is of region '{own.region}'"
    if not theirs.server_id or not theirs.name:
        return f"{who} has no id or no name"
    if own.purpose == Purpose.RAFT and theirs.cluster_id != own.cluster_id:
        return f"{who} is of another cluster ('{theirs.cluster_id}') than '{own.name}'"
    if own.cluster_id and theirs.cluster_id and own.cluster_id != theirs.cluster_id:
        return f"{who} is of another cluster ('{theirs.cluster_id}') than '{own.name}'"
    return ""


def incoming_refusal(own: Hello, theirs: Hello, members: Container[str]) -> str:
    """Why a server that called is not let in: as `refusal`, and it has to be a member and not this server."""
    reason = refusal(own, theirs)
    if reason:
        return reason
    if theirs.server_id == own.server_id:
        return f"{theirs} has the id of this server: was a data directory copied?"
    if theirs.server_id not in members:
        return f"{theirs} is not a member of this cluster"
    return ""


def outgoing_refusal(own: Hello, theirs: Hello, wanted_id: str, address: str) -> str:
    """Why the server that answered at `address` is not the one that was called."""
    reason = refusal(own, theirs)
    if reason:
        return reason
    if theirs.server_id != wanted_id:
        return f"at {address} answers {theirs}, not the server {wanted_id}"
    return ""
