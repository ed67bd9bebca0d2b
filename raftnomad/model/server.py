"""Servers as the API shows them: members and raft peers."""

from __future__ import annotations

import msgspec

from raftnomad.model.row import Row


class ServerMember(Row, frozen=True, kw_only=True):
    name: str = ""
    addr: str = ""
    port: int = 0
    tags: dict[str, str] | None = None
    status: str = ""
    protocol_min: int = 0
    protocol_max: int = 0
    protocol_cur: int = 0
    delegate_min: int = 0
    delegate_max: int = 0
    delegate_cur: int = 0


class ServerMembersResponse(Row, frozen=True, kw_only=True):
    server_name: str = ""
    server_region: str = ""
    server_dc: str = msgspec.field(default="", name="ServerDC")
    members: tuple[ServerMember, ...] | None = None


class RaftServer(Row, frozen=True, kw_only=True):
    id: str = ""
    node: str = ""
    address: str = ""
    leader: bool = False
    voter: bool = False
    raft_protocol: str = ""
