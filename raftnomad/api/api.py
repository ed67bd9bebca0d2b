"""The HTTP API of one agent, whatever it is: a server, a client agent, or both.

Every agent answers every request: itself, or by asking the agent that can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, assert_never

from raftnomad.api import agent_without_server, answers, cors, elsewhere, job_actions, websockets
from raftnomad.api.blocking import Watchers
from raftnomad.api.context import Context, FuzzyLimits
from raftnomad.api.elsewhere import AskServers, AtNode, Here
from raftnomad.api.encoded import EncodedAnswers
from raftnomad.api.event_buffer import EventBuffer
from raftnomad.api.forward import Forwarder, ServerList, hops
from raftnomad.api.job_intake import JobLimits
from raftnomad.api.metrics import metrics, server_gauges
from raftnomad.api.monitor import LogLines, Monitor
from raftnomad.api.router import Router
from raftnomad.api.routes import ANY, GET, other_routes, server_routes
from raftnomad.clock import Clock, SystemClock
from raftnomad.errors import MethodNotAllowed, NotFound, RaftnomadError
from raftnomad.members.service import Members
from raftnomad.model import wire
from raftnomad.server.server import Server
from raftnomad.telemetry import Registry, registry
from raftnomad.web import Answer, Request, Response, Route

USER_INTERFACE = b"<html><p>Nomad UI is disabled</p></html>"


@dataclass(frozen=True, kw_only=True)
class LocalClient:
    """What the API has to know of the client in this process."""

    routes: Sequence[Route]
    """`/v1/client/*`; also `/v1/allocation/{id}/checks`."""
    node_id: Callable[[], str]
    has_allocation: Callable[[str], bool]
    statistics: Callable[[], dict[str, str]] = dict
    """For `agent/self`: heartbeat_ttl, known_servers, num_allocations and so on."""


@dataclass(frozen=True, kw_only=True)
class AgentFacts:
    """What an agent shows of itself."""

    region: str = "global"
    configuration: Mapping[str, Any] = field(default_factory=dict)
    """As `agent/self` shows it; secrets already replaced by `<redacted>`."""
    job_limits: JobLimits = field(default_factory=JobLimits)
    fuzzy_limits: FuzzyLimits = field(default_factory=FuzzyLimits)
    prometheus: bool = True
    """`telemetry.prometheus_metrics`."""
    response_headers: Mapping[str, str] = field(default_factory=dict)
    """`http_api_response_headers`."""


class Api:
    """`handle` is the whole HTTP API. Exactly one of `server` (with `members`) and `servers` is needed.

    log_lines: what `agent/monitor` shows.
    client: when a client runs in this process too. servers: how a client agent finds them.
    """

    def __init__(
        self,
        *,
        server: Server | None = None,
        members: Members | None = None,
        client: LocalClient | None = None,
        servers: ServerList | None = None,
        forwarder: Forwarder | None = None,
        facts: AgentFacts | None = None,
        clock: Clock | None = None,
        telemetry: Registry = registry,
        reload: Callable[[], None] | None = None,
        log_lines: LogLines | None = None,
    ) -> None:
        assert server is not None or servers is not None, "an agent that is no server has to know some"
        self._server = server
        self._client = client
        self._servers = servers
        self._forwarder = forwarder or Forwarder()
        self._facts = facts or AgentFacts()
        self._clock = clock or SystemClock()
        self._telemetry = telemetry
        self._reload = reload
        self._log_lines = log_lines
        self._on_close: list[Callable[[], None]] = []
        self._encoded = EncodedAnswers()
        self._events = EventBuffer()
        self.watchers = Watchers(server.state.index if server is not None else 0)
        self._local = Router(client.routes if client is not None else ())
        self._router = Router([*self._own_routes(server, members), *other_routes()])

    def _own_routes(self, server: Server | None, members: Members | None) -> list[Route]:
        own = [Route(GET, "/v1/metrics", self._metrics, "none")]
        if self._log_lines is not None:
            monitor = Monitor(
                self._log_lines, server=server, node=self._client, servers=self._servers, forwarder=self._forwarder
            )
            own.append(Route(ANY, "/v1/agent/monitor", monitor.follow, "agent:read"))
            own.append(Route(GET, "/v1/agent/monitor/export", monitor.export, "agent:read"))
        if server is None:
            assert self._client is not None, "an agent is a server, a client, or both"
            agent = agent_without_server.Agent(self._facts.configuration, self._client.statistics, self._servers)
            return [*own, *agent.routes()]
        self._on_close.append(server.feed.subscribe(self.watchers.note))
        self._on_close.append(server.feed.subscribe(self._events.note))
        self._on_close.append(self._telemetry.gauges_from(partial(server_gauges, server)))
        context = Context(
            server=server,
            watchers=self.watchers,
            encoded=self._encoded,
            events=self._events,
            members=members,
            configuration=dict(self._facts.configuration),
            job_limits=self._facts.job_limits,
            fuzzy_limits=self._facts.fuzzy_limits,
            reload=self._reload,
            client_statistics=self._client.statistics if self._client is not None else None,
        )
        return [*own, *server_routes(context)]

    async def close(self) -> None:
        for end in self._on_close:
            end()
        self._on_close.clear()
        await self._encoded.close()
        await self._forwarder.close()

    async def handle(self, request: Request) -> Answer:
        """Answers everything; raises nothing but what cancels it."""
        redirect = self._router.redirect(request.path)
        if redirect and (self._server is not None or redirect.startswith("/v1/")):
            return _redirected(redirect, request)
        if not request.path.startswith(("/v1/", "/.well-known/")):
            return _outside_the_api(request)
        if (allowed := cors.preflight(request)) is not None:
            return allowed
        try:
            answer = await self._answer(request)
        except Exception as error:
            answer = answers.error(error, f"{request.method} {request.path}")
        if request.wants_websocket and websockets.goes_on_as_one(request):
            answer = websockets.refusal(answer)
        if answer.status == 404 and isinstance(answer, Response) and not answer.body:
            return answer
        return self._finished(answer, request)

    def _finished(self, answer: Answer, request: Request) -> Answer:
        headers = {**self._facts.response_headers, **cors.headers(request), **answer.headers}
        if not isinstance(answer, Response):
            return replace(answer, headers=headers)
        pretty = request.has("pretty") and request.get("pretty") != "0"
        if pretty and answer.body and answer.content_type.startswith("application/json"):
            answer = replace(answer, body=wire.pretty(answer.body))
        return replace(answer, headers=headers)

    async def _answer(self, request: Request) -> Answer:
        if websockets.goes_on_as_one(request):
            websockets.check(request)
            if self._server is not None and job_actions.is_action(request):
                await self._server.consistent_read()
                request = job_actions.as_exec(request, self._server.state, self._server.random_bytes)
        about = elsewhere.subject(request)
        if about is not None:
            self._check_region(request)
            return await self._answer_about(about, request)
        found = self._router.find(request.method, request.path)
        if found is None:
            if self._server is None and self._servers is not None:
                return await self._forwarder.to_servers(self._servers, request)
            return Response(status=404, content_type="")
        self._check_region(request)
        if found.route is None:
            raise MethodNotAllowed
        return await found.route.handler(replace(request, parameters=found.parameters))

    def _check_region(self, request: Request) -> None:
        region = request.get("region")
        if region and region != self._facts.region and not request.path.startswith("/v1/agent/"):
            raise RaftnomadError("No path to region")

    async def _answer_about(self, about: elsewhere.Subject, request: Request) -> Answer:
        try:
            return await self._at_its_place(about, request)
        except RaftnomadError as error:
            if request.path.startswith(("/v1/client/fs/cat/", "/v1/client/fs/readat/")):
                # Nomad answers these two with 200 and the error as the file's content.
                return answers.text(str(error))
            if isinstance(error, NotFound) and request.path == "/v1/client/gc":
                raise RaftnomadError(str(error)) from None
            raise

    async def _at_its_place(self, about: elsewhere.Subject, request: Request) -> Answer:
        client = self._client
        place = elsewhere.place(
            about,
            self._server.state if self._server is not None else None,
            client.node_id() if client is not None else "",
            client.has_allocation if client is not None else lambda _identifier: False,
            hops(request) > 0 and self._server is None,
        )
        match place:
            case Here():
                found = self._local.find(request.method, request.path)
                if found is None:
                    return Response(status=404, content_type="")
                if found.route is None:
                    raise MethodNotAllowed
                answer = await found.route.handler(replace(request, parameters=found.parameters))
                return websockets.after_handshake(answer, request)
            case AtNode(address, tls):
                return await self._forwarder.to_node(address, tls, request)
            case AskServers():
                assert self._servers is not None
                return await self._forwarder.to_servers(self._servers, request)
            case never:
                assert_never(never)

    async def _metrics(self, request: Request) -> Answer:
        if request.get("format") == "prometheus" and not self._facts.prometheus:
            return answers.text("Prometheus is not enabled", 415)
        return metrics(self._telemetry, self._clock.now_ns(), request)


def _redirected(path: str, request: Request) -> Response:
    location = path
    if request.raw_query:
        location += "?" + request.raw_query
    body = f'<a href="{location}">Temporary Redirect</a>.\n\n' if request.method in ("GET", "HEAD") else ""
    return Response(
        status=307,
        body=body.encode(),
        content_type="text/html; charset=utf-8" if body else "",
        headers={"Location": location},
    )


def _outside_the_api(request: Request) -> Response:
    if request.path == "/":
        return _redirected("/ui/", request)
    if request.path == "/ui" or request.path.startswith("/ui/"):
        return Response(body=USER_INTERFACE, content_type="text/html; charset=utf-8")
    return Response(status=404, content_type="")
