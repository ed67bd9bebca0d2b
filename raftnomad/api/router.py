"""Which route answers a path: matched as Go's mux and Nomad's handlers match, by prefix and then by suffix.

An id may contain `/` (dispatched jobs have one), so what is captured is all between a pattern's fixed parts.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from raftnomad.web import Route

ANY = "*"
"""As a route's method: every method that no other row of the same pattern names."""


class Match(NamedTuple):
    """What was found: a route, or its pattern alone when no row of it takes the method."""

    route: Route | None
    parameters: Mapping[str, str]


class _Pattern:
    def __init__(self, text: str) -> None:
        parts = re.split(r"\{(\w+)\}", text)
        self.prefix = parts[0]
        self.literal = len(parts) == 1
        # Only the first part may hold a `/`-separated id; the ones after it are single names.
        expression = "".join(
            re.escape(part) if i % 2 == 0 else f"(?P<{part}>{'.*' if i == 1 else '[^/]*'})"
            for i, part in enumerate(parts)
        )
        self.expression = re.compile(expression, re.DOTALL)
        self.rank = (not self.literal, -len(self.prefix), -len(text))
        self.methods: dict[str, Route] = {}


class Router:
    def __init__(self, routes: Iterable[Route]) -> None:
        patterns: dict[str, _Pattern] = {}
        for route in routes:
            pattern = patterns.setdefault(route.pattern, _Pattern(route.pattern))
            for method in route.methods:
                assert method not in pattern.methods, f"{method} {route.pattern} stands twice in the table"
                pattern.methods[method] = route
        self._exact = {text: pattern for text, pattern in patterns.items() if pattern.literal}
        self._others = sorted((p for p in patterns.values() if not p.literal), key=lambda p: p.rank)
        self._subtrees = {p.prefix.rstrip("/") for p in self._others if p.prefix.endswith("/")} - set(self._exact)

    def find(self, method: str, path: str) -> Match | None:
        """None when there is no such path."""
        exact = self._exact.get(path)
        if exact is not None:
            return _chosen(exact, method, {})
        for pattern in self._others:
            if path.startswith(pattern.prefix):
                found = pattern.expression.fullmatch(path)
                if found is not None:
                    return _chosen(pattern, method, found.groupdict())
        return None

    def redirect(self, path: str) -> str:
        """The path that a client is sent to instead (`//`, `..`, a missing last `/`); empty when this one will do."""
        clean = posixpath.normpath(path) if path.startswith("/") else posixpath.normpath("/" + path)
        clean = re.sub(r"^//", "/", clean)
        if path.endswith("/") and clean != "/":
            clean += "/"
        if clean in self._subtrees:
            clean += "/"
        return clean if clean != path else ""


def _chosen(pattern: _Pattern, method: str, parameters: Mapping[str, str]) -> Match:
    return Match(pattern.methods.get(method) or pattern.methods.get(ANY), parameters)
