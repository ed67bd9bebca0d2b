"""From what stands in a file to settings, guided by the fields of the settings themselves."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass, field
from typing import Any

import msgspec

from raftnomad.config.known import HARMLESS, WITHOUT_EFFECT
from raftnomad.durations import parse_duration
from raftnomad.errors import ConfigurationError
from raftnomad.hcl.legacy import Object
from raftnomad.model.row import Row


@dataclass
class Decoder:
    """Collects the keys that are Nomad's and have no effect here: `without_effect`."""

    without_effect: list[str] = field(default_factory=list)

    def decode(self, row_type: type[Row], raw: Object, path: str = "") -> dict[str, Any]:
        """The values that are set, by field name; nested objects as dicts. Raises ConfigurationError."""
        fields = _fields(row_type)
        self._refuse_unknown(raw, fields, path)
        values: dict[str, Any] = {}
        for key, occurrences in raw.items():
            if key in fields:
                name, hint = fields[key]
                values[name] = self._value(hint, occurrences, f"{path}.{key}" if path else key, name)
        return values

    def _refuse_unknown(self, raw: Object, fields: dict[str, Any], path: str) -> None:
        pattern = _pattern(path)
        known = WITHOUT_EFFECT.get(pattern, frozenset())
        unknown = [key for key in raw if key not in fields and key not in known]
        if unknown:
            where = f"{path} " if path else ""
            raise ConfigurationError(f"{where}unexpected keys {', '.join(unknown)}")
        ignored = [f"{path}.{key}" if path else key for key in raw if key in known]
        self.without_effect += [key for key in ignored if key not in HARMLESS]

    def _value(self, hint: Any, occurrences: list[Any], path: str, name: str) -> Any:
        if isinstance(hint, type) and issubclass(hint, Row):
            merged: dict[str, Any] = {}
            for one in _objects(occurrences, path):
                merged = merge(merged, self.decode(hint, one, path))
            return merged
        origin = typing.get_origin(hint)
        if origin is dict:
            return self._labelled(typing.get_args(hint)[1], occurrences, path)
        if origin is tuple:
            return [
                _scalar(str, item, path) for one in occurrences for item in (one if isinstance(one, list) else [one])
            ]
        if name.endswith("_ns"):
            return _duration(occurrences[-1], path)
        return _scalar(hint, occurrences[-1], path)

    def _labelled(self, value_type: Any, occurrences: list[Any], path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for one in _objects(occurrences, path):
            for label, inner in one.items():
                if isinstance(value_type, type) and issubclass(value_type, Row):
                    found[label] = self._value(value_type, inner, f"{path}.{label}", label)
                elif value_type is str:
                    found[label] = _scalar(str, inner[-1], f"{path}.{label}")
                else:
                    found[label] = plain(inner)
        return found


def _fields(row_type: type[Row]) -> dict[str, tuple[str, Any]]:
    """Key of the file -> field name and type."""
    hints = typing.get_type_hints(row_type)
    return {
        field.name.removesuffix("_ns"): (field.name, hints[field.name])
        for field in msgspec.structs.fields(row_type)
        if field.name != "dev_mode"
    }


def _pattern(path: str) -> str:
    parts = path.split(".")
    if len(parts) == 2 and parts[0] == "plugin":
        return "plugin.*"
    if len(parts) == 3 and parts[1] in ("host_volume", "host_network"):
        return f"client.{parts[1]}.*"
    return path


def _objects(occurrences: list[Any], path: str) -> list[Object]:
    for one in occurrences:
        if not isinstance(one, dict):
            raise ConfigurationError(f"{path} should be a block")
    return occurrences


def _scalar(kind: Any, value: Any, path: str) -> Any:
    if isinstance(kind, types.UnionType):
        kind = typing.get_args(kind)[0]
    if kind is bool:
        return _bool(value)
    if kind is str:
        if isinstance(value, (dict, list)):
            raise ConfigurationError(f"{path} should be a string")
        return str(value).lower() if isinstance(value, bool) else str(value)
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{path}: {value!r} is not a number") from None


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value) in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if str(value) in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ConfigurationError(f'decodeBool: Unknown value for boolean: "{value}"')


def _duration(value: Any, path: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return parse_duration(str(value))
    except ValueError:
        raise ConfigurationError(f"{path} can't parse time duration {value}") from None


def plain(occurrences: list[Any]) -> Any:
    """A value for a driver: the last of scalars, one object of blocks."""
    if all(isinstance(one, dict) for one in occurrences):
        merged: dict[str, Any] = {}
        for one in occurrences:
            merged |= {key: plain(inner) for key, inner in one.items()}
        return merged
    last = occurrences[-1]
    return [plain([item]) if isinstance(item, dict) else item for item in last] if isinstance(last, list) else last


def merge(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Later values win; lists are joined; objects are merged; `enabled` once true stays so."""
    merged = dict(earlier)
    for key, value in later.items():
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            merged[key] = merge(before, value)
        elif isinstance(before, list) and isinstance(value, list):
            merged[key] = [*before, *(item for item in value if item not in before)]
        elif key in ("enabled", "dev_mode") and before is True:
            merged[key] = True
        else:
            merged[key] = value
    return merged
