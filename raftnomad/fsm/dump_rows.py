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
        twins = msgspec.structs.fields(positional(Allocation))
        fields: list[Any] = []
        self._nested: list[tuple[int, Any, Any, Any, Any]] = []
        """(place, the type in a row, the type by position, the default in a row, by position)"""
        for place, (twin, field) in enumerate(zip(twins, msgspec.structs.fields(Allocation), strict=True)):
            if twin.name in _SHARED:
                fields.append((twin.name, int, -1))
                continue
            fields.append((twin.name, twin.type, twin.default))
            if hints[twin.name] not in (str, int) and twin.name != "preempted_allocations":
                self._nested.append((place, hints[twin.name], twin.type, field.default, twin.default))
        self._names = tuple(twin.name for twin in twins)
        self._shared = tuple((self._names.index(name), name) for name in _SHARED)
        self._repeated = tuple(self._names.index(name) for name in _REPEATED)
        self._by_position: Any = msgspec.defstruct(
            "AllocationRow", fields, array_like=True, frozen=True, gc=False, kw_only=True
        )
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(self._by_position)
        self._texts: dict[str, str] = {}

    def encode(self, alloc: Allocation, numbers: dict[str, int]) -> bytes:
        values = list(msgspec.structs.astuple(alloc))
        for place, name in self._shared:
            values[place] = numbers[name]
        for place, _, by_position, default, twin_default in self._nested:
            value = values[place]
            if value is None:
                continue
            if value == default:
                values[place] = twin_default
            else:
                values[place] = msgspec.convert(value, by_position, from_attributes=True)
        return _encoder.encode(values)

    def decode(self, body: bytes, pools: dict[str, list[Any]]) -> Allocation:
        values = list(msgspec.structs.astuple(self._decoder.decode(body)))
        for place, row_type, _, default, twin_default in self._nested:
            value = values[place]
            if value is None:
                continue
            values[place] = default if value == twin_default else msgspec.convert(value, row_type, from_attributes=True)
        for place, name in self._shared:
            number = values[place]
            values[place] = pools[name][number] if number >= 0 else None
        texts = self._texts
        for place in self._repeated:
            values[place] = texts.setdefault(values[place], values[place])
        return Allocation(**dict(zip(self._names, values, strict=True)))
