"""Each operator on two values, and regular expressions against Python's own matcher."""

from __future__ import annotations

import random
import re

import pytest

from raftnomad.scheduler.operands import holds
from raftnomad.scheduler.regexp import compile_regexp


@pytest.mark.parametrize(
    ("left", "operand", "right", "expected"),
    [
        ("linux", "=", "linux", True),
        ("linux", "is", "plan9", False),
        (None, "=", "x", False),
        (None, "!=", "x", True),
        ("a", "not", "a", False),
        ("9", "<", "10", True),
        ("0.5", ">=", "0.25", True),
        ("r1", "<", "r2", True),
        (None, "<", "1", False),
        ("ssd, gpu", "set_contains", "gpu,ssd", True),
        ("ssd", "set_contains_all", "gpu,ssd", False),
        ("ssd", "set_contains_any", "gpu,ssd", True),
        ("", "is_set", "", True),
        (None, "is_set", "", False),
        (None, "is_not_set", "", True),
        ("1.4.2", "version", ">= 1.4, < 1.5", True),
        ("1.4.2", "version", "> 1.4.2", False),
        ("1.4.2", "version", "~> 1.3.0", False),
        ("1.3.9", "version", "~> 1.3.0", True),
        ("1.9", "version", "~> 1.3", True),
        ("2.0.6-dev", "version", ">= 1.4.0", False),
        ("2.0.6-dev", "semver", ">= 1.4.0", True),
        ("1.7.0", "semver", ">= 1.7.0-a", True),
        ("r1", "version", ">= 1.0", False),
        ("1.0", "version", "nonsense", False),
        ("web-17", "regexp", r"^web-\d+$", True),
        ("db-17", "regexp", r"^web", False),
        ("x", "regexp", "(", False),
        ("x", "unknown", "x", False),
    ],
)
def test_operators(left: str | None, operand: str, right: str, expected: bool) -> None:
    assert holds(operand, left, right) is expected


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(a|aa)+$", "(.*a){20}"])
def test_no_pattern_takes_long(pattern: str) -> None:
    regexp = compile_regexp(pattern)
    assert regexp is not None
    regexp.search("a" * 2000 + "!")


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?=a)", "(?<!a)b", "[", "a{1000}{1000}"])
def test_what_can_not_be_bounded_is_refused(pattern: str) -> None:
    assert compile_regexp(pattern) is None


@pytest.mark.parametrize("seed", range(200))
def test_it_agrees_with_pythons_matcher(seed: int) -> None:
    chance = random.Random(seed)
    pieces = ["a", "b", "ab", ".", "[ab]", "[^a]", r"\d", r"\w", "1", r"\b", "(a|b1)", "(?:ab|)", "(?i:A)"]
    pattern = "".join(chance.choice(pieces) + chance.choice(["", "", "*", "+", "?", "{1,2}"]) for _ in range(4))
    pattern = pattern.replace(r"\b*", r"\b").replace(r"\b+", r"\b").replace(r"\b?", r"\b").replace(r"\b{1,2}", r"\b")
    pattern = chance.choice(["", "^"]) + pattern + chance.choice(["", "$"])
    regexp = compile_regexp(pattern)
    assert regexp is not None
    for _ in range(20):
        text = "".join(chance.choice("ab1 ") for _ in range(chance.randrange(8)))
        assert regexp.search(text) == (re.search(pattern, text) is not None), (pattern, text)
