"""`-json`: an object with every field it can have, keys sorted, as the API's Go structs would print it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raftnomad.model.row import Row


def full_json(value: Any, row_type: type[Row] | None = None) -> str:
    """`value` is what the API answered; fields that it left out because they are empty are filled in."""
    if row_type is not None:
        if isinstance(value, list):
            value = [_filled(item, row_type) for item in value]
        elif value is not None:
            value = _filled(value, row_type)
    return json.dumps(value, indent=4, sort_keys=True, ensure_ascii=False)


def _filled(value: dict[str, Any], row_type: type[Row]) -> dict[str, Any]:
    import msgspec

    plain = msgspec.json.decode(
        msgspec.json.encode(msgspec.defstruct("Plain", _fields(row_type), kw_only=True, rename=_names(row_type))())
    )
    return {**plain, **value}


def _fields(row_type: type[Row]) -> list[Any]:
    import msgspec

    fields: list[Any] = []
    for field in msgspec.structs.fields(row_type):
        if field.default_factory is not msgspec.NODEFAULT:
            default = msgspec.field(default_factory=field.default_factory)
        else:
            default = field.default
        fields.append((field.name, Any, default))
    return fields


def _names(row_type: type[Row]) -> dict[str, str]:
    import msgspec

    return {field.name: field.encode_name for field in msgspec.structs.fields(row_type)}
