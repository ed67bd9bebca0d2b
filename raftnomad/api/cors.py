"""Which pages of other origins may ask this agent: reads of what a client agent serves, and variables."""

from __future__ import annotations

from raftnomad.web import Request, Response

_READ = ("GET", "HEAD")
_METHODS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("/v1/client/fs/", _READ),
    ("/v1/client/stats", _READ),
    ("/v1/client/allocation/", _READ),
    ("/v1/client/metadata", _READ),
    ("/v1/client/identity", _READ),
    ("/v1/vars", _READ),
    ("/v1/var/", (*_READ, "PUT", "DELETE")),
)


def _methods(path: str) -> tuple[str, ...]:
    return next((methods for prefix, methods in _METHODS if path.startswith(prefix)), ())


def preflight(request: Request) -> Response | None:
    """The answer to a browser that asks before it asks; None when this request is none of those."""
    wanted = request.headers.get("access-control-request-method", "")
    methods = _methods(request.path)
    if request.method != "OPTIONS" or "origin" not in request.headers or not wanted or not methods:
        return None
    headers = {}
    if wanted in methods:
        headers = {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": wanted,
            "Access-Control-Allow-Credentials": "true",
        }
        if asked := request.headers.get("access-control-request-headers"):
            headers["Access-Control-Allow-Headers"] = asked
    return Response(status=204, content_type="", headers=headers)


def headers(request: Request) -> dict[str, str]:
    """What an answer to a page of another origin carries."""
    if "origin" not in request.headers or request.method not in _methods(request.path):
        return {}
    return {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"}
