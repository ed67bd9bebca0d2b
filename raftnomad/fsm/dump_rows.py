"""How a dump writes rows: by position; what many rows share, once and by number."""

from __future__ import annotations

import typing
from typing import Any

import msgspec

from raftnomad.model.allocation import Allocation
from raftnomad.model.row import Row, from_positional, positional, to_positional

_encoder = msgspec.msgpack.Encoder()


class PlainRows:
    """A table's rows as (key, row)."""

    def __init__(self, row_type: type[Row]) -> None:
        self._row_type = row_type
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(
            tuple[msgspec.Raw, positional(row_type)]  # type: ignore[misc]
        )

    def encode(self, key: Any, row: Row) -> bytes:
        return _encoder.encode((key, to_positional(row)))

    def decode(self, body: bytes) -> tuple[Any, Row]:
        raw_key, value = self._decoder.decode(body)
        key = msgspec.msgpack.decode(raw_key)
        return tuple(key) if isinstance(key, list) else key, from_positional(value, self._row_type)


class Pool:
    """Numbers for rows that others refer to; a row is written when it is first referred to. -1 is None."""

    def __init__(self, tag: int) -> None:
        self._tag = bytes((tag,))
        self._numbers: dict[int, tuple[int, Row]] = {}
        """By identity. The row is held, so that no other row can take its place in memory."""

    def number(self, row: Row | None) -> tuple[int, bytes | None]:
        """The row's number and, the first time, the item that defines it."""
        if row is None:
            return -1, None
        known = self._numbers.get(id(row))
        if known is not None:
            return known[0], None
        number = len(self._numbers)
        self._numbers[id(row)] = (number, row)
        return number, self._tag + _encoder.encode(to_positional(row))


class PoolReader:
    def __init__(self, row_type: type[Row]) -> None:
        self._row_type = row_type
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(positional(row_type))
        self.rows: list[Any] = []

    def add(self, body: bytes) -> None:
        self.rows.append(from_positional(self._decoder.decode(body), self._row_type))


_SHARED = ("job", "allocated_resources", "metrics")
_REPEATED = (
    "namespace",
    "eval_id",
    "node_id",
    "node_name",
    "job_id",
    "task_group",
    "desired_status",
    "desired_description",
    "client_status",
    "client_description",
    "deployment_id",
)
"""Texts that thousands of allocations have in common: one object each after a restore, as after an apply."""


class AllocationRows:
    def __init__(self) -> None:
        hints = typing.get_type_hints(Allocation)
        twin = {field.name: field for field in msgspec.structs.fields(positional(Allocation))}
        fields: list[Any] = []
        self._nested: list[tuple[str, Any, Any]] = []
        """(field, the type it has in a row, the type it has by position)"""
        for name, field in twin.items():
            if name in _SHARED:
                fields.append((name, int, -1))
                continue
            default = field.default_factory if field.default is msgspec.NODEFAULT else field.default
            if field.default is msgspec.NODEFAULT:
                fields.append((name, field.type, msgspec.field(default_factory=default)))
            else:
                fields.append((name, field.type, default))
            if hints[name] not in (str, int) and name != "preempted_allocations":
                self._nested.append((name, hints[name], field.type))
        self._names = tuple(twin)
        self._by_position: Any = msgspec.defstruct(
            "AllocationRow", fields, array_like=True, frozen=True, gc=False, kw_only=True
        )
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(self._by_position)
        self._texts: dict[str, str] = {}

    def encode(self, alloc: Allocation, numbers: dict[str, int]) -> bytes:
        values = {name: getattr(alloc, name) for name in self._names}
        values.update(numbers)
        for name, _, by_position in self._nested:
            if values[name] is not None:
                values[name] = msgspec.convert(values[name], by_position, from_attributes=True)
        return _encoder.encode(list(values.values()))

    def decode(self, body: bytes, pools: dict[str, list[Any]]) -> Allocation:
        read = self._decoder.decode(body)
        values = {name: getattr(read, name) for name in self._names}
        for name, row_type, _ in self._nested:
            if values[name] is not None:
                values[name] = msgspec.convert(values[name], row_type, from_attributes=True)
        for name in _SHARED:
            values[name] = pools[name][values[name]] if values[name] >= 0 else None
        for name in _REPEATED:
            values[name] = self._texts.setdefault(values[name], values[name])
        return Allocation(**values)
