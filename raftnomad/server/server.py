"""One server as the HTTP API and the agent see it: its state, the log, and what it does for client agents.

Reading is looking at `state`. Writing is `propose`. Whether this server leads matters to nobody above it: the log
forwards proposals, and heartbeats are passed on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from raftnomad.clock import Clock
from raftnomad.errors import CommandRejected
from raftnomad.fsm.changes import Feed
from raftnomad.fsm.codec import Proposal, encode
from raftnomad.fsm.commands import Command
from raftnomad.fsm.machine import StateMachine
from raftnomad.fsm.outcome import Applied
from raftnomad.fsm.state import State
from raftnomad.identifiers import RandomBytes, new_id, system_random_bytes
from raftnomad.model.job import Job
from raftnomad.model.node import Node
from raftnomad.model.server import ServerMember
from raftnomad.raft.log import Log
from raftnomad.sdk.agent_protocol import AllocationReport, HeartbeatRequest, HeartbeatResponse
from raftnomad.server import job_planning
from raftnomad.server.client_agents import ClientAgents
from raftnomad.server.duties import garbage_collection
from raftnomad.server.heartbeat_relay import HeartbeatRelay, Relay
from raftnomad.server.job_planning import JobPlan
from raftnomad.server.leader import Leader
from raftnomad.server.scheduling import Scheduling
from raftnomad.server.settings import ServerSettings
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)

GC_ROUNDS_MAX = 5


class Server:
    """`relay` carries heartbeats to the leader, `list_members` says who is in the gossip; both are the agent's."""

    def __init__(
        self,
        *,
        log: Log,
        machine: StateMachine,
        clock: Clock,
        scheduling: Scheduling,
        settings: ServerSettings | None = None,
        random_bytes: RandomBytes = system_random_bytes,
        relay: Relay | None = None,
        list_members: Callable[[], Sequence[ServerMember]] | None = None,
        on_crash: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.log = log
        self.machine = machine
        self.state: State = machine.state
        self.feed: Feed = machine.feed
        self.clock = clock
        self.random_bytes = random_bytes
        self.settings = settings or ServerSettings()
        self.name = self.settings.name
        self.region = self.settings.region
        self.datacenter = self.settings.datacenter
        self.scheduling = scheduling
        self._list_members = list_members
        self._proposer = new_id(random_bytes)
        self._sequence = 0
        self._tasks = Tasks("server", on_crash)
        self.leader = Leader(self, on_crash)
        self.relay = HeartbeatRelay(log, clock, relay, self.leader.heard)
        self.client_agents = ClientAgents(self)

    async def start(self) -> None:
        """Take up leadership whenever the log says so. The log itself is the agent's to start and stop."""
        self.log.on_leadership(self.leader.on_leadership)
        self._tasks.start(self.relay.run(), "heartbeat relay")

    async def stop(self) -> None:
        await self.leader.stop()
        await self._tasks.cancel()
        await self.scheduling.close()

    async def propose(self, command: Command, timeout_s: float = 30.0) -> Applied:
        """Commit a command. When it returns, this server's state holds it.

        Raises CommandRejected when the state refused it, NoLeader or Overloaded when nothing was written,
        OutcomeUnknown when it may or may not have been.
        """
        self._sequence += 1
        proposal = encode(Proposal(command, self._proposer, self._sequence, self.clock.now_ns()))
        outcome = await self.log.propose(proposal, timeout_s)
        if isinstance(outcome, Applied):
            return outcome
        raise CommandRejected(outcome.reason, outcome.status)

    async def consistent_read(self, timeout_s: float = 5.0) -> None:
        """Return when `state` holds every write acknowledged before the call. Raises NoLeader."""
        await self.log.consistent_read(timeout_s)

    async def plan_job(self, job: Job, diff: bool = False) -> JobPlan:
        """What registering the job would do, worked out by the scheduler and not carried out."""
        return await job_planning.plan_job(self, job, diff)

    async def register_node(self, node: Node) -> HeartbeatResponse:
        """Raises CommandRejected when the node exists with another secret."""
        return await self.client_agents.register(node)

    async def heartbeat(self, request: HeartbeatRequest) -> HeartbeatResponse:
        """Raises NotFound for a node that is not registered, or was forgotten."""
        return await self.client_agents.heartbeat(request)

    async def update_allocations(self, node_id: str, reports: Sequence[AllocationReport]) -> int:
        """What a client agent says of its allocations; returns the index of the write."""
        return await self.client_agents.update_allocations(node_id, reports)

    def receive_heartbeats(self, node_ids: Sequence[str]) -> bool:
        """Heartbeats that another server passes on; False when this server does not lead."""
        return self.leader.heard(node_ids)

    async def collect_garbage(self) -> None:
        """Forget all that is over, however recent. What is forgotten may free something else: so look again."""
        for _ in range(GC_ROUNDS_MAX):
            commands = garbage_collection.decide_forced(self.state)
            if not commands:
                return
            for command in commands:
                await self.propose(command)

    def members(self) -> list[ServerMember]:
        """The servers as gossip knows them, or else as the log does."""
        if self._list_members is not None:
            return list(self._list_members())
        return [_as_member(member.name, member.rpc_address) for member in self.log.members]

    def statistics(self) -> dict[str, dict[str, str]]:
        """For `agent/self`: section -> name -> value."""
        return {
            "nomad": {
                "server": "true",
                "leader": str(self.log.is_leader).lower(),
                "leader_addr": self.log.leader.rpc_address if self.log.leader is not None else "",
                "bootstrap": "false",
                "known_regions": "1",
            },
            "raft": self.log.statistics(),
            "broker": self.leader.statistics(),
        }


def _as_member(name: str, rpc_address: str) -> ServerMember:
    host, _, port = rpc_address.rpartition(":")
    return ServerMember(name=name, addr=host, port=int(port or 0), status="alive")
