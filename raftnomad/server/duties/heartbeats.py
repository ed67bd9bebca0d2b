"""Heartbeats: nodes that have been silent too long are down, and the jobs on them are evaluated.

Heartbeats never go through the log. The leader keeps one deadline for each node, on its monotonic clock; a new leader
gives every node its full time once more.
"""

from __future__ import annotations

from collections.abc import Iterable

from raftnomad.fsm.commands import UpdateNodeStatus
from raftnomad.fsm.state import State
from raftnomad.model.allocation import Allocation
from raftnomad.model.node import Node, NodeEvent
from raftnomad.model.status import ClientStatus, NodeStatus
from raftnomad.server.duties.decision import Decision
from raftnomad.server.settings import ServerSettings
from raftnomad.server.triggered import NewId, for_node

SCAN_S = 1.0
COMMANDS_MAX = 200
"""Nodes marked in one round: when a whole datacenter falls silent, other duties have their turn in between."""


class Deadlines:
    """Node -> when it counts as gone."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._deadlines: dict[str, float] = {}

    def ttl_s(self, node_count: int) -> float:
        """How often a node should be heard; enough for all of them to stay within the rate."""
        return ttl_s(self._settings, node_count)

    def start(self, node_ids: Iterable[str], node_count: int, now_s: float) -> None:
        """Hear, or begin to listen for, these nodes."""
        deadline = now_s + self.ttl_s(node_count) + self._settings.heartbeat_grace_s
        for node_id in node_ids:
            self._deadlines[node_id] = deadline

    def start_unknown(self, node_ids: Iterable[str], node_count: int, now_s: float) -> None:
        self.start([node_id for node_id in node_ids if node_id not in self._deadlines], node_count, now_s)

    def forget(self, node_id: str) -> None:
        self._deadlines.pop(node_id, None)

    def missed(self, now_s: float) -> list[str]:
        return [node_id for node_id, deadline in self._deadlines.items() if deadline <= now_s]


def ttl_s(settings: ServerSettings, node_count: int) -> float:
    return max(settings.heartbeat_ttl_s, node_count / settings.heartbeats_per_second_max)


def decide(state: State, deadlines: Deadlines, now_s: float, now_ns: int, epoch: int, new_id: NewId) -> Decision:
    """Marks nodes whose deadline has passed; those that are down already are not listened for."""
    for node in state.nodes.values():
        if node.status == NodeStatus.DOWN:
            deadlines.forget(node.id)
        else:
            deadlines.start_unknown((node.id,), len(state.nodes), now_s)
    commands: list[UpdateNodeStatus] = []
    for node_id in deadlines.missed(now_s):
        gone = state.nodes.get(node_id)
        if gone is None:
            deadlines.forget(node_id)
            continue
        if len(commands) == COMMANDS_MAX:
            break
        deadlines.start((node_id,), len(state.nodes), now_s)  # Again, should the command not be committed.
        status = NodeStatus.DISCONNECTED if may_return(state, gone, now_ns) else NodeStatus.DOWN
        if gone.status != status:
            commands.append(_mark(state, gone, status, now_ns, epoch, new_id))
    return Decision(tuple(commands), SCAN_S)


def _mark(state: State, node: Node, status: NodeStatus, now_ns: int, epoch: int, new_id: NewId) -> UpdateNodeStatus:
    return UpdateNodeStatus(
        node_id=node.id,
        status=str(status),
        event=NodeEvent(message="Node heartbeat missed", subsystem="Cluster"),
        evaluations=for_node(state, node, new_id, now_ns),
        epoch=epoch,
    )


def may_return(state: State, node: Node, now_ns: int) -> bool:
    """Some allocation's job wants the node's return to be waited for, and that time is not over."""
    return any(_waits(alloc, now_ns) for alloc in state.allocations_of_node(node.id))


def _waits(alloc: Allocation, now_ns: int) -> bool:
    assert alloc.job is not None
    if alloc.client_status not in (ClientStatus.RUNNING, ClientStatus.UNKNOWN) or alloc.desired_status != "run":
        return False
    group = next((one for one in alloc.job.task_groups or () if one.name == alloc.task_group), None)
    if group is None:
        return False
    waits_ns = group.disconnect.lost_after_ns if group.disconnect else group.max_client_disconnect_ns or 0
    if waits_ns <= 0:
        return False
    return alloc.client_status == ClientStatus.RUNNING or alloc.modify_time_ns + waits_ns > now_ns
