from __future__ import annotations

from raftnomad.api import cors
from raftnomad.web import Request

ORIGIN = {"origin": "http://a.test"}


def preflight(path: str, method: str, **headers: str) -> dict[str, str] | None:
    asked = {**ORIGIN, "access-control-request-method": method, **headers}
    answer = cors.preflight(Request(method="OPTIONS", path=path, headers=asked))
    return None if answer is None else dict(answer.headers)


def test_files_may_be_read_by_any_page_and_not_written() -> None:
    allowed = preflight("/v1/client/fs/ls/x", "GET", **{"access-control-request-headers": "x-nomad-token"})
    assert allowed == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET",
        "Access-Control-Allow-Headers": "x-nomad-token",
        "Access-Control-Allow-Credentials": "true",
    }
    assert preflight("/v1/client/fs/ls/x", "PUT") == {}


def test_variables_may_be_written() -> None:
    assert preflight("/v1/var/a", "DELETE")["Access-Control-Allow-Methods"] == "DELETE"  # type: ignore[index]
    assert preflight("/v1/vars", "PUT") == {}


def test_nothing_else_is_open() -> None:
    assert preflight("/v1/jobs", "GET") is None
    assert cors.headers(Request(method="GET", path="/v1/jobs", headers=ORIGIN)) == {}
    assert cors.headers(Request(method="GET", path="/v1/vars")) == {}
    assert cors.headers(Request(method="GET", path="/v1/vars", headers=ORIGIN))["Access-Control-Allow-Origin"] == "*"
