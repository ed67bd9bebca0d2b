"""Is there an order of these operations, each somewhere between its call and its return, that one register explains?

Wing and Gong's search with Lowe's memory of configurations already tried. Operations without a known outcome may take
effect at any time after their call, or never.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

NEVER = math.inf

Step = Callable[[Any, Any, Any], tuple[bool, Any]]
"""(state, input, output or None if unknown) -> (whether that output is possible, the state after it)."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    called_s: float
    returned_s: float
    """NEVER when nobody knows its outcome."""
    input: tuple[Any, ...]
    output: Any = None


class _Event:
    """In a doubly linked list, so that an operation can be taken out and put back in constant time."""

    __slots__ = ("match", "next", "operation", "previous", "returns")

    def __init__(self, operation: int, returns: bool) -> None:
        self.operation = operation
        self.returns = returns
        self.match: _Event | None = None
        self.previous: _Event | None = None
        self.next: _Event | None = None

    def take_out(self) -> None:
        assert self.previous is not None
        self.previous.next = self.next
        if self.next is not None:
            self.next.previous = self.previous

    def put_back(self) -> None:
        assert self.previous is not None
        self.previous.next = self
        if self.next is not None:
            self.next.previous = self


def is_linearizable(
    operations: Sequence[Operation], initial: Hashable, step: Step, steps_max: int = 2_000_000
) -> bool | None:
    """None when the search was given up."""
    head = _events(operations)
    state: Any = initial
    linearized = 0
    tried: set[tuple[int, Any]] = {(0, initial)}
    stack: list[tuple[_Event, Any]] = []
    current = head.next
    for _ in range(steps_max):
        if current is None:
            return True
        if not current.returns:
            operation = operations[current.operation]
            possible, after = step(state, operation.input, operation.output)
            done = linearized | (1 << current.operation)
            if possible and (done, after) not in tried:
                tried.add((done, after))
                stack.append((current, state))
                state, linearized = after, done
                current.take_out()
                assert current.match is not None
                current.match.take_out()
                current = head.next
            else:
                current = current.next
        elif operations[current.operation].returned_s == NEVER:
            return True  # What is left may never have happened.
        elif not stack:
            return False
        else:
            undone, state = stack.pop()
            linearized &= ~(1 << undone.operation)
            assert undone.match is not None
            undone.match.put_back()
            undone.put_back()
            current = undone.next
    return None


def _events(operations: Sequence[Operation]) -> _Event:
    order = sorted(
        [(o.called_s, 0, i) for i, o in enumerate(operations)]
        + [(o.returned_s, 1, i) for i, o in enumerate(operations)]
    )
    head = last = _Event(-1, False)
    calls: dict[int, _Event] = {}
    for _, returns, index in order:
        event = _Event(index, bool(returns))
        event.previous, last.next = last, event
        last = event
        if returns:
            calls[index].match = event
        else:
            calls[index] = event
    return head


def register_step(state: int, given: tuple[Any, ...], output: Any) -> tuple[bool, int]:
    match given:
        case ("read",):
            return output in (None, state), state
        case ("write", value):
            return True, value
        case ("swap", expected, value):
            done = state == expected
            return output in (None, done), value if done else state
    raise AssertionError(given)
