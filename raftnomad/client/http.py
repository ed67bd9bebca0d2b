"""The routes that a client agent serves itself: `/v1/client/*` of allocations and of the node that are its own.

Whoever receives a request decides first where the allocation is; here an unknown one is an error.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from raftnomad.client import alloc_actions, http_files, http_request, metadata, usage
from raftnomad.client.alloc_runner import AllocRunner
from raftnomad.client.client import Client
from raftnomad.client.http_files import ANY
from raftnomad.client.task_runner import TaskRunner
from raftnomad.errors import BadRequest, NotBuilt, NotFound, RaftnomadError
from raftnomad.model.row import ZERO_TIME
from raftnomad.web import Answer, Request, Response, Route

WRITE = ("PUT", "POST")


def routes(client: Client) -> list[Route]:
    serve, alloc = ClientRoutes(client), "/v1/client/allocation/{id}"
    return [
        Route(ANY, f"{alloc}/stats", serve.allocation_stats, "namespace:read-job"),
        Route(("GET",), f"{alloc}/checks", serve.allocation_checks, "namespace:read-job"),
        Route(("GET",), "/v1/allocation/{id}/checks", serve.allocation_checks, "namespace:read-job"),
        Route(ANY, f"{alloc}/restart", serve.restart, "namespace:alloc-lifecycle"),
        Route(WRITE, f"{alloc}/signal", serve.signal, "namespace:alloc-lifecycle"),
        Route(ANY, f"{alloc}/gc", serve.collect, "namespace:submit-job"),
        Route(("GET",), f"{alloc}/exec", serve.execute, "namespace:alloc-exec"),
        Route(ANY, f"{alloc}/pause", serve.pause, "namespace:read-job"),
        Route(("GET",), f"{alloc}/snapshot", serve.snapshot, "none"),
        Route(ANY, "/v1/client/allocation/{rest}", serve.no_such_action, "none"),
        *http_files.routes(client),
        Route(ANY, "/v1/client/stats", serve.host_stats, "node:read"),
        Route(ANY, "/v1/client/gc", serve.collect_all, "node:write"),
        Route(("GET",), "/v1/client/metadata", serve.read_metadata, "node:read"),
        Route(("POST",), "/v1/client/metadata", serve.write_metadata, "node:write"),
    ]


class ClientRoutes:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._meter: usage.Meter | None = None
        self._last_usages: WeakKeyDictionary[TaskRunner, dict[str, Any]] = WeakKeyDictionary()

    # Allocations

    async def restart(self, request: Request) -> Answer:
        runner = self._allocation(request)
        body = http_request.json_object(request.body, RaftnomadError) if request.body.strip() else {}
        task = http_request.text(body, "TaskName")
        all_tasks = body.get("alltasks", False)
        if not isinstance(all_tasks, bool):
            raise RaftnomadError(http_request.wrong_type(all_tasks, ".AllTasks", "bool"))
        alloc_actions.restart(runner, task, all_tasks=all_tasks)
        return _json({"Index": 0})

    async def signal(self, request: Request) -> Answer:
        if not request.body:
            raise BadRequest("Failed to decode body: Request body is empty")
        try:
            body = http_request.json_object(request.body, BadRequest)
        except BadRequest as error:
            raise BadRequest(f"Failed to decode body: {error}") from None
        task, signal = http_request.text(body, "Task"), http_request.text(body, "Signal")
        await alloc_actions.signal(self._allocation(request), task, signal)
        return _json({"Index": 0})

    async def collect(self, request: Request) -> Answer:
        runner = self._allocation(request)
        if not runner.terminal:
            raise RaftnomadError("No such allocation on client, or allocation not eligible for GC")
        if not runner.collected:
            await runner.collect()
        return Response()

    async def allocation_stats(self, request: Request) -> Answer:
        runner, wanted = self._allocation(request), request.get("task")
        running: dict[str, dict[str, Any]] = {}
        ended: dict[str, dict[str, Any]] = {}
        for name, task in runner.tasks.items():
            driver = runner.driver(task.task.driver)
            if (wanted and name != wanted) or not isinstance(driver, usage.TellsProcesses):
                continue
            if task.handle is not None:
                running[name] = self._measure().task(await driver.pids(task.handle))
                self._last_usages[task] = running[name]
            elif task.state.started_at != ZERO_TIME:
                ended[name] = self._last_usages.get(task) or self._measure().task([])
        return _json(usage.of_allocation(running, ended))

    async def allocation_checks(self, request: Request) -> Answer:
        runner = self._allocation(request)
        services = [*(runner.group.services or ()), *(s for t in runner.group.tasks or () for s in t.services or ())]
        if any(service.checks for service in services) and not runner.terminal:
            raise NotBuilt("service checks are not built yet")
        return _json(None)

    async def execute(self, request: Request) -> Answer:
        if request.headers.get("upgrade", "").lower() != "websocket":
            raise RaftnomadError("websocket connection not found in context")
        raise NotBuilt("running commands in tasks is not built yet")

    async def pause(self, request: Request) -> Answer:
        """Tasks with a schedule are Nomad Enterprise's; its command line knows this answer."""
        self._allocation(request)
        raise RaftnomadError("Enterprise only")

    async def snapshot(self, request: Request) -> Answer:
        self._allocation(request)
        raise NotBuilt("snapshots of an allocation's disk are not built yet")

    async def no_such_action(self, request: Request) -> Answer:
        raise NotFound("resource not found")

    # The node

    async def host_stats(self, request: Request) -> Answer:
        return _json(self._measure().host(self._client.settings.alloc_path))

    async def collect_all(self, request: Request) -> Answer:
        await self._client.collect_garbage()
        return Response()

    async def read_metadata(self, request: Request) -> Answer:
        return self._metadata()

    async def write_metadata(self, request: Request) -> Answer:
        if not request.body:
            raise BadRequest("Request body is empty")
        change = http_request.json_object(request.body, BadRequest).get("meta") or {}
        if not isinstance(change, dict):
            raise BadRequest(http_request.wrong_type(change, "NodeMetaApplyRequest.Meta", "map[string]*string"))
        for value in change.values():
            if value is not None and not isinstance(value, str):
                raise BadRequest(http_request.wrong_type(value, "NodeMetaApplyRequest.Meta", "string"))
        self._client.set_meta(change)
        return self._metadata()

    def _metadata(self) -> Response:
        static, dynamic = dict(self._client.settings.meta), self._client.dynamic_meta
        return _json({"Meta": metadata.merged(static, dynamic), "Dynamic": dynamic, "Static": static})

    # Small things

    def _allocation(self, request: Request) -> AllocRunner:
        return http_request.allocation(self._client, request)

    def _measure(self) -> usage.Meter:
        if self._meter is None:
            frequency = (self._client.node.attributes or {}).get("cpu.frequency", "0")
            self._meter = usage.Meter(self._client.clock, int(frequency))
        return self._meter


def _json(value: Any) -> Response:
    return Response(body=msgspec.json.encode(value))
