"""A small blocking HTTP/1.1 client of Nomad's API: what the command line needs, and quick to import.

Errors are worded as Go's HTTP client words them, since people and scripts know those texts.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raftnomad.errors import RaftnomadError

READ_CHUNK_BYTES = 64 * 1024

Query = Mapping[str, str | Sequence[str]]
"""Parameters of a request; of one that is given several times, all values."""


class ConnectionFailed(RaftnomadError):
    """The agent could not be asked; nothing was done."""


class UnexpectedResponse(RaftnomadError):
    """The agent answered with an error status."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"Unexpected response code: {status} ({body})")
        self.status = status
        self.body = body


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """Where the agent is and how to speak to it; `from_environment` reads Nomad's variables."""

    address: str = "http://127.0.0.1:4646"
    region: str = ""
    namespace: str = ""
    token: str = ""
    http_auth: str = ""
    ca_cert: str = ""
    ca_path: str = ""
    client_cert: str = ""
    client_key: str = ""
    tls_server_name: str = ""
    tls_skip_verify: bool = False

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> ClientSettings:
        def get(name: str, default: str = "") -> str:
            return environment.get(name) or default

        return ClientSettings(
            address=get("NOMAD_ADDR", "http://127.0.0.1:4646"),
            region=get("NOMAD_REGION"),
            namespace=get("NOMAD_NAMESPACE"),
            token=get("NOMAD_TOKEN"),
            http_auth=get("NOMAD_HTTP_AUTH"),
            ca_cert=get("NOMAD_CACERT"),
            ca_path=get("NOMAD_CAPATH"),
            client_cert=get("NOMAD_CLIENT_CERT"),
            client_key=get("NOMAD_CLIENT_KEY"),
            tls_server_name=get("NOMAD_TLS_SERVER_NAME"),
            tls_skip_verify=get("NOMAD_SKIP_VERIFY") in ("1", "t", "T", "true", "TRUE", "True"),
        )


@dataclass(frozen=True)
class ApiResponse:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)

    def json(self) -> Any:
        return json.loads(self.body) if self.body.strip() else None

    @property
    def index(self) -> int:
        return int(self.headers.get("x-nomad-index", "0") or 0)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("127.0.0.1", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _TlsConnection(http.client.HTTPSConnection):
    """Expects the certificate to be for `server_name`, which need not be the host that is connected to."""

    def __init__(
        self, host: str, port: int, timeout_s: float | None, context: ssl.SSLContext, server_name: str
    ) -> None:
        super().__init__(host, port, timeout=timeout_s, context=context)
        self._own_context = context
        self._server_name = server_name

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._own_context.wrap_socket(self.sock, server_hostname=self._server_name)


class ApiClient:
    """One agent; a path in its address is ignored, as Nomad does.

    Every call opens a connection of its own: commands make few, and a dead one can't be reused.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        address = settings.address
        scheme, separator, rest = address.partition("://")
        if not separator:
            raise RaftnomadError(
                f"Error initializing client: invalid address '{address}': "
                f'parse "{address}": first path segment in URL cannot contain colon'
            )
        self._scheme = scheme
        self._unix_path = rest if scheme == "unix" else ""
        parts = urllib.parse.urlsplit("http://127.0.0.1" if self._unix_path else address)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (443 if scheme == "https" else 80)
        self._shown = "http://127.0.0.1" if self._unix_path else f"{scheme}://{parts.netloc}"

    def get(self, path: str, query: Query | None = None, timeout_s: float | None = 330) -> ApiResponse:
        return self.request("GET", path, query=query, timeout_s=timeout_s)

    def put(self, path: str, body: Any = None, query: Query | None = None) -> ApiResponse:
        return self.request("PUT", path, query=query, body=body)

    def delete(self, path: str, query: Query | None = None) -> ApiResponse:
        return self.request("DELETE", path, query=query)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        timeout_s: float | None = 330,
    ) -> ApiResponse:
        """The whole answer; raises ConnectionFailed and, for status 400 and above, UnexpectedResponse."""
        response = self._send(method, path, query, body, timeout_s)
        with response:
            data = response.read()
            headers = {name.lower(): value for name, value in response.getheaders()}
        if response.status >= 300:
            raise UnexpectedResponse(response.status, data.decode(errors="replace").rstrip("\n"))
        return ApiResponse(response.status, headers, data)

    def stream(self, path: str, query: Query | None = None) -> Iterator[bytes]:
        """The answer's body as it arrives, without a time limit."""
        response = self._send("GET", path, query, None, None)
        with response:
            if response.status >= 400:
                raise UnexpectedResponse(response.status, response.read().decode(errors="replace").rstrip("\n"))
            while data := response.read1(READ_CHUNK_BYTES):
                yield data

    def raw(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, str, list[tuple[str, str]], Iterator[bytes]]:
        """Whatever is answered to a request that is sent as it is: status, reason, headers, and the body's parts.

        target: a path with its query.
        """
        path, _, query = target.partition("?")
        response = self._send(method, path, urllib.parse.parse_qs(query, True), body, None, headers)
        return (
            response.status,
            response.reason,
            response.getheaders(),
            iter(lambda: response.read1(READ_CHUNK_BYTES), b""),
        )

    def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Any,
        timeout_s: float | None,
        more_headers: Mapping[str, str] = {},
    ) -> http.client.HTTPResponse:
        target = path + self._query(query)
        headers = {"Accept": "application/json", **more_headers}
        if self.settings.http_auth:
            headers["Authorization"] = "Basic " + base64.b64encode(self.settings.http_auth.encode()).decode()
        if self.settings.token:
            headers["X-Nomad-Token"] = self.settings.token
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        if self._scheme not in ("http", "https", "unix"):
            raise ConnectionFailed(
                f'{method.capitalize()} "{self.settings.address}{target}": unsupported protocol scheme "{self._scheme}"'
            )
        connection = self._connection(timeout_s)
        try:
            connection.request(method, target, body=data, headers=headers)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ConnectionFailed(f'{method.capitalize()} "{self._shown}{target}": {self._why(error)}') from error

    def _query(self, query: Query | None) -> str:
        values: dict[str, str | Sequence[str]] = dict(query or {})
        if self.settings.region:
            values.setdefault("region", self.settings.region)
        if self.settings.namespace:
            values.setdefault("namespace", self.settings.namespace)
        return "?" + urllib.parse.urlencode(sorted(values.items()), doseq=True) if values else ""

    def _connection(self, timeout_s: float | None) -> http.client.HTTPConnection:
        if self._unix_path:
            return _UnixConnection(self._unix_path, timeout_s)
        if self._scheme == "https":
            name = self.settings.tls_server_name or self._host
            return _TlsConnection(self._host, self._port, timeout_s, self._tls_context(), name)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)

    def _tls_context(self) -> ssl.SSLContext:
        settings = self.settings
        context = ssl.create_default_context(cafile=settings.ca_cert or None, capath=settings.ca_path or None)
        if settings.tls_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if settings.client_cert:
            context.load_cert_chain(settings.client_cert, settings.client_key or None)
        return context

    def _why(self, error: Exception) -> str:
        if isinstance(error, ssl.SSLError):
            return _tls_failure(error)
        where = f"unix {self._unix_path}" if self._unix_path else f"tcp {self._host}:{self._port}"
        if isinstance(error, http.client.RemoteDisconnected):
            return "EOF"
        if isinstance(error, TimeoutError):
            return f"dial {where}: i/o timeout"
        if isinstance(error, socket.gaierror):
            return f"dial tcp: lookup {self._host}: no such host"
        if isinstance(error, OSError) and error.errno is not None:
            return f"dial {where}: connect: {os.strerror(error.errno).lower()}"
        return str(error)


_UNKNOWN_AUTHORITY = {18, 19, 20, 21}
_EXPIRED = {9, 10}
_WRONG_NAME = {62, 64}


def _tls_failure(error: ssl.SSLError) -> str:
    """OpenSSL's codes in Go's words, as far as people meet them."""
    if error.reason == "WRONG_VERSION_NUMBER":
        return "http: server gave HTTP response to HTTPS client"
    code = getattr(error, "verify_code", 0)
    why = getattr(error, "verify_message", "") or error.reason or str(error)
    if code in _UNKNOWN_AUTHORITY:
        why = "x509: certificate signed by unknown authority"
    elif code in _EXPIRED:
        why = "x509: certificate has expired or is not yet valid"
    elif code in _WRONG_NAME:
        why = f"x509: {why}"
    return f"tls: failed to verify certificate: {why}" if code else f"remote error: tls: {why}"
