"""A client agent: registers its node, keeps it alive, runs what the servers place on it, and reports.

It knows the servers through `Connection` alone. Everything it must remember is in its data directory, so that the next
agent on this machine takes over the tasks that this one leaves running.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

import msgspec
from msgspec.structs import replace

from raftnomad.client import disconnect, garbage, metadata
from raftnomad.client.alloc_changes import Plan
from raftnomad.client.alloc_report import declined
from raftnomad.client.alloc_reporter import AllocReporter
from raftnomad.client.alloc_runner import AllocRunner, Surroundings
from raftnomad.client.alloc_watcher import AllocWatcher
from raftnomad.client.connection import Connection
from raftnomad.client.fingerprint import drivers as driver_fingerprint
from raftnomad.client.fingerprint import storage
from raftnomad.client.fingerprint.node import Identity, fingerprint
from raftnomad.client.local_state import LocalState
from raftnomad.client.servers import pause_s
from raftnomad.client.settings import ClientSettings
from raftnomad.clock import Clock
from raftnomad.drivers.driver import Driver
from raftnomad.durations import format_duration
from raftnomad.errors import NotFound, RaftnomadError
from raftnomad.identifiers import RandomBytes
from raftnomad.model.node import Node, NodeEvent
from raftnomad.model.status import NodeStatus
from raftnomad.sdk.agent_protocol import HeartbeatRequest, HeartbeatResponse, RegisterRequest
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)

FIRST_HEARTBEAT_MAX_S = 10.0
HEARTBEAT_PART = (0.4, 0.8)
"""Heartbeats are sent after this part of the time that the servers grant, at random in between."""
TTL_WHEN_UNKNOWN_S = 10.0
EVENTS_MAX = 10
_META_FILE = "node-meta.json"


class Client:
    """`start` returns when the node's state is restored; the rest happens in the background until `stop`."""

    def __init__(
        self,
        settings: ClientSettings,
        drivers: Mapping[str, Driver],
        connection: Connection,
        clock: Clock,
        random_bytes: RandomBytes,
        on_crash: Callable[[BaseException], None] | None = None,
    ) -> None:
        """on_crash: told when a background loop died of a bug; an agent without that loop should end."""
        self.settings = settings
        self.drivers = drivers
        self.clock = clock
        self.allocations: dict[str, AllocRunner] = {}
        """All that this node remembers, by id; finished ones too, until the servers forget them."""
        self.node = Node()
        self.dynamic_meta: metadata.Dynamic = {}
        self._connection = connection
        self._random_bytes = random_bytes
        self._local_state = LocalState(settings.state_path, durable=not settings.dev)
        self._reporter = AllocReporter(connection, clock, self._chance, interval_s=settings.report_interval_s)
        self._registered: Node | None = None
        self._ignored: dict[str, int] = {}
        self._destroying: set[str] = set()
        self._events: list[NodeEvent] = []
        self._ttl_s = TTL_WHEN_UNKNOWN_S
        self._last_contact_s = clock.monotonic_s()
        self._tasks = Tasks("client", on_crash)

    @property
    def node_id(self) -> str:
        return self.node.id

    @property
    def seconds_since_contact(self) -> float:
        """Since a server last answered a heartbeat."""
        return self.clock.monotonic_s() - self._last_contact_s

    @property
    def heartbeat_ttl_s(self) -> float:
        return self._ttl_s

    def statistics(self) -> dict[str, str]:
        """What `agent/self` and `agent-info` show of a client."""
        return {
            "heartbeat_ttl": format_duration(int(self._ttl_s * 1e9)),
            "known_servers": ",".join(self._connection.known_servers()),
            "last_heartbeat": format_duration(int(self.seconds_since_contact * 1e9)),
            "node_id": self.node.id,
            "num_allocations": str(sum(not runner.terminal for runner in self.allocations.values())),
        }

    async def start(self) -> None:
        """Raises DataDirectoryError when the state is in use, newer, or cannot be written."""
        self._local_state.open()
        self.settings.alloc_path.mkdir(parents=True, exist_ok=True)
        identity = Identity(
            node_id=self._local_state.identity("client-id", self._random_bytes),
            secret_id=self._local_state.identity("secret-id", self._random_bytes),
        )
        self._connection.identify(identity.node_id, identity.secret_id)
        saved_meta = self._local_state.read_blob(_META_FILE)
        if saved_meta is not None:
            self.dynamic_meta = msgspec.json.decode(saved_meta, type=dict[str, str | None])
        self.node = await self._fingerprint(identity)
        await self._restore()
        self._tasks.start(self._keep_alive(), "heartbeat")
        self._tasks.start(self._reporter.run(), "reports")
        self._tasks.start(self._keep_fingerprint(), "fingerprint")
        self._tasks.start(self._keep_clean(), "garbage collection")

    async def stop(self, kill_tasks: bool = False) -> None:
        """Tasks run on, for the next agent, unless they are to die with this one (as in dev)."""
        if not kill_tasks:
            await self._last_reports()
        await self._tasks.cancel()
        if kill_tasks:
            timeout_s = self.settings.max_kill_timeout_s
            await asyncio.gather(*(runner.kill_for_good(timeout_s) for runner in self.allocations.values()))
            for driver in self.drivers.values():
                # A task whose start was just interrupted is known to nobody else.
                await driver.destroy_others([])
        else:
            await asyncio.gather(*(runner.leave() for runner in self.allocations.values()))
        for driver in self.drivers.values():
            await driver.close()
        await self._connection.close()
        await self._local_state.close()

    # The node

    def set_meta(self, change: Mapping[str, str | None]) -> None:
        """Change the dynamic metadata; the servers hear of it with the next registration. Raises BadRequest."""
        self.dynamic_meta = metadata.apply(self.settings.meta, self.dynamic_meta, change)
        self._local_state.write_blob(_META_FILE, msgspec.json.encode(self.dynamic_meta))
        self.node = replace(self.node, meta=self._meta())
        self._tasks.start(self._register_logged(), "register")

    def _meta(self) -> dict[str, str]:
        return metadata.merged(self.settings.meta, self.dynamic_meta)

    async def _fingerprint(self, identity: Identity) -> Node:
        now_ns = self.clock.now_ns()
        return await fingerprint(self.settings, identity, self.drivers, self._meta(), self.node.drivers, now_ns)

    async def _keep_fingerprint(self) -> None:
        while True:
            await self.clock.sleep(self.settings.fingerprint_interval_s)
            await self.refresh()

    async def refresh(self) -> None:
        """Look at the machine again; the servers are told when something is different."""
        before = self.node
        self.node = await self._fingerprint(Identity(node_id=before.id, secret_id=before.secret_id))
        self._events += driver_fingerprint.events(before.drivers, self.node.drivers or {}, self.clock.now_ns())
        if self.node != self._registered:
            await self._register_logged()

    async def _register_logged(self) -> None:
        try:
            await self._register()
        except RaftnomadError as error:
            logger.warning("the node's changes are not registered yet: %s", error)

    async def _register(self) -> None:
        node = self.node
        request = RegisterRequest(node=replace(node, status=NodeStatus.READY))
        self._heard(await self._connection.register(request))
        self._registered = node

    async def _keep_alive(self) -> None:
        """Register, then heartbeats for ever; the allocations are watched from the first registration on."""
        await self._register_until_done()
        watcher = AllocWatcher(self._connection, self, self.clock, self._chance, wait_s=self.settings.poll_wait_s)
        self._tasks.start(watcher.run(), "allocations")
        if not self.settings.dev:
            await self.clock.sleep(self._chance() * min(FIRST_HEARTBEAT_MAX_S, self._ttl_s / 2))
        failures = 0
        while True:
            try:
                await self._heartbeat()
                failures = 0
            except NotFound:
                logger.warning("the servers do not know this node: registering it again")
                await self._register_until_done()
            except RaftnomadError as error:
                failures += 1
                logger.warning("heartbeat failed: %s", error)
            self._stop_disconnected()
            await self.clock.sleep(self._pause_s(failures))

    async def _register_until_done(self) -> None:
        failures = 0
        while True:
            try:
                await self._register()
                logger.info("node %s is registered", self.node.id)
                return
            except RaftnomadError as error:
                failures += 1
                logger.warning("the node can't be registered yet: %s", error)
                self._stop_disconnected()
                await self.clock.sleep(pause_s(failures, self._chance()))

    async def _heartbeat(self) -> None:
        events = tuple(self._events[:EVENTS_MAX])
        request = HeartbeatRequest(node_id=self.node.id, status=NodeStatus.READY, events=events)
        self._heard(await self._connection.heartbeat(request))
        del self._events[: len(events)]

    def _heard(self, response: HeartbeatResponse) -> None:
        self._last_contact_s = self.clock.monotonic_s()
        if response.heartbeat_ttl_ns > 0:
            self._ttl_s = response.heartbeat_ttl_ns / 1e9

    def _pause_s(self, failures: int) -> float:
        if failures:
            return min(pause_s(failures, self._chance()), self._ttl_s / 2)
        low, high = HEARTBEAT_PART
        return self._ttl_s * (low + (high - low) * self._chance())

    # Allocations

    async def _restore(self) -> None:
        """Take over what the last agent on this node left, and end what it started without knowing it."""
        records = self._local_state.load()
        handles = [task.handle for record in records for task in record.tasks.values() if task.handle is not None]
        for name, driver in self.drivers.items():
            for task_id in await driver.destroy_others([h.task_id for h in handles if h.driver == name]):
                logger.warning("%s task %s was running without this client's knowledge: ended", name, task_id)
        for record in records:
            alloc = record.allocation
            self.allocations[alloc.id] = AllocRunner(alloc, self._surroundings(), record=record)
        for runner in self.allocations.values():
            runner.start()

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            settings=self.settings,
            drivers=self.drivers,
            node=lambda: self.node,
            local_state=self._local_state,
            reporter=self._reporter,
            clock=self.clock,
            chance=self._chance,
        )

    def modify_indexes(self) -> Mapping[str, int]:
        """For the watcher, as are the next three."""
        known = {id: runner.alloc.alloc_modify_index for id, runner in self.allocations.items()}
        return {**self._ignored, **known}

    def carry_out(self, changes: Plan) -> None:
        for alloc in changes.start:
            previous = self.allocations.get(alloc.previous_allocation)
            runner = AllocRunner(alloc, self._surroundings(), previous=previous)
            self.allocations[alloc.id] = runner
            runner.start()
        for alloc in changes.update:
            known = self.allocations.get(alloc.id)
            if known is not None:
                known.update(alloc)
        for alloc in (*changes.decline, *changes.ignore):
            self._ignored[alloc.id] = alloc.alloc_modify_index
        for alloc in changes.decline:
            self._reporter.note(declined(alloc, self.clock.now_ns()))

    def confirm(self, alloc_ids: Mapping[str, int]) -> None:
        for id in alloc_ids:
            runner = self.allocations.get(id)
            if runner is not None:
                runner.confirm()

    def forget(self, alloc_ids: tuple[str, ...]) -> None:
        for id in alloc_ids:
            self._ignored.pop(id, None)
            runner = self.allocations.get(id)
            if runner is not None and id not in self._destroying:
                self._destroying.add(id)
                self._tasks.start(self._destroy(id, runner), f"destroy {id}")

    async def _destroy(self, alloc_id: str, runner: AllocRunner) -> None:
        try:
            await runner.destroy()
            del self.allocations[alloc_id]
        finally:
            self._destroying.discard(alloc_id)

    def _stop_disconnected(self) -> None:
        for runner in self.allocations.values():
            limit_s = disconnect.stop_after_s(runner.group)
            if limit_s is not None and self.seconds_since_contact > limit_s and not runner.terminal:
                logger.warning("allocation %s is stopped: no server has answered for too long", runner.alloc.id)
                runner.stop()

    async def _last_reports(self) -> None:
        """A short chance for what was noted to reach the servers; what does not is said by the next agent."""
        try:
            await asyncio.wait_for(self._reporter.flushed(), 2.0)
        except TimeoutError:
            logger.info("stopping before all reports were acknowledged")

    # Garbage

    async def collect_garbage(self) -> None:
        """Remove the files of all allocations that have ended."""
        for runner in list(self.allocations.values()):
            if self.is_collectable(runner):
                await runner.collect()

    def is_collectable(self, runner: AllocRunner) -> bool:
        return runner.terminal and not runner.collected and self._reporter.is_acknowledged(runner.report())

    async def _keep_clean(self) -> None:
        limits = garbage.Limits(
            max_allocs=self.settings.gc_max_allocs,
            disk_percent=self.settings.gc_disk_usage_percent,
            inode_percent=self.settings.gc_inode_usage_percent,
        )
        while True:
            await self.clock.sleep(self.settings.gc_interval_s)
            finished = [
                garbage.Finished(id=id, finished_ns=runner.finished_ns)
                for id, runner in self.allocations.items()
                if self.is_collectable(runner)
            ]
            disk = await asyncio.to_thread(storage.measure, self.settings.alloc_path)
            usage = garbage.Usage(
                allocs=sum(not runner.collected for runner in self.allocations.values()),
                disk_percent=disk.used_percent,
                inode_percent=disk.inodes_used_percent,
            )
            for id in garbage.choose(finished, usage, limits):
                await self.allocations[id].collect()

    def _chance(self) -> float:
        return int.from_bytes(self._random_bytes(4), "big") / 2**32
