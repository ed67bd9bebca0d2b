"""Which agent answers a question about an allocation or a node: this one, another node's, or a server's choice."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from raftnomad.api.listing import check_id
from raftnomad.errors import BadRequest, NoPathToNode, NotFound
from raftnomad.fsm.state import State
from raftnomad.model.node import Node
from raftnomad.model.status import NodeStatus
from raftnomad.web import Request

CLIENT_PREFIX = "/v1/client/"

_OF_ALLOCATION = (
    re.compile(r"/v1/client/allocation/([^/]*)(?:/.*)?"),
    re.compile(r"/v1/client/fs/[^/]+/(.*)"),
    re.compile(r"/v1/allocation/([^/]+)/checks"),
)
_OF_NODE = tuple(f"{CLIENT_PREFIX}{name}" for name in ("stats", "gc", "metadata", "identity", "identity/renew"))
_ALLOCATION_ACTIONS = ("checks", "stats", "exec", "restart", "signal", "pause", "gc", "snapshot")
_FILE_ACTIONS = ("ls", "stat", "cat", "readat", "stream", "logs")


@dataclass(frozen=True)
class OfAllocation:
    id: str


@dataclass(frozen=True)
class OfNode:
    id: str
    """Empty: the node that is asked."""


Subject = OfAllocation | OfNode


@dataclass(frozen=True)
class Here:
    pass


@dataclass(frozen=True)
class AtNode:
    http_address: str
    tls: bool


@dataclass(frozen=True)
class AskServers:
    pass


Place = Here | AtNode | AskServers


def subject(request: Request) -> Subject | None:
    """What a client route is about; None when the path is none of those. Raises NotFound for unknown actions."""
    _check_action(request.path)
    for pattern in _OF_ALLOCATION:
        if found := pattern.fullmatch(request.path):
            return OfAllocation(found[1])
    if request.path in _OF_NODE:
        return OfNode(request.get("node_id"))
    return None


def _check_action(path: str) -> None:
    if not path.startswith(CLIENT_PREFIX):
        return
    parts = path.removeprefix(CLIENT_PREFIX).split("/")
    if parts[0] == "fs" and (len(parts) < 3 or parts[1] not in _FILE_ACTIONS):
        raise NotFound("Invalid method")
    if parts[0] == "allocation" and (len(parts) != 3 or parts[2] not in _ALLOCATION_ACTIONS):
        raise NotFound("resource not found")


def place(
    of: Subject, state: State | None, own_node_id: str, has_allocation: Callable[[str], bool], forwarded: bool
) -> Place:
    """state: a server's; None on an agent that is only a client. own_node_id: empty without a client.

    Raises NotFound, BadRequest or NoPathToNode when nobody can answer.
    """
    match of:
        case OfAllocation(identifier):
            check_id(identifier, "alloc lookup failed: ")
            if own_node_id and has_allocation(identifier):
                return Here()
            if state is None:
                return _ask_servers(f'Unknown allocation "{identifier}"', forwarded)
            alloc = state.allocations.get(identifier)
            if alloc is None:
                raise NotFound(f'Unknown allocation "{identifier}"')
            return _at(state.nodes.get(alloc.node_id), own_node_id)
        case OfNode(identifier):
            if own_node_id and identifier in ("", own_node_id):
                return Here()
            if identifier == "":
                raise BadRequest("No local Node and node_id not provided")
            check_id(identifier, "node lookup failed: ")
            if state is None:
                return _ask_servers(f"Unknown node {identifier}", forwarded)
            node = state.nodes.get(identifier)
            if node is None:
                raise NotFound(f"Unknown node {identifier}")
            return _at(node, own_node_id)
        case never:
            assert_never(never)


def _ask_servers(unknown: str, forwarded: bool) -> Place:
    if forwarded:
        raise NotFound(unknown)
    return AskServers()


def _at(node: Node | None, own_node_id: str) -> Place:
    if node is None or node.status in (NodeStatus.DOWN, NodeStatus.DISCONNECTED) or not node.http_addr:
        raise NoPathToNode
    if node.id == own_node_id:
        return Here()
    return AtNode(node.http_addr, node.tls_enabled)
