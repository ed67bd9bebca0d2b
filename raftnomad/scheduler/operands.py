"""What each constraint operator means for two values; None is a value that is not there."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from raftnomad.scheduler.regexp import Regexp, compile_regexp
from raftnomad.scheduler.versions import VersionConstraints, parse_version

DISTINCT_HOSTS = "distinct_hosts"
DISTINCT_PROPERTY = "distinct_property"


def holds(operand: str, left: str | None, right: str | None) -> bool:
    """An operator that is not known holds for nothing. The distinct ones compare allocations and hold here."""
    match operand:
        case "!=" | "not":
            return left != right
        case "is_set":
            return left is not None
        case "is_not_set":
            return left is None
        case "distinct_hosts" | "distinct_property":
            return True
    if left is None or right is None:
        return False
    compare = _OF_TWO.get(operand)
    return compare is not None and compare(left, right)


def _ordered(compare: Callable[[int], bool]) -> Callable[[str, str], bool]:
    return lambda left, right: compare(order(left, right))


def order(left: str, right: str) -> int:
    """Negative, zero or positive: as whole numbers, else as fractions, else as text."""
    for kind in (int, float):
        try:
            a, b = kind(left), kind(right)
        except ValueError:
            continue
        return (a > b) - (a < b)
    return (left > right) - (left < right)


def _parts(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(","))


def _matches(left: str, right: str) -> bool:
    regexp = _compiled(right)
    return regexp is not None and regexp.search(left)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Regexp | None:
    return compile_regexp(pattern)


def _version(left: str, right: str) -> bool:
    constraints = VersionConstraints.parse(right, strict=False)
    version = parse_version(left, strict=False)
    return constraints is not None and version is not None and constraints.hold(version)


def _semver(left: str, right: str) -> bool:
    constraints = VersionConstraints.parse(right, strict=True)
    version = parse_version(left, strict=True)
    return constraints is not None and version is not None and constraints.hold(version)


_OF_TWO: dict[str, Callable[[str, str], bool]] = {
    "=": lambda left, right: left == right,
    "==": lambda left, right: left == right,
    "is": lambda left, right: left == right,
    "<": _ordered(lambda sign: sign < 0),
    "<=": _ordered(lambda sign: sign <= 0),
    ">": _ordered(lambda sign: sign > 0),
    ">=": _ordered(lambda sign: sign >= 0),
    "regexp": _matches,
    "version": _version,
    "semver": _semver,
    "set_contains": lambda left, right: _parts(right) <= _parts(left),
    "set_contains_all": lambda left, right: _parts(right) <= _parts(left),
    "set_contains_any": lambda left, right: not _parts(right).isdisjoint(_parts(left)),
}
