"""The types of rows' fields as JSON sees them, and as Go calls them.

Stands alone because two readers need it: `wire` for bodies, `api/filters` for selectors such as `Meta.zone`.
"""

from __future__ import annotations

import types
import typing
from functools import cache
from typing import Any

import msgspec

from raftnomad.model.row import Row


class Field(typing.NamedTuple):
    """`name` is Nomad's, `attribute` ours; `hint` is the type, or `DURATION`."""

    name: str
    hint: Any
    attribute: str


class Shape(typing.NamedTuple):
    """What a type asks of JSON. `fields` of a struct are found under Nomad's spelling and in lower case."""

    kind: str
    """any, str, int, unsigned, duration, float, bool, bytes, struct, list or map."""
    json: str
    go_type: str
    zero: Any = None
    name: str = ""
    fields: dict[str, Field] = {}
    element: Any = None


class _Marker:
    """Stands for a type that Go tells apart and Python does not."""


UNSIGNED = _Marker()
DURATION = _Marker()
DURATION_OR_TEXT = _Marker()
"""The few durations that the API also takes as text, such as `24h`."""

_TEXT_TOO = ("node_identity_ttl_ns",)
_INTEGER_TIMES = (
    "time_ns",
    "submit_time_ns",
    "create_time_ns",
    "modify_time_ns",
    "reschedule_time_ns",
    "tagged_time_ns",
    "start_delay_ns",
)
"""Fields that count nanoseconds and that Go calls integers."""

_SCALARS: dict[Any, Shape] = {
    str: Shape("str", "string", "string", ""),
    int: Shape("int", "number", "int", 0),
    float: Shape("float", "number", "float64", 0.0),
    bool: Shape("bool", "bool", "bool", False),
    bytes: Shape("bytes", "string", "[]uint8", None),
    UNSIGNED: Shape("unsigned", "number", "uint64", 0),
    DURATION: Shape("int", "number", "time.Duration", 0),
    DURATION_OR_TEXT: Shape("duration", "number", "time.Duration", 0),
    Any: Shape("any", "", "interface {}"),
}


@cache
def shape_of(hint: Any) -> Shape:
    if hint in _SCALARS:
        return _SCALARS[hint]
    if isinstance(hint, type) and issubclass(hint, Row):
        return _struct_shape(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType or origin is typing.Union:
        return shape_of(next(a for a in arguments if a is not type(None)))
    if origin is tuple:
        return Shape("list", "array", f"[]{_element_type(arguments[0])}", (), element=arguments[0])
    if origin is dict:
        return Shape("map", "object", f"map[string]{_element_type(arguments[1])}", element=arguments[1])
    return _SCALARS[Any]


def _element_type(hint: Any) -> str:
    shape = shape_of(hint)
    return f"*{shape.go_type}" if shape.kind == "struct" else shape.go_type


def _struct_shape(row_type: type[Row]) -> Shape:
    hints = typing.get_type_hints(row_type)
    fields: dict[str, Field] = {}
    for field in msgspec.structs.fields(row_type):
        hint = hints[field.name]
        if field.name.endswith(("_index", "version")) and shape_of(hint).kind == "int":
            hint = UNSIGNED
        elif field.name.endswith("_ns") and field.name not in _INTEGER_TIMES:
            hint = DURATION_OR_TEXT if field.name in _TEXT_TOO else DURATION
        entry = Field(field.encode_name, hint, field.name)
        fields[field.encode_name] = entry
        fields.setdefault(field.encode_name.lower(), entry)
    return Shape("struct", "object", f"api.{row_type.__name__}", name=row_type.__name__, fields=fields)
