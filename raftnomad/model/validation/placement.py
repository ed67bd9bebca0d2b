"""Constraints, affinities and spreads."""

from __future__ import annotations

import re

from raftnomad.model.resources import Affinity, Constraint, Spread

_COMPARISONS = ("=", "==", "is", "!=", "not", "<", "<=", ">", ">=")
_SETS = ("set_contains", "set_contains_all", "set_contains_any")
_NO_ATTRIBUTE_NEEDED = ("distinct_hosts",)
_PRERELEASE = r"(?:-\d[0-9A-Za-z~-]*(?:\.[0-9A-Za-z~-]+)*|-?[A-Za-z~-][0-9A-Za-z~-]*(?:\.[0-9A-Za-z~-]+)*)"
_VERSION = re.compile(
    rf"\s*(?:|=|!=|>|<|>=|<=|~>)\s*v?\d+(?:\.\d+)*{_PRERELEASE}?(?:\+[0-9A-Za-z~-]+(?:\.[0-9A-Za-z~-]+)*)?\s*"
)


def constraint_errors(constraint: Constraint) -> list[str]:
    errors: list[str] = []
    operand, right = constraint.operand, constraint.r_target
    if not operand:
        errors.append("Missing constraint operand")
    if operand == "distinct_hosts":
        return errors
    if operand in ("is_set", "is_not_set"):
        if right:
            errors.append(f'Operator "{operand}" does not support an RTarget')
    elif operand == "distinct_property":
        errors += _distinct_property(right)
    elif operand in _COMPARISONS:
        if not right:
            errors.append(f'Operator "{operand}" requires an RTarget')
    elif operand in _SETS or operand in ("regexp", "version", "semver"):
        errors += _pattern_errors(operand, right, "constraint")
    else:
        errors.append(f'Unknown constraint type "{operand}"')
    if not constraint.l_target:
        errors.append("no attribute provided but is required by operator")
    return errors


def _distinct_property(right: str) -> list[str]:
    if not right:
        return []
    if not (right.isascii() and right.isdigit()):
        return [f'Failed to convert RTarget "{right}" to uint64: strconv.ParseUint: parsing "{right}": invalid syntax']
    if int(right) < 1:
        return [f"Distinct Property must have an allowed count of 1 or greater: {int(right)} < 1"]
    return []


def _pattern_errors(operand: str, right: str, what: str) -> list[str]:
    if operand in _SETS:
        return [] if right else [f"Set contains {what} requires an RTarget"]
    if operand == "regexp":
        wrong = regexp_error(right)
        return [f"Regular expression failed to compile: {wrong}"] if wrong else []
    for part in right.split(","):
        if not _VERSION.fullmatch(part):
            if operand == "version":
                return [f"Version constraint is invalid: malformed constraint: {part}"]
            return [f"Semver constraint is invalid: Malformed constraint: {part}"]
    return []


def regexp_error(pattern: str) -> str:
    """What Go says to a regular expression that it does not understand; empty if it does."""
    unsupported = re.search(r"\(\?<?[=!]", pattern)
    if unsupported:
        return f"error parsing regexp: invalid or unsupported Perl syntax: `{unsupported[0]}`"
    try:
        re.compile(pattern)
    except re.error as error:
        text = str(error)
        if "unterminated subpattern" in text:
            return f"error parsing regexp: missing closing ): `{pattern}`"
        if "unterminated character set" in text:
            return f"error parsing regexp: missing closing ]: `{pattern[error.pos or 0 :]}`"
        return f"error parsing regexp: {text}: `{pattern}`"
    return ""


def affinity_errors(affinity: Affinity) -> list[str]:
    errors: list[str] = []
    operand = affinity.operand
    if not operand:
        errors.append("Missing affinity operand")
    if operand in _COMPARISONS:
        if not affinity.r_target:
            errors.append(f'Operator "{operand}" requires an RTarget')
    elif operand in _SETS or operand in ("regexp", "version", "semver"):
        errors += _pattern_errors(operand, affinity.r_target, "constraint")
    else:
        errors.append(f'Unknown affinity operator "{operand}"')
    if not affinity.l_target:
        errors.append("No LTarget provided but is required")
    if affinity.weight == 0:
        errors.append("Affinity weight cannot be zero")
    elif not -100 <= affinity.weight <= 100:
        errors.append("Affinity weight must be within the range [-100,100]")
    return errors


def spread_errors(spread: Spread) -> list[str]:
    errors: list[str] = []
    if not spread.attribute:
        errors.append("Missing spread attribute")
    if not 0 < spread.weight <= 100:
        errors.append("Spread block must have a positive weight from 0 to 100")
    total = 0
    seen: set[str] = set()
    for target in spread.spread_target or ():
        if target.value in seen:
            errors.append(f'Spread target value "{target.value}" already defined')
            continue
        seen.add(target.value)
        if not 0 <= target.percent <= 100:
            errors.append(f'Spread target percentage for value "{target.value}" must be between 0 and 100')
        total += target.percent
    if total > 100:
        errors.append(f"Sum of spread target percentages must not be greater than 100%; got {total}%")
    return errors
