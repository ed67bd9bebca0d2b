"""The agent: ports open first, then the server, then the client; the other way round when it ends."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from raftnomad.agent import logs
from raftnomad.agent.addresses import Places, places
from raftnomad.agent.client_part import ClientPart
from raftnomad.agent.server_part import Places as ServerPlaces
from raftnomad.agent.server_part import ServerPart, ServerPartSettings
from raftnomad.api.api import AgentFacts, Api
from raftnomad.api.context import FuzzyLimits
from raftnomad.api.forward import Forwarder, Tls
from raftnomad.api.job_intake import JobLimits
from raftnomad.api.serve import HttpServer, Limits
from raftnomad.certificates import roles
from raftnomad.certificates import settings as certificates
from raftnomad.certificates.settings import TlsSettings
from raftnomad.clock import Clock, SystemClock
from raftnomad.config.settings import AgentConfig
from raftnomad.config.sizes import parse_size
from raftnomad.errors import ConfigurationError, RaftnomadError
from raftnomad.identifiers import RandomBytes, system_random_bytes
from raftnomad.members.joining import Retry
from raftnomad.raft.listener import PortLimits
from raftnomad.raft.reach import join_address, split_address
from raftnomad.server.settings import ServerSettings
from raftnomad.tasks import Tasks
from raftnomad.version import NOMAD_VERSION
from raftnomad.web import Answer, Request, Response

logger = logging.getLogger(__name__)

SECOND = 1_000_000_000
RPC_PORT = 4647
NO_TIMEOUT_S = 3600.0
"""What a handshake timeout of 0 means."""
NO_LIMIT = 1_000_000
HTTP_GRACE_S = 0.2
"""So long may requests take to end when the agent does; queries that wait for changes are cut off then."""


class Agent:
    """`start` returns once the ports answer; a server that waits for its cluster goes on doing so in the background.

    fail: told once why the agent cannot go on; the process should end.
    reload: what a request to read the configuration again does.
    """

    def __init__(
        self,
        config: AgentConfig,
        fail: Callable[[str], None],
        clock: Clock | None = None,
        random_bytes: RandomBytes = system_random_bytes,
        reload: Callable[[], None] | None = None,
    ) -> None:
        self.config = config
        self._reload = reload
        self._fail = fail
        self._clock = clock or SystemClock()
        self._random_bytes = random_bytes
        self._places: Places = places(config)
        self._tls = _tls(config)
        self._dev_directory = Path(tempfile.mkdtemp(prefix="raftnomad-dev-")) if _needs_directory(config) else None
        self._data_dir = self._dev_directory or Path(config.data_dir)
        self._tasks = Tasks("agent", lambda error: fail(f"{type(error).__name__}: {error}"))
        self._http = HttpServer(
            self._handle,
            limits=Limits(
                connections_per_address_max=config.limits.http_max_conns_per_client,
                handshake_timeout_s=config.limits.https_handshake_timeout_ns / SECOND or NO_TIMEOUT_S,
            ),
        )
        self._server: ServerPart | None = None
        self._client: ClientPart | None = None
        self._api: Api | None = None

    @property
    def http_address(self) -> str:
        return self._places.http.advertised

    async def start(self) -> None:
        """Raises ConfigurationError and DataDirectoryError; nothing is left open then."""
        try:
            await self._start()
        except BaseException:
            await self.stop(leave=False)
            raise

    async def _start(self) -> None:
        place = self._places.http
        context = certificates.http_server_context(self._tls) if self._tls and self._tls.http else None
        try:
            await self._http.listen_on(place.host, place.port, context)
        except OSError as error:
            raise ConfigurationError(
                f"can't listen on {place.host}:{place.port} for http: {error.strerror or error}; "
                "end what uses the port, or choose another: ports { http = ... }"
            ) from error
        if self.config.server.enabled:
            self._server = ServerPart(self._server_settings(), self._clock, self._random_bytes, self._fail)
            await self._server.begin(self._http.protocol_factory)
        if self.config.client.enabled:
            self._client = ClientPart(
                self.config,
                self._data_dir,
                place.advertised,
                self._servers(),
                self._tls if self._tls is not None and self._tls.rpc else None,
                self._clock,
                self._random_bytes,
                lambda error: self._fail(f"{type(error).__name__}: {error}"),
            )
        if self._server is None:
            assert self._client is not None
            self._api = self._make_api(servers=self._client.connection.servers)
            await self._client.start()
        else:
            self._tasks.start(self._join_cluster(self._server), "join the cluster")

    async def _join_cluster(self, part: ServerPart) -> None:
        try:
            server = await part.found()
        except RaftnomadError as error:
            self._fail(str(error))
            return
        self._api = self._make_api(server=server, members=part.members)
        if self._client is not None:
            await self._client.start()
        logger.info("the agent is up: %s", self.http_address)

    def _make_api(self, **parts: Any) -> Api:
        limits = self.config.server
        return Api(
            client=self._client.local() if self._client is not None else None,
            forwarder=forwarder(self._tls, self.config.region),
            reload=self._reload,
            log_lines=logs.lines,
            facts=AgentFacts(
                region=self.config.region,
                configuration=shown(self.config),
                prometheus=self.config.telemetry.prometheus_metrics,
                response_headers=self.config.http_api_response_headers,
                job_limits=JobLimits(
                    priority_default=limits.job_default_priority,
                    priority_max=limits.job_max_priority,
                    count_max=limits.job_max_count,
                    source_bytes_max=parse_size(limits.job_max_source_size),
                ),
                fuzzy_limits=FuzzyLimits(
                    enabled=limits.search.fuzzy_enabled,
                    objects_max=limits.search.limit_query,
                    results_max=limits.search.limit_results,
                    length_min=limits.search.min_term_length,
                ),
            ),
            clock=self._clock,
            **parts,
        )

    async def _handle(self, request: Request) -> Answer:
        if self._api is not None:
            return await self._api.handle(request)
        waiting = self._server.waiting_for if self._server is not None else ""
        text = f"No cluster leader: this server waits for {waiting}" if waiting else "No cluster leader"
        return Response(status=500, body=text.encode(), content_type="text/plain; charset=utf-8")

    async def stop(self, leave: bool) -> None:
        """Tasks go on, but for a dev agent, with which everything ends."""
        await self._tasks.cancel()
        if self._client is not None and self._client.client.node_id:
            await self._client.stop(kill_tasks=self.config.dev_mode)
        await self._http.stop(HTTP_GRACE_S)
        if self._api is not None:
            await self._api.close()
        if self._server is not None:
            await self._server.stop(leave)
        if self._dev_directory is not None:
            shutil.rmtree(self._dev_directory, ignore_errors=True)

    def _servers(self) -> list[str]:
        """Where a client asks: what is configured, or the server in this very process."""
        if self.config.server.enabled:
            return [self._places.rpc.advertised]
        configured = [*self.config.client.servers, *self.config.client.server_join.retry_join]
        return [join_address(*split_address(address, RPC_PORT)) for address in configured]

    def _server_settings(self) -> ServerPartSettings:
        config, server = self.config, self.config.server
        join = server.server_join
        retry = Retry(
            addresses=(*join.retry_join, *join.start_join, *server.retry_join, *server.start_join),
            interval_s=(server.retry_interval_ns or join.retry_interval_ns) / SECOND,
            attempts_max=server.retry_max or join.retry_max,
        )
        return ServerPartSettings(
            directory=self._data_dir / "server",
            server=ServerSettings(
                name=config.name,
                region=config.region,
                datacenter=config.datacenter,
                heartbeat_ttl_s=server.min_heartbeat_ttl_ns / SECOND,
                heartbeat_grace_s=server.heartbeat_grace_ns / SECOND,
                heartbeats_per_second_max=server.max_heartbeats_per_second,
                gc_interval_s=server.job_gc_interval_ns / SECOND,
                eval_gc_threshold_s=server.eval_gc_threshold_ns / SECOND,
                batch_eval_gc_threshold_s=server.batch_eval_gc_threshold_ns / SECOND,
                job_gc_threshold_s=server.job_gc_threshold_ns / SECOND,
                node_gc_threshold_s=server.node_gc_threshold_ns / SECOND,
                deployment_gc_threshold_s=server.deployment_gc_threshold_ns / SECOND,
            ),
            places=ServerPlaces(
                bind_host=self._places.rpc.host,
                rpc_port=self._places.rpc.port,
                serf_port=self._places.serf.port,
                http_address=self._places.http.advertised,
                rpc_address=self._places.rpc.advertised,
                serf_address=self._places.serf.advertised,
            ),
            bootstrap_expect=server.bootstrap_expect or (0 if retry.addresses else 1),
            retry=retry,
            tls=self._tls if self._tls is not None and self._tls.rpc else None,
            build=NOMAD_VERSION,
            port_limits=PortLimits(
                connections_per_address=config.limits.rpc_max_conns_per_client or NO_LIMIT,
                first_byte_timeout_s=config.limits.rpc_handshake_timeout_ns / SECOND or NO_TIMEOUT_S,
            ),
        )


def _needs_directory(config: AgentConfig) -> bool:
    return config.dev_mode and not config.data_dir


def _tls(config: AgentConfig) -> TlsSettings | None:
    """Raises ConfigurationError for certificates that others would refuse: better here than at each connection."""
    tls = config.tls
    if not tls.http and not tls.rpc:
        return None
    settings = TlsSettings(
        ca_file=tls.ca_file,
        cert_file=tls.cert_file,
        key_file=tls.key_file,
        http=tls.http,
        rpc=tls.rpc,
        verify_server_hostname=tls.verify_server_hostname,
        verify_https_client=tls.verify_https_client,
    )
    certificates.check_files(settings)
    if tls.rpc:
        certificates.check_role(settings, "server" if config.server.enabled else "client", config.region)
    return settings


def forwarder(tls: TlsSettings | None, region: str) -> Forwarder:
    """Servers are called at their rpc ports, nodes at their http ports: each has a context of its own."""
    if tls is None:
        return Forwarder()
    server, client = roles.server_name(region), f"client.{region}.nomad"

    def calling(names: tuple[str, ...], verify: bool) -> Tls:
        return Tls(context=certificates.rpc_client_context(tls, verify_name=verify), names=names if verify else ())

    return Forwarder(
        servers=calling((server,), True) if tls.rpc else None,
        # A node's agent may be a server as well, and has one certificate.
        nodes=calling((client, server), tls.verify_server_hostname) if tls.http else None,
    )


def shown(config: AgentConfig) -> Mapping[str, Any]:
    """The configuration as `agent/self` shows it: Nomad's names; nothing in it is secret."""
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(config))
    values["Version"] = {"Version": NOMAD_VERSION, "VersionPrerelease": "", "VersionMetadata": "", "Revision": ""}
    return values
