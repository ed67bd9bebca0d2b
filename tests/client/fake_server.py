"""A server as a client agent sees it, in one file: private routes on loopback, a table of allocations, no raft."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import web
from msgspec.structs import replace

from raftnomad.model.allocation import Allocation
from raftnomad.model.node import Node
from raftnomad.sdk import agent_protocol as protocol


class FakeServer:
    """Set `allocations` with `place` and `change`; read `nodes`, `heartbeats` and `reports`."""

    def __init__(self, *, ttl_s: float = 10.0) -> None:
        self.index = 1
        self.nodes: dict[str, Node] = {}
        self.allocations: dict[str, Allocation] = {}
        self.reports: list[protocol.AllocationReport] = []
        self.heartbeats = 0
        self.registrations = 0
        self.failing = False
        """Answer everything with 500 "No cluster leader"."""
        self.address = ""
        self.tells: tuple[str, ...] = ()
        self._ttl_ns = int(ttl_s * 1e9)
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> str:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_put(f"{protocol.PREFIX}/register", self._register)
        app.router.add_put(f"{protocol.PREFIX}/heartbeat", self._heartbeat)
        app.router.add_get(f"{protocol.PREFIX}/allocations", self._allocations)
        app.router.add_put(f"{protocol.PREFIX}/fetch", self._fetch)
        app.router.add_put(f"{protocol.PREFIX}/report", self._report)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        server = site._server
        assert isinstance(server, asyncio.Server)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return self.address

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def place(self, alloc: Allocation) -> None:
        await self.change(alloc)

    async def change(self, alloc: Allocation) -> None:
        async with self._changed:
            self.index += 1
            self.allocations[alloc.id] = replace(alloc, alloc_modify_index=self.index, modify_index=self.index)
            self._changed.notify_all()

    async def ask_to_stop(self, alloc_id: str) -> None:
        await self.change(replace(self.allocations[alloc_id], desired_status="stop"))

    async def collect(self, alloc_id: str) -> None:
        async with self._changed:
            self.index += 1
            del self.allocations[alloc_id]
            self._changed.notify_all()

    def last(self, alloc_id: str) -> protocol.AllocationReport | None:
        return next((report for report in reversed(self.reports) if report.id == alloc_id), None)

    async def reported(
        self, alloc_id: str, condition: Callable[[protocol.AllocationReport], bool], timeout_s: float = 10.0
    ) -> protocol.AllocationReport:
        """The first report about the allocation, from the newest on, for which the condition holds."""
        async with asyncio.timeout(timeout_s), self._changed:
            while True:
                report = self.last(alloc_id)
                if report is not None and condition(report):
                    return report
                await self._changed.wait()

    async def status(self, alloc_id: str, status: str) -> protocol.AllocationReport:
        return await self.reported(alloc_id, lambda report: report.client_status == status)

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def _register(self, request: web.Request) -> web.Response:
        if self.failing:
            return _no_leader()
        node = (await _body(request, protocol.RegisterRequest)).node
        assert request.headers[protocol.NODE_HEADER] == node.id
        assert request.headers[protocol.SECRET_HEADER] == node.secret_id
        self.nodes[node.id] = node
        self.registrations += 1
        return _answer(self._heard())

    async def _heartbeat(self, request: web.Request) -> web.Response:
        if self.failing:
            return _no_leader()
        beat = await _body(request, protocol.HeartbeatRequest)
        if beat.node_id not in self.nodes:
            return web.Response(status=404, text="node not found")
        self.heartbeats += 1
        return _answer(self._heard())

    def _heard(self) -> protocol.HeartbeatResponse:
        return protocol.HeartbeatResponse(index=self.index, heartbeat_ttl_ns=self._ttl_ns, servers=self.tells)

    async def _allocations(self, request: web.Request) -> web.Response:
        if self.failing:
            return _no_leader()
        index = int(request.query["index"])
        wait_s = float(request.query["wait"].removesuffix("ms")) / 1000
        try:
            async with asyncio.timeout(wait_s), self._changed:
                await self._changed.wait_for(lambda: self.index > index)
        except TimeoutError:
            pass
        listed = {alloc.id: alloc.alloc_modify_index for alloc in self.allocations.values()}
        return _answer(protocol.AllocationsResponse(index=self.index, allocations=listed))

    async def _fetch(self, request: web.Request) -> web.Response:
        wanted = (await _body(request, protocol.FetchRequest)).ids
        found = tuple(self.allocations[id] for id in wanted if id in self.allocations)
        return _answer(protocol.FetchResponse(index=self.index, allocations=found))

    async def _report(self, request: web.Request) -> web.Response:
        if self.failing:
            return _no_leader()
        async with self._changed:
            for report in (await _body(request, protocol.ReportRequest)).reports:
                self.reports.append(report)
                known = self.allocations.get(report.id)
                if known is not None:
                    self.allocations[report.id] = replace(
                        known, client_status=report.client_status, task_states=report.task_states
                    )
            self._changed.notify_all()
        return _answer(protocol.ReportResponse(index=self.index))


async def _body(request, kind):  # type: ignore[no-untyped-def]
    return msgspec.msgpack.decode(await request.read(), type=kind)


def _answer(response: object) -> web.Response:
    return web.Response(body=msgspec.msgpack.encode(response), content_type=protocol.CONTENT_TYPE)


def _no_leader() -> web.Response:
    return web.Response(status=500, text="No cluster leader")
