"""Versions and constraints on them, as the `version` and `semver` operators read them.

`version` never holds for a prerelease unless the constraint names one of the same version; `semver` orders them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(-?[A-Za-z~][0-9A-Za-z\-~]*(?:\.[0-9A-Za-z\-~]+)*|-[0-9A-Za-z\-~.]+)?(\+\S+)?")
_SEMVER = re.compile(r"v?(\d+(?:\.\d+)*)(-[0-9A-Za-z\-~]+(?:\.[0-9A-Za-z\-~]+)*)?(\+[0-9A-Za-z\-~.]+)?")
_CONSTRAINT = re.compile(r"\s*(=|!=|>=|<=|>|<|~>|)\s*(\S+)\s*")


@dataclass(frozen=True)
class Version:
    """`given` is how many numbers were written; `numbers` has three at least."""

    numbers: tuple[int, ...]
    prerelease: str
    given: int


@lru_cache(maxsize=4096)
def parse_version(text: str, strict: bool) -> Version | None:
    match = (_SEMVER if strict else _VERSION).fullmatch(text.strip())
    if match is None or len(match[0]) > 256:
        return None
    numbers = tuple(int(part) for part in match[1].split("."))
    padded = numbers + (0,) * (3 - len(numbers))
    return Version(padded, (match[2] or "").removeprefix("-"), len(numbers))


def compare(left: Version, right: Version) -> int:
    longest = max(len(left.numbers), len(right.numbers))
    a = left.numbers + (0,) * (longest - len(left.numbers))
    b = right.numbers + (0,) * (longest - len(right.numbers))
    if a != b:
        return -1 if a < b else 1
    return _compare_prereleases(left.prerelease, right.prerelease)


def _compare_prereleases(left: str, right: str) -> int:
    if left == right:
        return 0
    if not left or not right:
        return 1 if not left else -1
    a, b = left.split("."), right.split(".")
    for one, other in zip(a, b, strict=False):
        if one == other:
            continue
        if one.isdigit() and other.isdigit():
            return -1 if int(one) < int(other) else 1
        if one.isdigit() != other.isdigit():
            return -1 if one.isdigit() else 1
        return -1 if one < other else 1
    return -1 if len(a) < len(b) else 1


@dataclass(frozen=True)
class VersionConstraints:
    """All of them must hold. `strict` is semver: prereleases are ordered like any version."""

    parts: tuple[tuple[str, Version], ...]
    strict: bool

    @staticmethod
    @lru_cache(maxsize=1024)
    def parse(text: str, strict: bool) -> VersionConstraints | None:
        parts = []
        for part in text.split(","):
            match = _CONSTRAINT.fullmatch(part)
            version = parse_version(match[2], strict) if match else None
            if match is None or version is None:
                return None
            parts.append((match[1] or "=", version))
        return VersionConstraints(tuple(parts), strict)

    def hold(self, version: Version) -> bool:
        return all(self._holds(operator, version, limit) for operator, limit in self.parts)

    def _holds(self, operator: str, version: Version, limit: Version) -> bool:
        sign = compare(version, limit)
        match operator:
            case "=":
                return sign == 0
            case "!=":
                return sign != 0
        if not self.strict and not _prerelease_allowed(version, limit):
            return False
        match operator:
            case ">":
                return sign > 0
            case ">=":
                return sign >= 0
            case "<":
                return sign < 0
            case "<=":
                return sign <= 0
        kept = max(limit.given - 1, 1)
        return sign >= 0 and version.numbers[:kept] == limit.numbers[:kept]


def _prerelease_allowed(version: Version, limit: Version) -> bool:
    if not version.prerelease:
        return True
    return bool(limit.prerelease) and version.numbers == limit.numbers
