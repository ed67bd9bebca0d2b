"""The client against real servers on loopback: what it sends, and how it words what goes wrong."""

from __future__ import annotations

import http.server
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftnomad.certificates.authority import create_ca, create_certificate
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, ClientSettings, ConnectionFailed, UnexpectedResponse


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked; the path says which status."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length).decode()
        told = {"method": self.command, "target": self.path, "body": body, "headers": dict(self.headers)}
        data = b"job not found\n" if "missing" in self.path else json.dumps(told).encode()
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("X-Nomad-Index", "42")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_DELETE = do_POST = _answer

    def log_message(self, *_: object) -> None:
        """Keeps the test's output quiet."""

    def address_string(self) -> str:
        return "client"


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def agent() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    with _running(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"


class _running:
    def __init__(self, server: socketserver.BaseServer) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def a_client(address: str, **settings: str) -> ApiClient:
    return ApiClient(ClientSettings(address=address, **settings))


def test_a_request_carries_region_namespace_and_token(agent):
    client = a_client(agent, region="eu", namespace="apps", token="secret")
    told = client.put("/v1/jobs", {"Job": {}}, {"x": "1"}).json()
    assert told["method"] == "PUT"
    assert told["target"] == "/v1/jobs?namespace=apps&region=eu&x=1"
    assert told["headers"]["X-Nomad-Token"] == "secret"
    assert json.loads(told["body"]) == {"Job": {}}


def test_a_namespace_that_the_caller_names_wins_over_the_settings(agent):
    told = a_client(agent, namespace="apps").get("/v1/job/web", {"namespace": "default"}).json()
    assert told["target"] == "/v1/job/web?namespace=default"


def test_a_parameter_may_be_given_several_times(agent):
    told = a_client(agent).put("/v1/agent/join", None, {"address": ["a:1", "b:2"]}).json()
    assert told["target"] == "/v1/agent/join?address=a%3A1&address=b%3A2"


def test_a_path_in_the_address_is_ignored(agent):
    told = a_client(f"{agent}/ui/").get("/v1/jobs").json()
    assert told["target"] == "/v1/jobs"


def test_the_index_of_an_answer_is_its_header(agent):
    assert a_client(agent).get("/v1/jobs").index == 42


def test_an_error_status_is_raised_with_its_text(agent):
    with pytest.raises(UnexpectedResponse, match=r"^Unexpected response code: 404 \(job not found\)$") as raised:
        a_client(agent).get("/v1/job/missing")
    assert raised.value.status == 404


def test_a_raw_request_gives_an_error_status_like_any_other(agent):
    status, reason, headers, chunks = a_client(agent).raw("GET", "/v1/job/missing?a=1&a=2", None, {"X-Test": "1"})
    assert (status, reason) == (404, "Not Found")
    assert ("X-Nomad-Index", "42") in headers
    assert b"".join(chunks) == b"job not found\n"


def test_a_stream_gives_the_body_as_it_comes(agent):
    assert b"/v1/event/stream" in b"".join(a_client(agent).stream("/v1/event/stream"))


def test_an_agent_behind_a_unix_socket_is_asked(tmp_path: Path):
    path = str(tmp_path / "agent.sock")
    with _running(UnixServer(path, Echo)):
        assert a_client(f"unix://{path}").get("/v1/jobs").json()["target"] == "/v1/jobs"


def test_nobody_listening_is_told_as_go_tells_it():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    expected = f'Get "http://127.0.0.1:{port}/v1/jobs": dial tcp 127.0.0.1:{port}: connect: connection refused'
    with pytest.raises(ConnectionFailed) as raised:
        a_client(f"http://127.0.0.1:{port}").get("/v1/jobs")
    assert str(raised.value) == expected


def test_a_missing_unix_socket_is_told_as_go_tells_it(tmp_path: Path):
    expected = f'Get "http://127.0.0.1/v1/jobs": dial unix {tmp_path}/no.sock: connect: no such file or directory'
    with pytest.raises(ConnectionFailed) as raised:
        a_client(f"unix://{tmp_path}/no.sock").get("/v1/jobs")
    assert str(raised.value) == expected


def test_a_connection_that_is_closed_without_an_answer_is_eof():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        closing = threading.Thread(target=lambda: listening.accept()[0].close())
        closing.start()
        with pytest.raises(ConnectionFailed, match=r'^Get "http://127\.0\.0\.1:\d+/v1/jobs": '):
            a_client(f"http://127.0.0.1:{port}").get("/v1/jobs")
        closing.join()


def test_an_address_needs_a_scheme_and_one_that_is_known():
    with pytest.raises(RaftnomadError, match="first path segment in URL cannot contain colon"):
        a_client("127.0.0.1:4646")
    with pytest.raises(ConnectionFailed, match=r'^Get "ftp://x/v1/jobs": unsupported protocol scheme "ftp"$'):
        a_client("ftp://x").get("/v1/jobs")


def test_settings_come_from_nomads_variables():
    settings = ClientSettings.from_environment({"NOMAD_ADDR": "", "NOMAD_REGION": "eu", "NOMAD_SKIP_VERIFY": "true"})
    assert settings.address == "http://127.0.0.1:4646"
    assert settings.region == "eu"
    assert settings.tls_skip_verify


@pytest.fixture
def tls_agent(tmp_path: Path) -> Iterator[str]:
    create_ca(tmp_path)
    create_certificate(tmp_path, "server", region="global")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "global-server-nomad.pem", tmp_path / "global-server-nomad-key.pem")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with _running(server):
        yield f"https://127.0.0.1:{server.server_address[1]}"


def test_an_agents_certificate_is_checked_against_the_ca(tls_agent, tmp_path: Path):
    ca = str(tmp_path / "nomad-agent-ca.pem")
    assert a_client(tls_agent, ca_cert=ca).get("/v1/jobs").status == 200
    with pytest.raises(ConnectionFailed, match="x509: certificate signed by unknown authority"):
        a_client(tls_agent).get("/v1/jobs")


def test_an_agents_certificate_is_checked_against_the_name_that_is_expected(tls_agent, tmp_path: Path):
    ca = str(tmp_path / "nomad-agent-ca.pem")
    assert a_client(tls_agent, ca_cert=ca, tls_server_name="server.global.nomad").get("/v1/jobs").status == 200
    with pytest.raises(ConnectionFailed, match=r"x509: .*server\.mars\.nomad"):
        a_client(tls_agent, ca_cert=ca, tls_server_name="server.mars.nomad").get("/v1/jobs")


def test_a_certificate_is_not_checked_when_that_is_asked_for(tls_agent):
    client = ApiClient(ClientSettings(address=tls_agent, tls_skip_verify=True))
    assert client.get("/v1/jobs").status == 200


def test_https_to_a_port_of_http_says_so(agent):
    with pytest.raises(ConnectionFailed, match="http: server gave HTTP response to HTTPS client"):
        a_client(agent.replace("http:", "https:")).get("/v1/jobs")
