"""What a client agent says of itself; everything else it asks the servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from raftnomad.api import answers
from raftnomad.api.agent import health_answer
from raftnomad.api.forward import ServerList
from raftnomad.errors import BadRequest, NotBuilt
from raftnomad.web import Answer, Request, Response, Route


class Agent:
    def __init__(
        self,
        configuration: Mapping[str, Any],
        statistics: Callable[[], dict[str, str]],
        servers: ServerList | None,
    ) -> None:
        self._configuration = configuration
        self._statistics = statistics
        self._servers = servers

    def routes(self) -> list[Route]:
        put = ("PUT", "POST")
        return [
            Route(("GET",), "/v1/agent/self", self._self, "agent:read"),
            Route(("GET",), "/v1/agent/health", self._health, "none"),
            Route(("GET",), "/v1/agent/servers", self._list_servers, "agent:read"),
            Route(put, "/v1/agent/servers", self._set_servers, "agent:write"),
            Route(put, "/v1/agent/join", self._server_only, "agent:write"),
            Route(put, "/v1/agent/force-leave", self._server_only, "agent:write"),
            Route(("GET",), "/v1/agent/schedulers", self._schedulers, "agent:read"),
            Route(("GET",), "/v1/agent/schedulers/config", self._schedulers, "agent:read"),
        ]

    async def _self(self, _request: Request) -> Answer:
        return answers.json({"config": self._configuration, "member": None, "stats": {"client": self._statistics()}})

    async def _health(self, request: Request) -> Answer:
        asked = request.get_all("type") or ["client"]
        parts: dict[str, dict[str, Any]] = {}
        if "client" in asked:
            parts["client"] = {"ok": True, "message": "ok"}
        if "server" in asked:
            parts["server"] = {"ok": False, "message": "server not enabled"}
        return health_answer(parts)

    async def _list_servers(self, _request: Request) -> Answer:
        return answers.json(list(self._servers.in_order()) if self._servers is not None else [])

    async def _set_servers(self, request: Request) -> Answer:
        """Forget the servers that were known; these are asked from now on."""
        addresses = [address for address in request.get_all("address") if address]
        if not addresses:
            raise BadRequest("missing server address")
        if self._servers is not None:
            self._servers.reconfigure(addresses)
        return Response()

    async def _server_only(self, _request: Request) -> Answer:
        raise NotBuilt("Invalid method")

    async def _schedulers(self, _request: Request) -> Answer:
        raise BadRequest("Server only endpoint")
