"""A small machine for the log to drive: registers by key, which knows proposals that it has seen before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgpack

from raftnomad import errors
from raftnomad.fsm.outcome import Applied, Outcome, Rejected


def write(identifier: str, key: str, value: int) -> bytes:
    packed: bytes = msgpack.packb([identifier, "write", key, value, 0])
    return packed


def swap(identifier: str, key: str, expected: int, value: int) -> bytes:
    """Compare and set: `Applied.value` is 1 when it was done, 0 when the register held something else."""
    packed: bytes = msgpack.packb([identifier, "swap", key, expected, value])
    return packed


class Registers:
    """Each distinct proposal raises `index` by one, as commands raise that of `fsm.State`."""

    def __init__(self, on_apply: Callable[[int, bytes], None] | None = None) -> None:
        self.values: dict[str, int] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.index = 0
        self._on_apply = on_apply
        self.went_back = False

    def apply(self, proposals: Sequence[bytes]) -> list[Outcome]:
        return [self._apply(proposal) for proposal in proposals]

    def _apply(self, proposal: bytes) -> Outcome:
        identifier, kind, key, first, second = msgpack.unpackb(proposal)
        if identifier in self.outcomes:
            return self.outcomes[identifier]
        self.index += 1
        if self._on_apply is not None:
            self._on_apply(self.index, proposal)
        outcome: Outcome = Applied(index=self.index, value=1)
        if kind == "write":
            self.values[key] = first
        elif self.values.get(key, 0) == first:
            self.values[key] = second
        else:
            outcome = Rejected(index=self.index, reason="the register holds something else")
        self.outcomes[identifier] = outcome
        return outcome

    def dump(self) -> bytes:
        rows = [[i, type(o).__name__, o.index] for i, o in self.outcomes.items()]
        packed: bytes = msgpack.packb([self.index, self.values, rows])
        return packed

    def load(self, packed: bytes) -> None:
        before = self.index
        self.index, self.values, rows = msgpack.unpackb(packed)
        self.outcomes = {
            identifier: Applied(index=index, value=1)
            if kind == "Applied"
            else Rejected(index=index, reason="the register holds something else")
            for identifier, kind, index in rows
        }
        self.went_back |= self.index < before

    def open_dump(self) -> RegistersDump:
        return RegistersDump(self.dump())

    def begin_restore(self) -> RegistersRestore:
        return RegistersRestore(self)


class RegistersDump:
    def __init__(self, packed: bytes, chunk_bytes: int = 100) -> None:
        self._chunks = [packed[i : i + chunk_bytes] for i in range(0, len(packed), chunk_bytes)]

    def next_chunk(self) -> bytes | None:
        return self._chunks.pop(0) if self._chunks else None

    def close(self) -> None: ...


class RegistersRestore:
    def __init__(self, machine: Registers) -> None:
        self._machine = machine
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        self._parts.append(chunk)

    def finish(self) -> None:
        try:
            self._machine.load(b"".join(self._parts))
        except (ValueError, TypeError) as error:
            raise errors.DataDirectoryError("the dump is damaged") from error


def key_and_input(proposal: bytes) -> tuple[str, tuple[Any, ...]]:
    """For the linearizability checker."""
    _, kind, key, first, second = msgpack.unpackb(proposal)
    return key, ("write", first) if kind == "write" else ("swap", first, second)
