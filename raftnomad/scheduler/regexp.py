"""Regular expressions that can't be made to take long: all states are followed at once, one character at a time.

Users write the pattern and nodes the text; a backtracking matcher could be kept busy for ever by either. Python's
parser reads the pattern; what Nomad's engine does not have either (references, look-around) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

STATES_MAX = 20_000
TEXT_MAX = 64 * 1024

_Test = Callable[[str], bool]


class _Refused(Exception):
    pass


class Regexp:
    """A nondeterministic automaton: `_tests[state]` is what the state consumes, `_next[state]` where it goes."""

    def __init__(self) -> None:
        self._tests: list[_Test | None] = []
        self._conditions: list[Callable[[str, int], bool] | None] = []
        self._next: list[list[int]] = []
        self._start = 0
        self._end = 0

    def search(self, text: str) -> bool:
        """Whether the pattern is found anywhere in the text (its first 64 Ki characters)."""
        text = text[:TEXT_MAX]
        current: dict[int, None] = {}
        for position in range(len(text) + 1):
            self._follow(self._start, text, position, current)
            if self._end in current:
                return True
            if position == len(text):
                return False
            following: dict[int, None] = {}
            for state in current:
                test = self._tests[state]
                if test is not None and test(text[position]):
                    for target in self._next[state]:
                        self._follow(target, text, position + 1, following)
            current = following
        return False

    def _follow(self, state: int, text: str, position: int, into: dict[int, None]) -> None:
        """Add a state and all that is reached from it without consuming anything."""
        waiting = [state]
        while waiting:
            state = waiting.pop()
            if state in into:
                continue
            condition = self._conditions[state]
            if condition is not None and not condition(text, position):
                continue
            into[state] = None
            if self._tests[state] is None:
                waiting.extend(self._next[state])

    def _state(self, test: _Test | None = None, condition: Callable[[str, int], bool] | None = None) -> int:
        if len(self._tests) >= STATES_MAX:
            raise _Refused
        self._tests.append(test)
        self._conditions.append(condition)
        self._next.append([])
        return len(self._tests) - 1

    def _sequence(self, items: Any, flags: int, start: int) -> int:
        """Build the items one after the other from `start`; returns the state after the last."""
        for kind, argument in items:
            start = self._item(kind, argument, flags, start)
        return start

    def _item(self, kind: Any, argument: Any, flags: int, start: int) -> int:
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT):
            least, most, items = argument
            return self._repeat(least, most, items, flags, start)
        if kind is op.SUBPATTERN:
            _, added, removed, items = argument
            return self._sequence(items, (flags | added) & ~removed, start)
        if kind is op.BRANCH:
            end = self._state()
            for items in argument[1]:
                branch = self._state()
                self._next[start].append(branch)
                self._next[self._sequence(items, flags, branch)].append(end)
            return end
        if kind is op.AT:
            condition = _position(argument, flags)
            state = self._state(condition=condition)
            self._next[start].append(state)
            return state
        state = self._state(_character(kind, argument, flags))
        after = self._state()
        self._next[start].append(state)
        self._next[state].append(after)
        return after

    def _repeat(self, least: int, most: Any, items: Any, flags: int, start: int) -> int:
        for _ in range(least):
            start = self._sequence(items, flags, start)
        if most is op.MAXREPEAT:
            loop = self._state()
            self._next[start].append(loop)
            self._next[self._sequence(items, flags, self._fork(loop))].append(loop)
            after = self._state()
            self._next[loop].append(after)
            return after
        end = self._state()
        self._next[start].append(end)
        for _ in range(most - least):
            start = self._sequence(items, flags, self._fork(start))
            self._next[start].append(end)
        return end

    def _fork(self, state: int) -> int:
        branch = self._state()
        self._next[state].append(branch)
        return branch


def compile_regexp(pattern: str) -> Regexp | None:
    """None for what is no regular expression, or one that would need too many states."""
    regexp = Regexp()
    try:
        parsed = _parser.parse(pattern)
        regexp._start = regexp._state()
        regexp._end = regexp._sequence(parsed, parsed.state.flags, regexp._start)
    except (re.error, OverflowError, RecursionError, _Refused):
        return None
    return regexp


def _character(kind: Any, argument: Any, flags: int) -> _Test:
    if kind is op.ANY:
        return (lambda character: True) if flags & re.DOTALL else (lambda character: character != "\n")
    if kind is op.LITERAL or kind is op.NOT_LITERAL:
        return _literal(chr(argument), bool(flags & re.IGNORECASE), wanted=kind is op.LITERAL)
    if kind is op.IN:
        return _class(argument, flags)
    raise _Refused


def _literal(character: str, ignore_case: bool, wanted: bool) -> _Test:
    if ignore_case:
        folded = character.casefold()
        return lambda other: (other.casefold() == folded) == wanted
    return lambda other: (other == character) == wanted


def _class(items: Any, flags: int) -> _Test:
    """A class such as `[a-z\\d]` has no repetition in it, so that Python's own matcher is safe for one character."""
    negated = bool(items) and items[0][0] is op.NEGATE
    tests: list[_Test] = []
    for kind, argument in items[1:] if negated else items:
        if kind is op.LITERAL:
            tests.append(_within(argument, argument))
        elif kind is op.RANGE:
            tests.append(_within(*argument))
        elif kind is op.CATEGORY:
            tests.append(_CATEGORIES[argument])
        else:
            raise _Refused

    def test(character: str) -> bool:
        found = any(one(character) for one in tests)
        if not found and flags & re.IGNORECASE:
            found = any(
                one(other) for one in tests for other in (character.lower(), character.upper()) if len(other) == 1
            )
        return found != negated

    return test


def _within(low: int, high: int) -> _Test:
    return lambda character: low <= ord(character) <= high


def _is_word(character: str) -> bool:
    return character == "_" or (character.isascii() and character.isalnum())


# ASCII alone, as Nomad's engine has it.
_CATEGORIES: dict[Any, _Test] = {
    op.CATEGORY_DIGIT: lambda character: character in "0123456789",
    op.CATEGORY_NOT_DIGIT: lambda character: character not in "0123456789",
    op.CATEGORY_SPACE: lambda character: character in "\t\n\f\r ",
    op.CATEGORY_NOT_SPACE: lambda character: character not in "\t\n\f\r ",
    op.CATEGORY_WORD: _is_word,
    op.CATEGORY_NOT_WORD: lambda character: not _is_word(character),
}


def _position(kind: Any, flags: int) -> Callable[[str, int], bool]:
    lines = bool(flags & re.MULTILINE)
    if kind is op.AT_BEGINNING:
        return lambda text, position: position == 0 or (lines and text[position - 1] == "\n")
    if kind is op.AT_BEGINNING_STRING:
        return lambda text, position: position == 0
    if kind is op.AT_END:
        return lambda text, position: position == len(text) or (lines and text[position] == "\n")
    if kind is op.AT_END_STRING:
        return lambda text, position: position == len(text)
    if kind is op.AT_BOUNDARY:
        return _at_boundary
    if kind is op.AT_NON_BOUNDARY:
        return lambda text, position: not _at_boundary(text, position)
    raise _Refused


def _at_boundary(text: str, position: int) -> bool:
    before = position > 0 and _is_word(text[position - 1])
    after = position < len(text) and _is_word(text[position])
    return before != after
