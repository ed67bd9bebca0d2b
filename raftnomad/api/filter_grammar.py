"""The grammar of filter expressions (go-bexpr's): a text becomes a tree, or a BadRequest that says where it went wrong.

Written by hand, as a parser that tries alternatives in order and remembers the furthest place where something else
was expected; users know go-bexpr's messages, and those list exactly that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from raftnomad.errors import BadRequest

T = TypeVar("T")

LENGTH_MAX = 4096
DEPTH_MAX = 64


@dataclass(frozen=True)
class And:
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Or:
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Not:
    inner: Expression


@dataclass(frozen=True)
class Match:
    """`operator` is one of equal, empty, nil, in, matches; what is written with `not` or `!=` stands inside a `Not`."""

    selector: tuple[str, ...]
    operator: str
    value: str = ""


Expression = And | Or | Not | Match


class _NoMatch(Exception):
    """This alternative does not fit here."""


def parse(text: str) -> Expression:
    """Raises BadRequest in the words of go-bexpr."""
    if len(text) > LENGTH_MAX:
        raise BadRequest(f"filter expressions may be {LENGTH_MAX} characters long, this one has {len(text)}")
    return _Parser(text).input()


_BLANK = " \t\r\n"
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = "0123456789"
_NAME = _LETTERS + _DIGITS + "_/"


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._furthest = 0
        self._expected: set[str] = set()
        self._depth = 0

    def input(self) -> Expression:
        try:
            self._optional_blanks()
            expression = self._or()
            self._optional_blanks()
            if self._at < len(self._text):
                self._fail("EOF")
        except _NoMatch:
            raise self._error() from None
        return expression

    def _or(self) -> Expression:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise BadRequest(f"filter expressions may be nested {DEPTH_MAX} deep")
        left = self._and()
        self._depth -= 1
        if self._word("or"):
            return Or(left, self._or())
        return left

    def _and(self) -> Expression:
        left = self._not()
        if self._word("and"):
            return And(left, self._and())
        return left

    def _not(self) -> Expression:
        negations = 0
        while self._try(lambda: self._sequence(lambda: self._literal("not"), self._blanks)):
            negations += 1
        inner = self._group()
        return Not(inner) if negations % 2 else inner

    def _group(self) -> Expression:
        if not self._try(lambda: self._literal("(")):
            return self._match()
        self._optional_blanks()
        inner = self._or()
        self._optional_blanks()
        if not self._try(lambda: self._literal(")")):
            raise self._error_at(self._at, 'rule "grouping": Unmatched parentheses')
        return inner

    def _match(self) -> Expression:
        start = self._at
        selector = self._attempt(self._selector)
        if selector is not None and (found := self._attempt(lambda: self._selector_match(selector))):
            return found
        self._at = start
        value = self._value()
        for words, negated in ((("in",), False), (("not", "in"), True)):
            if self._try(lambda words=words: self._words(words, trailing=True)):  # type: ignore[misc]
                return _negate(Match(self._selector(), "in", value), negated)
        raise _NoMatch

    def _selector_match(self, selector: tuple[str, ...]) -> Expression:
        for sign, negated in (("==", False), ("!=", True)):
            if self._try(lambda sign=sign: self._sign(sign)):  # type: ignore[misc]
                return _negate(Match(selector, "equal", self._value()), negated)
        for words, operator, negated in _OPERATORS:
            with_value = operator not in ("empty", "nil")
            if self._try(lambda w=words, t=with_value: self._words(w, trailing=t)):  # type: ignore[misc]
                value = self._value() if with_value else ""
                return _negate(Match(selector, operator, value), negated)
        raise _NoMatch

    def _selector(self) -> tuple[str, ...]:
        if self._text.startswith('"/', self._at):
            return self._pointer()
        parts = [self._name()]
        while True:
            if self._try(lambda: self._literal(".")):
                parts.append(self._run(_NAME, "[a-zA-Z0-9_/]", at_least=1))
            elif self._try(lambda: self._literal("[")):
                self._optional_blanks()
                parts.append(self._string())
                self._optional_blanks()
                self._literal("]")
            else:
                return tuple(parts)

    def _pointer(self) -> tuple[str, ...]:
        end = self._text.find('"', self._at + 1)
        inner = self._text[self._at + 1 : end] if end > 0 else ""
        parts = inner.split("/")[1:]
        if not parts or any(not part or not _is_pointer_segment(part) for part in parts):
            raise _NoMatch
        self._at = end + 1
        return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)

    def _name(self) -> str:
        start = self._at
        if self._at >= len(self._text) or self._text[self._at] not in _LETTERS:
            self._fail("[a-zA-Z]")
        self._at += 1
        self._run(_NAME, "[a-zA-Z0-9_/]")
        return self._text[start : self._at]

    def _value(self) -> str:
        start = self._at
        if self._attempt(self._selector_text) is not None:
            return self._text[start : self._at]
        self._at = start
        if (number := self._attempt(self._number)) is not None:
            return number
        return self._string()

    def _selector_text(self) -> tuple[str, ...]:
        if self._text.startswith('"', self._at):
            self._expect('"')
            raise _NoMatch
        return self._selector()

    def _number(self) -> str:
        start = self._at
        self._try(lambda: self._literal("-"))
        if not self._try(lambda: self._literal("0")):
            if self._at >= len(self._text) or self._text[self._at] not in "123456789":
                self._fail("[1-9]")
            self._run(_DIGITS, "[0-9]")
        if self._try(lambda: self._literal(".")):
            self._run(_DIGITS, "[0-9]", at_least=1)
        return self._text[start : self._at]

    def _string(self) -> str:
        for quote in ('"', "`"):
            if not self._try(lambda quote=quote: self._literal(quote)):  # type: ignore[misc]
                continue
            end = self._text.find(quote, self._at)
            while quote == '"' and end > 0 and self._text[end - 1] == "\\":
                end = self._text.find(quote, end + 1)
            if end < 0:
                raise self._error_at(len(self._text), 'rule "string": Unterminated string literal')
            inner = self._text[self._at : end]
            self._at = end + 1
            return inner.replace('\\"', '"').replace("\\\\", "\\") if quote == '"' else inner
        raise _NoMatch

    # What the rules above are made of.

    def _word(self, word: str) -> bool:
        return self._try(lambda: self._words((word,), trailing=True))

    def _words(self, words: tuple[str, ...], trailing: bool) -> None:
        for word in words:
            self._blanks()
            self._literal(word)
        if trailing:
            self._blanks()

    def _sign(self, sign: str) -> None:
        self._optional_blanks()
        self._literal(sign)
        self._optional_blanks()

    def _sequence(self, *steps: Callable[[], None]) -> None:
        for step in steps:
            step()

    def _blanks(self) -> None:
        self._run(_BLANK, r"[ \t\r\n]", at_least=1)

    def _optional_blanks(self) -> None:
        self._run(_BLANK, r"[ \t\r\n]")

    def _run(self, characters: str, name: str, at_least: int = 0) -> str:
        start = self._at
        while self._at < len(self._text) and self._text[self._at] in characters:
            self._at += 1
        self._expect(name)
        if self._at - start < at_least:
            raise _NoMatch
        return self._text[start : self._at]

    def _literal(self, text: str) -> None:
        if not self._text.startswith(text, self._at):
            self._fail('"' + text.replace('"', '\\"') + '"')
        self._at += len(text)

    def _try(self, step: Callable[[], None]) -> bool:
        """Take the step, or stay where we are."""
        start = self._at
        try:
            step()
        except _NoMatch:
            self._at = start
            return False
        return True

    def _attempt(self, step: Callable[[], T]) -> T | None:
        start = self._at
        try:
            return step()
        except _NoMatch:
            self._at = start
            return None

    def _expect(self, name: str) -> None:
        if self._at > self._furthest:
            self._furthest, self._expected = self._at, set()
        if self._at == self._furthest:
            self._expected.add(name)

    def _fail(self, name: str) -> None:
        self._expect(name)
        raise _NoMatch

    def _error(self) -> BadRequest:
        expected = sorted(self._expected - {"EOF"}) + (["EOF"] if "EOF" in self._expected else [])
        text = ", ".join(expected[:-1]) + (" or " if len(expected) > 1 else "") + expected[-1]
        return self._error_at(self._furthest, f"no match found, expected: {text}")

    def _error_at(self, offset: int, message: str) -> BadRequest:
        line = self._text.count("\n", 0, offset) + 1
        column = offset - self._text.rfind("\n", 0, offset)
        return BadRequest(f"{line}:{column} ({offset}): {message}")


_OPERATORS = (
    (("is", "empty"), "empty", False),
    (("is", "not", "empty"), "empty", True),
    (("is", "nil"), "nil", False),
    (("is", "not", "nil"), "nil", True),
    (("contains",), "in", False),
    (("not", "contains"), "in", True),
    (("matches",), "matches", False),
    (("not", "matches"), "matches", True),
)


def _negate(match: Match, negated: bool) -> Expression:
    return Not(match) if negated else match


def _is_pointer_segment(part: str) -> bool:
    return all(c.isalnum() or c in "-_.~:|" for c in part)
