"""The routes that a client agent serves itself: `/v1/client/*` of allocations and of the node that are its own.

Whoever receives a request decides first where the allocation is; here an unknown one is an error.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from raftnomad.client import alloc_actions, alloc_files, content_type, log_reader, metadata
from raftnomad.client.alloc_runner import AllocRunner
from raftnomad.client.client import Client
from raftnomad.client.usage import Meter, TellsProcesses
from raftnomad.errors import BadRequest, NotBuilt, NotFound, RaftnomadError
from raftnomad.model.row import ZERO_TIME
from raftnomad.web import Answer, Request, Response, Route, Stream

ANY = ("GET", "PUT", "POST", "DELETE")
WRITE = ("PUT", "POST")
TEXT = "text/plain; charset=utf-8"
_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}


def routes(client: Client) -> list[Route]:
    serve = ClientRoutes(client)
    alloc, fs = "/v1/client/allocation/{id}", "/v1/client/fs"
    return [
        Route(ANY, f"{alloc}/stats", serve.allocation_stats, "namespace:read-job"),
        Route(("GET",), f"{alloc}/checks", serve.allocation_checks, "namespace:read-job"),
        Route(("GET",), "/v1/allocation/{id}/checks", serve.allocation_checks, "namespace:read-job"),
        Route(ANY, f"{alloc}/restart", serve.restart, "namespace:alloc-lifecycle"),
        Route(WRITE, f"{alloc}/signal", serve.signal, "namespace:alloc-lifecycle"),
        Route(ANY, f"{alloc}/gc", serve.collect, "namespace:submit-job"),
        Route(("GET",), f"{alloc}/snapshot", serve.snapshot, "none"),
        Route(ANY, "/v1/client/allocation/{rest}", serve.no_such_action, "none"),
        Route(ANY, f"{fs}/ls/{{id}}", serve.list_files, "namespace:read-fs"),
        Route(ANY, f"{fs}/stat/{{id}}", serve.describe_file, "namespace:read-fs"),
        Route(ANY, f"{fs}/cat/{{id}}", serve.cat, "namespace:read-fs"),
        Route(ANY, f"{fs}/readat/{{id}}", serve.read_at, "namespace:read-fs"),
        Route(ANY, f"{fs}/stream/{{id}}", serve.stream_file, "namespace:read-fs"),
        Route(ANY, f"{fs}/logs/{{id}}", serve.logs, "namespace:read-logs"),
        Route(ANY, f"{fs}/{{rest}}", serve.no_such_function, "none"),
        Route(ANY, "/v1/client/stats", serve.host_stats, "node:read"),
        Route(ANY, "/v1/client/gc", serve.collect_all, "node:write"),
        Route(("GET",), "/v1/client/metadata", serve.read_metadata, "node:read"),
        Route(("POST",), "/v1/client/metadata", serve.write_metadata, "node:write"),
    ]


class ClientRoutes:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._meter: Meter | None = None

    # Files

    async def list_files(self, request: Request) -> Answer:
        runner = self._allocation(request)
        return _json(alloc_files.list_directory(runner.directory.root, request.get("path", "/")))

    async def describe_file(self, request: Request) -> Answer:
        path = _path(request)
        return _json(alloc_files.describe(self._allocation(request).directory.root, path))

    async def cat(self, request: Request) -> Answer:
        return await _error_as_body(self._cat, request)

    async def _cat(self, request: Request) -> Answer:
        path = _path(request)
        root = self._allocation(request).directory.root
        with alloc_files.open_file(root, path) as file:
            start = file.read(log_reader.PIECE_BYTES)
        if len(start) < log_reader.PIECE_BYTES:
            return _file_content(start)
        pieces = log_reader.read_file(root, path, offset=0, origin="start", follow=False)
        return Stream(frames=_raw(pieces), content_type=_content_type(start), headers=_SAFE_HEADERS)

    async def read_at(self, request: Request) -> Answer:
        return await _error_as_body(self._read_at, request)

    async def _read_at(self, request: Request) -> Answer:
        path = _path(request)
        offset = _integer(request.get("offset"), "offset")
        limit = _integer(request.get("limit", "0"), "limit")
        root = self._allocation(request).directory.root
        with alloc_files.open_file(root, path) as file:
            if offset < 0:
                raise RaftnomadError(f"can't seek to offset {offset}: seek {root / path}: invalid argument")
            file.seek(offset)
            return _file_content(file.read(limit if limit > 0 else -1))

    async def stream_file(self, request: Request) -> Answer:
        path = _path(request)
        follow = _boolean(request, "follow", "true", RaftnomadError)
        offset = _integer(request.get("offset", "0"), "offset")
        origin = _origin(request)
        root = self._allocation(request).directory.root
        try:
            alloc_files.open_file(root, path).close()
        except RaftnomadError as error:
            raise BadRequest(str(error)) from None
        pieces = log_reader.read_file(root, path, offset=offset, origin=origin, follow=follow)
        return Stream(frames=_frames(pieces), content_type=TEXT)

    async def logs(self, request: Request) -> Answer:
        if not request.parameters.get("id"):
            raise BadRequest("must provide a valid alloc id")
        task, kind = request.get("task"), request.get("type")
        if not task:
            raise BadRequest("must provide task name")
        follow = _boolean(request, "follow", "false", BadRequest)
        plain = _boolean(request, "plain", "false", BadRequest)
        if kind not in ("stdout", "stderr"):
            raise BadRequest("must provide log type (stdout/stderr)")
        try:
            offset = _integer(request.get("offset", "0"), "offset")
        except RaftnomadError as error:
            raise BadRequest(str(error)) from None
        origin = _origin(request)
        runner = self._allocation(request)
        root = self._log_root(runner, task, kind)
        pieces = log_reader.read_log(
            root, task, kind, offset=offset, origin=origin, follow=follow, ended=lambda: runner.tasks[task].dead
        )
        if plain:
            return Stream(frames=_raw(pieces), content_type="text/plain")
        return Stream(frames=_frames(pieces), content_type="application/json")

    def _log_root(self, runner: AllocRunner, task: str, kind: str) -> Any:
        known = runner.tasks.get(task)
        if known is None:
            raise BadRequest(f'unknown task name "{task}"')
        if known.state.started_at == ZERO_TIME:
            raise NotFound(f'task "{task}" not started yet. No logs available')
        root = runner.directory.root
        disabled = known.task.log_config is not None and known.task.log_config.disabled
        if disabled or runner.collected or not log_reader.log_files(root, task, kind):
            raise NotFound(f'log entry for task "{task}" and log type "{kind}" not found')
        return root

    async def no_such_function(self, request: Request) -> Answer:
        raise NotFound("Invalid method")

    # Allocations

    async def restart(self, request: Request) -> Answer:
        runner = self._allocation(request)
        body = _object(request.body, RaftnomadError) if request.body.strip() else {}
        task = _text(body, "TaskName")
        all_tasks = body.get("alltasks", False)
        if not isinstance(all_tasks, bool):
            raise RaftnomadError(_wrong_type(all_tasks, ".AllTasks", "bool"))
        alloc_actions.restart(runner, task, all_tasks=all_tasks)
        return _json({"Index": 0})

    async def signal(self, request: Request) -> Answer:
        if not request.body:
            raise BadRequest("Failed to decode body: Request body is empty")
        try:
            body = _object(request.body, BadRequest)
        except BadRequest as error:
            raise BadRequest(f"Failed to decode body: {error}") from None
        await alloc_actions.signal(self._allocation(request), _text(body, "Task"), _text(body, "Signal"))
        return _json({"Index": 0})

    async def collect(self, request: Request) -> Answer:
        runner = self._allocation(request)
        if not runner.terminal:
            raise RaftnomadError("No such allocation on client, or allocation not eligible for GC")
        if not runner.collected:
            await runner.collect()
        return Response()

    async def allocation_stats(self, request: Request) -> Answer:
        runner = self._allocation(request)
        wanted = request.get("task")
        pids: dict[str, list[int]] = {}
        for name, task in runner.tasks.items():
            driver = runner.driver(task.task.driver)
            if (wanted and name != wanted) or task.handle is None or not isinstance(driver, TellsProcesses):
                continue
            pids[name] = await driver.pids(task.handle)
        return _json(self._measure().tasks(pids))

    async def allocation_checks(self, request: Request) -> Answer:
        runner = self._allocation(request)
        services = [*(runner.group.services or ()), *(s for t in runner.group.tasks or () for s in t.services or ())]
        if any(service.checks for service in services) and not runner.terminal:
            raise NotBuilt("service checks are not built yet")
        return _json(None)

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
        change = _object(request.body, BadRequest).get("meta") or {}
        if not isinstance(change, dict):
            raise BadRequest(_wrong_type(change, "NodeMetaApplyRequest.Meta", "map[string]*string"))
        for value in change.values():
            if value is not None and not isinstance(value, str):
                raise BadRequest(_wrong_type(value, "NodeMetaApplyRequest.Meta", "string"))
        self._client.set_meta(change)
        return self._metadata()

    def _metadata(self) -> Response:
        static, dynamic = dict(self._client.settings.meta), self._client.dynamic_meta
        return _json({"Meta": metadata.merged(static, dynamic), "Dynamic": dynamic, "Static": static})

    # Small things

    def _allocation(self, request: Request) -> AllocRunner:
        id = request.parameters.get("id", "")
        if not id:
            raise BadRequest("must provide a valid alloc id")
        if len(id) != 36:
            raise RaftnomadError("alloc lookup failed: index error: UUID must be 36 characters")
        runner = self._client.allocations.get(id)
        if runner is None:
            raise NotFound(f'Unknown allocation "{id}"')
        return runner

    def _measure(self) -> Meter:
        if self._meter is None:
            frequency = (self._client.node.attributes or {}).get("cpu.frequency", "0")
            self._meter = Meter(self._client.clock, int(frequency))
        return self._meter


async def _error_as_body(handler: Callable[[Request], Awaitable[Answer]], request: Request) -> Answer:
    """`cat` and `readat` answer 200 even then, with the error as the text: Nomad's clients expect it."""
    try:
        return await handler(request)
    except RaftnomadError as error:
        return Response(body=str(error).encode(), content_type=TEXT)


def _file_content(body: bytes) -> Response:
    return Response(body=body, content_type=_content_type(body), headers=_SAFE_HEADERS)


def _content_type(start: bytes) -> str:
    return content_type.harmless(content_type.detect(start))


async def _frames(pieces: AsyncIterator[log_reader.Piece]) -> AsyncIterator[bytes]:
    """Each piece as one JSON object; `{}` says that the stream lives."""
    async for piece in pieces:
        frame: dict[str, Any] = {}
        if piece.offset:
            frame["Offset"] = piece.offset
        if piece.data:
            frame["Data"] = base64.b64encode(piece.data).decode()
        if piece.file:
            frame["File"] = piece.file
        if piece.event:
            frame["FileEvent"] = piece.event
        yield msgspec.json.encode(frame)


async def _raw(pieces: AsyncIterator[log_reader.Piece]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        if piece.data:
            yield piece.data


def _json(value: Any) -> Response:
    return Response(body=msgspec.json.encode(value))


def _path(request: Request) -> str:
    if not request.parameters.get("id"):
        raise BadRequest("must provide a valid alloc id")
    path = request.get("path")
    if not path:
        raise BadRequest("must provide a file name")
    return path


def _integer(text: str, name: str) -> int:
    try:
        if not text.removeprefix("-").removeprefix("+").isdecimal():
            raise ValueError
        return int(text)
    except ValueError:
        raise RaftnomadError(f'error parsing {name}: strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _boolean(request: Request, name: str, default: str, error: type[RaftnomadError]) -> bool:
    value = request.get(name) or default
    if value in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if value in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise error(f'failed to parse {name} field to boolean: strconv.ParseBool: parsing "{value}": invalid syntax')


def _origin(request: Request) -> str:
    origin = request.get("origin") or "start"
    if origin not in ("start", "end"):
        raise BadRequest("origin must be start or end")
    return origin


def _object(body: bytes, error: type[RaftnomadError]) -> dict[str, Any]:
    """A JSON object by its keys in lower case, since Go does not mind their case."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError as problem:
        truncated = "truncated" in str(problem)
        raise error("unexpected EOF" if truncated else str(problem)) from None
    if not isinstance(value, dict):
        raise error(_wrong_type(value, "", "object"))
    return {key.lower(): item for key, item in value.items()}


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name.lower())
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RaftnomadError(_wrong_type(value, f".{name}", "string"))
    return value


def _wrong_type(value: Any, field: str, wanted: str) -> str:
    kinds = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    kind = kinds.get(type(value), "value")
    return f"json: cannot unmarshal {kind} into Go struct field {field} of type {wanted}"
