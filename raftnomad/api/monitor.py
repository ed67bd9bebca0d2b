"""The log of an agent, line by line as it is written: of this agent, or of a node or server that is named."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol

from raftnomad.api import answers, elsewhere
from raftnomad.api.elsewhere import AskServers, AtNode, Here, OfNode
from raftnomad.api.forward import Forwarder, ServerList, hops
from raftnomad.errors import BadRequest, NotBuilt, RaftnomadError
from raftnomad.model import wire
from raftnomad.server.server import Server
from raftnomad.web import Answer, Request, Stream

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")
HEARTBEAT_S = 1.0

LogLines = Callable[[str, bool], AsyncIterator[str]]
"""`lines(level, as_json)`: what is logged from now on, at this level and above."""


class Node(Protocol):
    """The client in this process, as far as it matters here."""

    @property
    def node_id(self) -> Callable[[], str]: ...


class Monitor:
    """server, node, servers: what this agent is, and whom it can ask."""

    def __init__(
        self,
        lines: LogLines,
        *,
        server: Server | None,
        node: Node | None,
        servers: ServerList | None,
        forwarder: Forwarder,
    ) -> None:
        self._lines = lines
        self._server = server
        self._node = node
        self._servers = servers
        self._forwarder = forwarder

    async def follow(self, request: Request) -> Answer:
        level = (request.get("log_level") or "INFO").upper()
        if level not in LEVELS:
            raise BadRequest(f"Unknown log level: {request.get('log_level')}")
        _refuse_two_targets(request)
        as_json, plain = _boolean(request, "log_json", "log json"), _boolean(request, "plain", "plain")
        elsewhere_asked = await self._asked_elsewhere(request)
        if elsewhere_asked is not None:
            return elsewhere_asked
        lines = self._lines(level, as_json)
        if plain:
            return Stream(frames=_text(lines), content_type=answers.PLAIN)
        return Stream(frames=_frames(lines))

    async def export(self, request: Request) -> Answer:
        _refuse_two_targets(request)
        if not request.get("service_name") and not request.get("on_disk"):
            raise BadRequest("Either -service-name or -on-disk must be set")
        raise NotBuilt("raftnomad has not built this yet: exporting logs; `nomad monitor` follows them")

    async def _asked_elsewhere(self, request: Request) -> Answer | None:
        if node_id := request.get("node_id"):
            return await self._of_node(node_id, request)
        name = request.get("server_id")
        if not name or (self._server is not None and self._is_this_server(self._server, name)):
            return None
        if self._server is None:
            assert self._servers is not None
            return await self._forwarder.to_servers(self._servers, request)
        for member in self._server.log.members:
            if name in (member.id, member.name, f"{member.name}.{self._server.region}"):
                return await self._forwarder.to_server(member.rpc_address, _without_target(request))
        if name == "leader" and self._server.log.leader is not None:
            return await self._forwarder.to_server(self._server.log.leader.rpc_address, _without_target(request))
        raise BadRequest(f"unknown Nomad server {name}")

    @staticmethod
    def _is_this_server(server: Server, name: str) -> bool:
        own = (server.log.server_id, server.name, f"{server.name}.{server.region}")
        return name in own or (name == "leader" and server.log.is_leader)

    async def _of_node(self, node_id: str, request: Request) -> Answer | None:
        state = self._server.state if self._server is not None else None
        own = self._node.node_id() if self._node is not None else ""
        try:
            place = elsewhere.place(OfNode(node_id), state, own, lambda _alloc: False, hops(request) > 0)
        except RaftnomadError as error:
            text = str(error).replace(f"Unknown node {node_id}", f'Unknown node "{node_id}"')
            raise RaftnomadError(f"RPC Error:: {error.status},{text}") from None
        match place:
            case Here():
                return None
            case AtNode(address, tls):
                return await self._forwarder.to_node(address, tls, _without_target(request))
            case AskServers():
                assert self._servers is not None
                return await self._forwarder.to_servers(self._servers, request)


def _refuse_two_targets(request: Request) -> None:
    if request.get("node_id") and request.get("server_id"):
        raise BadRequest("Cannot target node and server simultaneously")


def _boolean(request: Request, name: str, words: str) -> bool:
    value = request.get(name)
    if value in ("", "0", "f", "F", "FALSE", "false", "False"):
        return False
    if value in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    raise BadRequest(f'Unknown option for {words}: strconv.ParseBool: parsing "{value}": invalid syntax')


def _without_target(request: Request) -> Request:
    return replace(request, query=tuple(item for item in request.query if item[0] not in ("node_id", "server_id")))


async def _text(lines: AsyncIterator[str]) -> AsyncIterator[bytes]:
    async with _closing(lines):
        async for line in lines:
            yield line.encode() + b"\n"


async def _frames(lines: AsyncIterator[str]) -> AsyncIterator[bytes]:
    """Nomad's frames; an empty one when nothing was logged for a while."""
    async with _closing(lines):
        waiting = asyncio.ensure_future(anext(lines, None))
        try:
            while True:
                await asyncio.wait([waiting], timeout=HEARTBEAT_S)
                if not waiting.done():
                    yield b"{}"
                    continue
                line = waiting.result()
                if line is None:
                    return
                yield wire.encode({"Data": base64.b64encode(line.encode() + b"\n").decode()})
                waiting = asyncio.ensure_future(anext(lines, None))
        finally:
            waiting.cancel()
            await asyncio.wait([waiting])


def _closing(lines: Any) -> Any:
    return aclosing(lines)
