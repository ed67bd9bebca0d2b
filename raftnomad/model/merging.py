"""Filling in what a submitted struct leaves open."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from raftnomad.model.row import Row

R = TypeVar("R", bound=Row)


def merged(row: R | None, default: R) -> R:
    """A row, with the default's value for every field that is None."""
    if row is None:
        return default
    values = {name: getattr(row, name) for name in row.__struct_fields__}
    missing = {name: getattr(default, name) for name, value in values.items() if value is None}
    return replace(row, **missing) if missing else row
