"""The shape of a driver's `config`: which keys there are, of which kind, and what is wrong with one that is given.

Every driver states its keys in a table; a key that is not in it is refused by name, as Nomad does.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a key holds, in the words that its error messages use."""

    STRING = "string"
    NUMBER = "number"
    BOOL = "bool"
    STRINGS = "list of string"
    STRING_MAP = "map of string"
    BLOCK = "object"
    """A block that may stand once; parsed job files give it as a list of one object."""
    BLOCKS = "list of object"


Schema = Mapping[str, Kind]

NOT_AN_OBJECT = (
    "Root value must be object: The root value in a JSON-based configuration must be either a JSON object or a JSON "
    "array of objects."
)


def problems(config: Mapping[str, Any] | None, schema: Schema, required: tuple[str, ...] = ()) -> list[str]:
    """What is wrong with a `config`, one sentence each."""
    if not config and required:
        return [NOT_AN_OBJECT]
    config = config or {}
    found = [
        f'Invalid label: No argument or block type is named "{key}".' for key in sorted(config) if key not in schema
    ]
    found += [
        f'Missing required argument: The argument "{key}" is required, but no definition was found.'
        for key in required
        if config.get(key) is None
    ]
    return found + [
        f'Incorrect attribute value type: Inappropriate value for attribute "{key}": {kind} required, but have '
        f"{_kind_of(config[key])}."
        for key, kind in schema.items()
        if config.get(key) is not None and not _fits(config[key], kind)
    ]


def text(config: Mapping[str, Any], key: str, default: str = "") -> str:
    value = config.get(key)
    if value is None:
        return default
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def number(config: Mapping[str, Any], key: str, default: int = 0) -> int:
    value = config.get(key)
    return default if value is None or value == "" else int(float(value))


def flag(config: Mapping[str, Any], key: str, default: bool = False) -> bool:
    value = config.get(key)
    return default if value is None else value in (True, "true", "1", 1)


def strings(config: Mapping[str, Any], key: str) -> list[str]:
    return [str(item) for item in config.get(key) or []]


def string_map(config: Mapping[str, Any], key: str) -> dict[str, str]:
    """A map, also when it was written as one or more blocks."""
    value = config.get(key) or {}
    merged: dict[str, str] = {}
    for part in value if isinstance(value, list) else [value]:
        merged |= {str(name): text(part, name) for name in part}
    return merged


def blocks(config: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = config.get(key)
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _fits(value: Any, kind: Kind) -> bool:
    match kind:
        case Kind.STRING:
            return isinstance(value, str | int | float | bool)
        case Kind.NUMBER:
            return not isinstance(value, bool) and _is_number(value)
        case Kind.BOOL:
            return isinstance(value, bool) or value in ("true", "false", "1", "0")
        case Kind.STRINGS:
            return isinstance(value, list | tuple) and all(isinstance(item, str | int | float) for item in value)
        case Kind.STRING_MAP | Kind.BLOCK | Kind.BLOCKS:
            parts = value if isinstance(value, list) else [value]
            return all(isinstance(part, Mapping) for part in parts) and not (kind is Kind.BLOCK and len(parts) > 1)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _kind_of(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list() | tuple():
            return "tuple"
        case _:
            return "object"
