"""The base of every record: frozen, named as Python names things, spelled on the wire as Nomad spells them.

One definition serves two encodings. As it stands a row is encoded with Nomad's names, for JSON.
`positional(cls)` gives its twin for the log and for snapshots: fields by position, only ever appended.
"""

from __future__ import annotations

import types
import typing
from functools import cache
from typing import Any

import msgspec

Time = str
"""A wall-clock time as RFC 3339 with nanoseconds, as Nomad prints `time.Time`."""

ZERO_TIME: Time = "0001-01-01T00:00:00Z"
"""What a time that was never set looks like on the wire."""

_WORDS = {
    word.lower(): word
    for word in [
        "ACL",
        "CIDR",
        "CNI",
        "CPU",
        "CSI",
        "DNS",
        "FS",
        "GC",
        "GRPC",
        "HTTP",
        "ID",
        "IDs",
        "IOPS",
        "IP",
        "IPv6",
        "MB",
        "MBits",
        "NUMA",
        "RPC",
        "SE",
        "SELinux",
        "TG",
        "TLS",
        "TTL",
        "UI",
        "URL",
    ]
}


def go_name(name: str) -> str:
    """The wire's name of a field: `node_id` is `NodeID`; a trailing unit `_ns` is not part of it."""
    return "".join(_WORDS.get(word, word.capitalize()) for word in name.removesuffix("_ns").split("_"))


R = typing.TypeVar("R", bound="Row")


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename=go_name):
    """A record of the cluster's state. Durations end in `_ns` and count nanoseconds."""


@cache
def positional(row_type: type[Row]) -> type[msgspec.Struct]:
    """The twin of a row type that is encoded as an array: fields may be appended, never moved or removed."""
    hints = typing.get_type_hints(row_type)
    fields: list[Any] = []
    for field in msgspec.structs.fields(row_type):
        if field.default_factory is not msgspec.NODEFAULT:
            default: Any = msgspec.field(default_factory=_positional_factory(field.default_factory))
        elif isinstance(field.default, Row):
            default = msgspec.convert(field.default, positional(type(field.default)), from_attributes=True)
        else:
            default = field.default
        fields.append((field.name, _positional_type(hints[field.name]), default))
    return msgspec.defstruct(row_type.__name__, fields, array_like=True, frozen=True, gc=False, kw_only=True)


def _positional_factory(factory: Any) -> Any:
    if isinstance(factory, type) and issubclass(factory, Row):
        return positional(factory)
    return factory


def _positional_type(hint: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, Row):
        return positional(hint)
    origin = typing.get_origin(hint)
    if origin is None:
        return hint
    arguments = tuple(_positional_type(argument) for argument in typing.get_args(hint))
    if origin is types.UnionType or origin is typing.Union:
        return typing.Union[arguments]  # noqa: UP007 - of types known only now
    return origin[arguments]


def to_positional(row: Row) -> msgspec.Struct:
    """The same record, ready for `msgspec.msgpack.encode` as an array."""
    return msgspec.convert(row, positional(type(row)), from_attributes=True)


def from_positional(value: msgspec.Struct, row_type: type[R]) -> R:
    """The record that a decoded positional twin stands for."""
    return msgspec.convert(value, row_type, from_attributes=True)
