"""Who leads and who belongs, changed on request: each asked of the leader, from whatever server it was asked on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from raftnomad import errors
from raftnomad.raft.core import Core, Results
from raftnomad.raft.entries import MembershipChange, pack_member, unpack_member
from raftnomad.raft.log import Member
from raftnomad.raft.network import Message, Network
from raftnomad.raft.proposals import Proposals
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)

TRANSFER_S = 10.0
CHANGE_S = 30.0
CATCH_UP_S = 120.0
_PAUSE_S = 0.02
_STEP_ASIDE_S = 30.0
# A newcomer counts for quorums as soon as its entry is written: it should lack next to nothing by then.
_CAUGHT_UP_ENTRIES = 16

_REFUSALS: dict[str, type[errors.RaftnomadError]] = {
    kind.__name__: kind
    for kind in (errors.NoLeader, errors.NotFound, errors.Conflict, errors.NotBuilt, errors.OutcomeUnknown)
}


class Administration:
    def __init__(
        self,
        core: Core,
        network: Network,
        proposals: Proposals,
        tasks: Tasks,
        monotonic_s: Callable[[], float],
        heartbeat_s: float,
        peers_changed: Callable[[], None],
        kick: Callable[[], None],
        first_number: int,
    ) -> None:
        self._core = core
        self._network = network
        self._proposals = proposals
        self._tasks = tasks
        self._now = monotonic_s
        self._heartbeat_s = heartbeat_s
        self._peers_changed = peers_changed
        self._kick = kick
        self._changing = False
        self._stay_until_s = float("-inf")
        self._number = first_number
        self._asked: dict[int, asyncio.Future[str]] = {}
        self.joining: dict[str, Member] = {}
        """Newcomers that are being sent the state before they become members."""

    # --- requests

    async def transfer_leadership(self, server_id: str | None) -> Member:
        """Raises NoLeader, NotFound."""
        if self._core.is_leader:
            return await self._hand_over(server_id)
        before = self._core.leader_id
        await self._ask({"type": "transfer", "to": server_id or ""}, TRANSFER_S)
        await self._until(lambda: self._core.leader_id not in (None, before), TRANSFER_S)
        return self._member(self._core.leader_id)

    async def change(self, change: MembershipChange) -> None:
        """Raises NoLeader, Conflict, NotFound, NotBuilt, OutcomeUnknown."""
        if change.removes == self._core.id and self._core.is_leader:
            # A leader can't count on a log that it is leaving.
            await self._hand_over(None)
        if self._core.is_leader:
            await self._carry_out(change)
            return
        adds = pack_member(change.adds) if change.adds else []
        await self._ask({"type": "change", "adds": adds, "removes": change.removes}, CHANGE_S + CATCH_UP_S)
        wanted = change.adds.id if change.adds else None
        await self._until(lambda: wanted is None or self._knows(wanted), CHANGE_S)

    async def _ask(self, message: Message, timeout_s: float) -> None:
        await self._until(lambda: self._core.leader_id not in (None, self._core.id), TRANSFER_S)
        leader_id = self._core.leader_id
        self._number += 1
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked[self._number] = future
        if leader_id is None or not self._network.send(leader_id, {**message, "id": self._number}):
            raise errors.NoLeader("The leader can't be reached")
        try:
            async with asyncio.timeout(timeout_s):
                problem = await future
        except TimeoutError:
            raise errors.OutcomeUnknown("The leader has not answered: look at the members before retrying") from None
        finally:
            self._asked.pop(self._number, None)
        if problem:
            kind, _, text = problem.partition(": ")
            raise _REFUSALS.get(kind, errors.OutcomeUnknown)(text)

    def on_changed(self, message: Message) -> None:
        future = self._asked.pop(message["id"], None)
        if future is not None and not future.done():
            future.set_result(message["problem"])

    def on_change(self, peer_id: str, message: Message) -> None:
        adds = unpack_member(message["adds"]) if message["adds"] else None
        change = MembershipChange(adds=adds, removes=message["removes"])
        self._tasks.start(self._answer(peer_id, message["id"], self.change(change)), "change members")

    def on_transfer(self, peer_id: str, message: Message) -> None:
        work = self._hand_over(message["to"] or None)
        self._tasks.start(self._answer(peer_id, message["id"], work), "transfer leadership")

    async def _answer(self, peer_id: str, number: int, work: Awaitable[Any]) -> None:
        problem = ""
        try:
            await work
        except errors.RaftnomadError as error:
            problem = f"{type(error).__name__}: {error}"
        self._network.send(peer_id, {"type": "changed", "id": number, "problem": problem})

    # --- as leader

    async def _hand_over(self, server_id: str | None) -> Member:
        """New entries wait meanwhile, so that the heir can have all of them."""
        core = self._core
        if not core.is_leader:
            raise errors.NoLeader("This server does not lead any more")
        if server_id == core.id:
            return self._member(core.id)
        heir = server_id or self._furthest()
        if heir not in core.others:
            raise errors.NotFound(f"No server {heir} to hand leadership to")
        self._proposals.paused = True
        try:
            deadline_s = self._now() + TRANSFER_S
            while core.is_leader and self._now() < deadline_s:
                core.hand_over(heir)
                await self._until(lambda: not core.is_leader, 5 * self._heartbeat_s, quietly=True)
            await self._until(lambda: core.leader_id is not None, TRANSFER_S)
        finally:
            self._proposals.paused = False
            self._kick()
        if core.leader_id != heir:
            raise errors.NoLeader(f"Server {heir} has not taken over; {core.leader_id} leads")
        return self._member(heir)

    async def step_aside(self) -> None:
        """Hand over to whoever is furthest, if anybody takes it; not again before `_STEP_ASIDE_S` have passed."""
        if self._now() < self._stay_until_s:
            return
        self._stay_until_s = self._now() + _STEP_ASIDE_S
        try:
            heir = await self._hand_over(None)
            logger.info("leadership has gone to '%s'", heir.name)
        except errors.RaftnomadError as error:
            logger.warning("leadership stays here: %s", error)

    def _furthest(self) -> str:
        connected = [peer_id for peer_id in self._core.others if self._network.connected(peer_id)]
        if not connected:
            raise errors.NotFound("No other server is connected to hand leadership to")
        return max(connected, key=lambda peer_id: (self._core.matched_index(peer_id), peer_id))

    async def _carry_out(self, change: MembershipChange) -> None:
        if self._changing or not self._core.accepts_change():
            raise errors.Conflict("Another change of the members is under way; try again when it is done")
        if change.adds is not None and change.adds in self._core.history.latest:
            return
        if change.adds is not None and not change.adds.voter:
            raise errors.NotBuilt("Servers without a vote are not built yet")
        if change.removes and not self._knows(change.removes):
            raise errors.NotFound(f"No server {change.removes} among the members")
        self._changing = True
        try:
            if change.adds is not None and not self._knows(change.adds.id):
                await self._catch_up(change.adds)
            await self._commit(change)
        finally:
            self._changing = False

    async def _catch_up(self, member: Member) -> None:
        """Send a newcomer the state before it counts, so that the cluster never waits for it."""
        core = self._core
        self.joining[member.id] = member
        self._peers_changed()
        try:
            deadline_s = self._now() + CATCH_UP_S
            while not self._has_caught_up(member.id):
                if not core.is_leader:
                    raise errors.NoLeader("This server does not lead any more; nothing was changed")
                if self._now() > deadline_s:
                    raise errors.Conflict(f"Server '{member.name}' does not catch up at {member.rpc_address}")
                if member.id not in core.catching_up and self._network.connected(member.id):
                    core.begin_catching_up(member.id)
                await asyncio.sleep(_PAUSE_S)
        except BaseException:
            core.end_catching_up(member.id)
            raise
        finally:
            del self.joining[member.id]
            if not core.catching_up:
                self._peers_changed()

    def _has_caught_up(self, peer_id: str) -> bool:
        matched = self._core.matched_index(peer_id)
        return matched > 0 and matched + _CAUGHT_UP_ENTRIES >= self._core.journal.last_index

    async def _commit(self, change: MembershipChange) -> None:
        future: asyncio.Future[Results] = asyncio.get_running_loop().create_future()

        def done(results: Results) -> None:
            if not future.done():
                future.set_result(results)

        self._core.change_members(change, done)
        self._kick()
        try:
            async with asyncio.timeout(CHANGE_S):
                results = await future
        except TimeoutError:
            results = None
        if results is None:
            raise errors.OutcomeUnknown("The change of members is not known to be done: look before you try again")

    # --- waiting

    async def _until(self, holds: Callable[[], bool], timeout_s: float, quietly: bool = False) -> None:
        deadline_s = self._now() + timeout_s
        while not holds():
            if self._now() >= deadline_s:
                if quietly:
                    return
                raise errors.NoLeader()
            await asyncio.sleep(_PAUSE_S)

    def _knows(self, server_id: str) -> bool:
        return any(member.id == server_id for member in self._core.history.latest)

    def _member(self, server_id: str | None) -> Member:
        for member in self._core.history.latest:
            if member.id == server_id:
                return member
        raise errors.NoLeader()
