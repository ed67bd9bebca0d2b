"""What client agents ask of a server, whichever it is: take my node, I am alive, this became of my allocations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raftnomad.errors import NotFound
from raftnomad.fsm.commands import AllocationUpdate, RegisterNode, UpdateAllocations, UpdateNodeStatus
from raftnomad.fsm.state import State
from raftnomad.identifiers import new_id
from raftnomad.model.allocation import Allocation
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.node import Node
from raftnomad.model.status import ClientStatus, DesiredStatus, EvalTrigger, NodeStatus
from raftnomad.sdk.agent_protocol import AllocationReport, HeartbeatRequest, HeartbeatResponse
from raftnomad.server.duties.heartbeats import ttl_s
from raftnomad.server.triggered import NewId, evaluation_of, for_node, has_attempts_left, jobs_of

if TYPE_CHECKING:
    from raftnomad.server.server import Server


class ClientAgents:
    def __init__(self, server: Server) -> None:
        self._server = server

    async def register(self, node: Node) -> HeartbeatResponse:
        applied = await self._server.propose(RegisterNode(node=node))
        self._server.relay.note(node.id)
        return self._response(applied.index, node.id)

    async def heartbeat(self, request: HeartbeatRequest) -> HeartbeatResponse:
        """A node that says `ready` becomes it; its events are kept. All else happens outside of the log."""
        server = self._server
        node = server.state.nodes.get(request.node_id)
        if node is None:
            await server.consistent_read()
            node = server.state.nodes.get(request.node_id)
        if node is None:
            raise NotFound("node not found")
        server.relay.note(node.id)
        index = server.state.index
        if request.status == NodeStatus.READY and node.status != NodeStatus.READY:
            command = UpdateNodeStatus(
                node_id=node.id,
                status=str(NodeStatus.READY),
                evaluations=for_node(server.state, _as_ready(node), self._new_id, server.clock.now_ns()),
            )
            index = (await server.propose(command)).index
        for event in request.events:
            status = server.state.nodes[node.id].status if node.id in server.state.nodes else node.status
            command = UpdateNodeStatus(node_id=node.id, status=status, event=event)
            index = (await server.propose(command)).index
        return self._response(index, node.id)

    async def update_allocations(self, node_id: str, reports: Sequence[AllocationReport]) -> int:
        server = self._server
        updates = tuple(
            AllocationUpdate(
                id=report.id,
                client_status=report.client_status,
                client_description=report.client_description,
                task_states=report.task_states,
                deployment_status=report.deployment_status,
                network_status=report.network_status,
            )
            for report in reports
        )
        evaluations = evaluations_for_reports(server.state, updates, self._new_id, server.clock.now_ns())
        applied = await server.propose(UpdateAllocations(node_id=node_id, updates=updates, evaluations=evaluations))
        return applied.index

    def _new_id(self) -> str:
        return new_id(self._server.random_bytes)

    def _response(self, index: int, node_id: str) -> HeartbeatResponse:
        log, state = self._server.log, self._server.state
        node = state.nodes.get(node_id)
        return HeartbeatResponse(
            index=index,
            heartbeat_ttl_ns=int(ttl_s(self._server.settings, len(state.nodes)) * 1_000_000_000),
            servers=tuple(member.rpc_address for member in log.members),
            leader=log.leader.rpc_address if log.leader is not None else "",
            eligibility=node.scheduling_eligibility if node is not None else "",
        )


def _as_ready(node: Node) -> Node:
    return node if node.status != NodeStatus.DOWN else Node(id=node.id, modify_index=node.modify_index)


def evaluations_for_reports(
    state: State, updates: Sequence[AllocationUpdate], new_id: NewId, now_ns: int
) -> tuple[Evaluation, ...]:
    """One for each job of which an allocation has failed and may be placed again, or has come back."""
    failed: list[Allocation] = []
    returned: list[Allocation] = []
    for update in updates:
        alloc = state.allocations.get(update.id)
        if alloc is None or alloc.desired_status != DesiredStatus.RUN:
            continue
        if alloc.client_status == ClientStatus.UNKNOWN and update.client_status == ClientStatus.RUNNING:
            returned.append(alloc)
        elif update.client_status == ClientStatus.FAILED and alloc.client_status != ClientStatus.FAILED:
            failed.append(alloc)
    failed_jobs = jobs_of(state, (alloc for alloc in failed if has_attempts_left(alloc, now_ns)))
    returned_jobs = jobs_of(state, returned)
    triggers = {
        **{key: (job, EvalTrigger.RETRY_FAILED_ALLOC) for key, job in failed_jobs.items() if not job.stop},
        **{key: (job, EvalTrigger.RECONNECT) for key, job in returned_jobs.items()},
    }
    return tuple(evaluation_of(job, trigger, new_id, now_ns) for job, trigger in triggers.values())
