from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import unquote

import pytest

from raftnomad.api.api import Api
from raftnomad.api.serve import HttpServer, parse_query
from raftnomad.clock import SystemClock
from raftnomad.fsm.commands import Command
from raftnomad.fsm.machine import StateMachine
from raftnomad.fsm.outcome import Applied
from raftnomad.model import wire
from raftnomad.model.row import Row
from raftnomad.scheduler.process import InlineScheduler
from raftnomad.server.server import Server
from raftnomad.server.settings import ServerSettings
from raftnomad.web import Request, Response
from tests.local_log import LocalLog


class Asked:
    """An API and short ways to ask it."""

    def __init__(self, server: Server, log: LocalLog, api: Api) -> None:
        self.server = server
        self.log = log
        self.api = api

    async def __call__(
        self, method: str, target: str, body: object = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        path, _, query = target.partition("?")
        data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else wire.encode(body)
        request = Request(
            method=method,
            path=unquote(path),
            query=parse_query(query),
            raw_query=query,
            body=data,
            headers={name.lower(): value for name, value in (headers or {}).items()},
        )
        answer = await self.api.handle(request)
        assert isinstance(answer, Response)
        return answer

    async def get(self, target: str) -> Any:
        answer = await self("GET", target)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    async def put(self, target: str, body: object = b"") -> Any:
        answer = await self("PUT", target, body)
        assert answer.status == 200, answer
        return json.loads(answer.body) if answer.body else None

    async def refused(self, method: str, target: str, body: object = b"") -> tuple[int, str]:
        answer = await self(method, target, body)
        assert answer.status >= 400, answer
        return answer.status, answer.body.decode()

    async def propose(self, command: Command) -> Applied:
        return await self.server.propose(command)


def request_job(job: Row, **fields: Any) -> dict[str, Any]:
    """A registration as people write it: what is zero is not said."""
    return {"Job": _said(json.loads(wire.encode(job))), **fields}


def _said(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _said(item) for key, item in value.items() if _said(item)}
    if isinstance(value, list):
        return [_said(item) for item in value]
    return value


@pytest.fixture
async def ask() -> AsyncIterator[Asked]:
    """A server of a cluster of one whose leader's duties do not run: nothing happens but what a test asks for."""
    machine = StateMachine()
    log = LocalLog(machine)
    server = Server(
        log=log,
        machine=machine,
        clock=SystemClock(),
        scheduling=InlineScheduler(),
        settings=ServerSettings(name="server1"),
    )
    api = Api(server=server)
    yield Asked(server, log, api)
    await api.close()


@pytest.fixture
async def http(ask: Asked) -> AsyncIterator[str]:
    """The same behind a real port; its URL."""
    server = HttpServer(ask.api.handle)
    port = await server.listen_on("127.0.0.1", 0)
    yield f"http://127.0.0.1:{port}"
    await server.stop(0)
