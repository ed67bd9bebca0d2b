"""The bytes of one raft entry. The first byte is pysyncobj's kind of command, the rest is ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from raftnomad import errors
from raftnomad.raft.log import Member

# pysyncobj's _COMMAND_TYPE. It writes NO_OP itself, at the start of a term; VERSION is never written.
BATCH, NO_OP, MEMBERSHIP = 0, 1, 2
FORMAT = 1
_BATCH_HEAD = bytes((BATCH, FORMAT))
_MEMBERSHIP_HEAD = bytes((MEMBERSHIP, FORMAT))
BATCH_OVERHEAD = 2 + 5
PROPOSAL_OVERHEAD = 5

Entry = tuple[bytes, int, int]
"""Command, index, term: as pysyncobj has it."""


@dataclass(frozen=True, kw_only=True)
class MembershipChange:
    """`adds` with an id that is a member already changes its addresses."""

    adds: Member | None = None
    removes: str = ""


def pack_batch(proposals: Sequence[bytes]) -> bytes:
    packed: bytes = msgpack.packb(list(proposals), use_bin_type=True)
    return _BATCH_HEAD + packed


def unpack_batch(command: bytes) -> list[bytes]:
    _check_format(command)
    proposals: list[bytes] = msgpack.unpackb(memoryview(command)[2:], raw=False, max_bin_len=len(command))
    return proposals


def pack_change(change: MembershipChange) -> bytes:
    packed: bytes = msgpack.packb([pack_member(change.adds) if change.adds else None, change.removes])
    return _MEMBERSHIP_HEAD + packed


def unpack_change(command: bytes) -> MembershipChange | None:
    """None when the entry is of another kind."""
    if command[0] != MEMBERSHIP:
        return None
    _check_format(command)
    adds, removes = msgpack.unpackb(memoryview(command)[2:], raw=False)
    return MembershipChange(adds=unpack_member(adds) if adds else None, removes=removes)


def pack_member(member: Member) -> list[Any]:
    return [member.id, member.name, member.rpc_address, member.voter]


def unpack_member(row: Sequence[Any]) -> Member:
    return Member(id=row[0], name=row[1], rpc_address=row[2], voter=row[3])


def _check_format(command: bytes) -> None:
    if command[1] != FORMAT:
        raise errors.DataDirectoryError(
            f"a log entry has format {command[1]}, this raftnomad knows {FORMAT}: run the newer version"
        )
