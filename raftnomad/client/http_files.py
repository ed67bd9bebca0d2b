"""`/v1/client/fs/*`: the files and logs of the allocations on this node.

Nomad refuses in different ways here: `cat` and `readat` answer 200 with the error as the file's content, `stream` and
`logs` answer 400 where the others would say 404 or 500.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from raftnomad.client import alloc_files, content_type, http_request, log_reader
from raftnomad.client.alloc_runner import AllocRunner
from raftnomad.client.client import Client
from raftnomad.errors import BadRequest, NotFound, RaftnomadError
from raftnomad.model.row import ZERO_TIME
from raftnomad.web import Answer, Request, Response, Route, Stream

ANY = ("GET", "PUT", "POST", "DELETE")
TEXT = "text/plain; charset=utf-8"
_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}


def routes(client: Client) -> list[Route]:
    serve, fs = FileRoutes(client), "/v1/client/fs"
    return [
        Route(ANY, f"{fs}/ls/{{id}}", serve.list_files, "namespace:read-fs"),
        Route(ANY, f"{fs}/stat/{{id}}", serve.describe_file, "namespace:read-fs"),
        Route(ANY, f"{fs}/cat/{{id}}", serve.cat, "namespace:read-fs"),
        Route(ANY, f"{fs}/readat/{{id}}", serve.read_at, "namespace:read-fs"),
        Route(ANY, f"{fs}/stream/{{id}}", serve.stream_file, "namespace:read-fs"),
        Route(ANY, f"{fs}/logs/{{id}}", serve.logs, "namespace:read-logs"),
        Route(ANY, f"{fs}/{{rest}}", serve.no_such_function, "none"),
    ]


class FileRoutes:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def list_files(self, request: Request) -> Answer:
        entries = alloc_files.list_directory(self._root(request), request.get("path", "/"))
        return Response(body=msgspec.json.encode(entries))

    async def describe_file(self, request: Request) -> Answer:
        path = http_request.path(request)
        return Response(body=msgspec.json.encode(alloc_files.describe(self._root(request), path)))

    async def cat(self, request: Request) -> Answer:
        return await _error_as_body(self._cat, request)

    async def _cat(self, request: Request) -> Answer:
        path, root = http_request.path(request), self._root(request)
        with alloc_files.open_file(root, path) as file:
            start = file.read(log_reader.PIECE_BYTES)
        if len(start) < log_reader.PIECE_BYTES:
            return _file_content(start)
        pieces = log_reader.read_file(root, path, offset=0, origin="start", follow=False)
        return Stream(frames=_raw(pieces), content_type=_content_type(start), headers=_SAFE_HEADERS)

    async def read_at(self, request: Request) -> Answer:
        return await _error_as_body(self._read_at, request)

    async def _read_at(self, request: Request) -> Answer:
        path = http_request.path(request)
        offset = http_request.integer(request.get("offset"), "offset")
        limit = http_request.integer(request.get("limit", "0"), "limit")
        root = self._root(request)
        with alloc_files.open_file(root, path) as file:
            if offset < 0:
                raise RaftnomadError(f"can't seek to offset {offset}: seek {root / path}: invalid argument")
            file.seek(offset)
            return _file_content(file.read(limit if limit > 0 else -1))

    async def stream_file(self, request: Request) -> Answer:
        path = http_request.path(request)
        follow = http_request.boolean(request, "follow", "true", RaftnomadError)
        offset = http_request.integer(request.get("offset", "0"), "offset")
        origin = http_request.origin(request)
        root = self._root(request)
        try:
            alloc_files.open_file(root, path).close()
        except RaftnomadError as error:
            raise BadRequest(str(error)) from None
        frames = _frames(log_reader.read_file(root, path, offset=offset, origin=origin, follow=follow))
        if follow:
            return Stream(frames=frames, content_type=TEXT)
        first = await anext(frames, None)
        if first is None:
            # What was never written has no type.
            return Response(content_type="")
        return Stream(frames=_after(first, frames), content_type=TEXT)

    async def logs(self, request: Request) -> Answer:
        if not request.parameters.get("id"):
            raise BadRequest("must provide a valid alloc id")
        task, kind = request.get("task"), request.get("type")
        if not task:
            raise BadRequest("must provide task name")
        follow = http_request.boolean(request, "follow", "false", BadRequest)
        plain = http_request.boolean(request, "plain", "false", BadRequest)
        if kind not in ("stdout", "stderr"):
            raise BadRequest("must provide log type (stdout/stderr)")
        try:
            offset = http_request.integer(request.get("offset", "0"), "offset")
        except RaftnomadError as error:
            raise BadRequest(str(error)) from None
        origin = http_request.origin(request)
        runner = http_request.allocation(self._client, request)
        root = _log_root(runner, task, kind)
        pieces = log_reader.read_log(
            root, task, kind, offset=offset, origin=origin, follow=follow, ended=lambda: runner.tasks[task].dead
        )
        if plain:
            return Stream(frames=_raw(pieces), content_type="text/plain")
        return Stream(frames=_frames(pieces), content_type="application/json")

    async def no_such_function(self, request: Request) -> Answer:
        raise NotFound("Invalid method")

    def _root(self, request: Request) -> Path:
        return http_request.allocation(self._client, request).directory.root


def _log_root(runner: AllocRunner, task: str, kind: str) -> Path:
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


async def _error_as_body(handler: Callable[[Request], Awaitable[Answer]], request: Request) -> Answer:
    """`cat` and `readat` answer 200 even then, with the error as the text: Nomad's clients expect it."""
    try:
        return await handler(request)
    except RaftnomadError as error:
        return Response(body=str(error).encode(), content_type=TEXT)


def _file_content(body: bytes) -> Response:
    """Its type is told even when there is nothing in it."""
    kind = _content_type(body)
    return Response(body=body, content_type=kind, headers={**_SAFE_HEADERS, "Content-Type": kind})


def _content_type(start: bytes) -> str:
    return content_type.harmless(content_type.detect(start))


async def _after(first: bytes, frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for frame in frames:
        yield frame


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
