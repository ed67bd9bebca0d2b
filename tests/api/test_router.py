from __future__ import annotations

import pytest

from raftnomad.api.router import ANY, Router
from raftnomad.web import Answer, Request, Response, Route


async def nobody(_request: Request) -> Answer:
    return Response()


def route(methods: str, pattern: str) -> Route:
    return Route(tuple(methods.split()), pattern, nobody, "none")


ROUTER = Router(
    [
        route("GET", "/v1/jobs"),
        route("PUT POST", "/v1/jobs"),
        route("GET", "/v1/job/{id}"),
        route("PUT POST", "/v1/job/{id}/plan"),
        route(ANY, "/v1/job/{id}/summary"),
        route("PUT", "/v1/job/{id}/versions/{name}/tag"),
        route("GET", "/v1/node/{id}"),
        route("GET", "/v1/node/pools"),
        route("GET", "/v1/node/pool/{name}"),
        route("GET", "/v1/deployment/{id}"),
        route("GET", "/v1/deployment/allocations/{id}"),
    ]
)


def found(method: str, path: str) -> tuple[str, dict[str, str]] | None:
    match = ROUTER.find(method, path)
    if match is None:
        return None
    return (match.route.pattern if match.route is not None else "405", dict(match.parameters))


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1/jobs", ("/v1/jobs", {})),
        ("DELETE", "/v1/jobs", ("405", {})),
        ("GET", "/v1/jobs/", None),
        ("GET", "/v1/job/web", ("/v1/job/{id}", {"id": "web"})),
        ("GET", "/v1/job/", ("/v1/job/{id}", {"id": ""})),
        ("GET", "/v1/job/a/dispatch-1", ("/v1/job/{id}", {"id": "a/dispatch-1"})),
        ("PUT", "/v1/job/a/b/plan", ("/v1/job/{id}/plan", {"id": "a/b"})),
        ("GET", "/v1/job/a/plan", ("405", {"id": "a"})),
        ("GET", "/v1/job/a\nb", ("/v1/job/{id}", {"id": "a\nb"})),
        ("PUT", "/v1/job/a/b/summary", ("/v1/job/{id}/summary", {"id": "a/b"})),
        (
            "PUT",
            "/v1/job/a/b/versions/v1/tag",
            ("/v1/job/{id}/versions/{name}/tag", {"id": "a/b", "name": "v1"}),
        ),
        ("GET", "/v1/node/pools", ("/v1/node/pools", {})),
        ("GET", "/v1/node/pool/gpu", ("/v1/node/pool/{name}", {"name": "gpu"})),
        ("GET", "/v1/node/x", ("/v1/node/{id}", {"id": "x"})),
        ("GET", "/v1/deployment/allocations/x", ("/v1/deployment/allocations/{id}", {"id": "x"})),
        ("GET", "/v1/nope", None),
        ("GET", "/V1/jobs", None),
    ],
)
def test_paths_find_their_route(method: str, path: str, expected: object) -> None:
    assert found(method, path) == expected


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/v1/jobs", ""),
        ("/v1//jobs", "/v1/jobs"),
        ("/v1/./jobs", "/v1/jobs"),
        ("/v1/x/../jobs", "/v1/jobs"),
        ("//v1/jobs", "/v1/jobs"),
        ("/v1/job", "/v1/job/"),
        ("/v1/job//", "/v1/job/"),
        ("/v1/job/", ""),
        ("/v1/node", "/v1/node/"),
        ("/v1/job/a/", ""),
        ("/../../etc/passwd", "/etc/passwd"),
        ("/", ""),
    ],
)
def test_paths_that_are_not_clean_are_redirected(path: str, target: str) -> None:
    assert ROUTER.redirect(path) == target


def test_a_route_stands_once_in_the_table() -> None:
    with pytest.raises(AssertionError, match="twice"):
        Router([route("GET", "/v1/jobs"), route("PUT GET", "/v1/jobs")])
