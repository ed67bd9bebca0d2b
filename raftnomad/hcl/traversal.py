"""One step into a value: an attribute, or an index."""

from __future__ import annotations

from fractions import Fraction

from raftnomad.hcl.values import (
    UNKNOWN,
    ConversionError,
    HclList,
    HclMap,
    Unknown,
    Value,
    elements,
    entries,
    name_of,
    to_number,
    to_string,
)

_NO_ELEMENT = "The given key does not identify an element in this collection value"


class StepError(Exception):
    def __init__(self, summary: str, detail: str) -> None:
        super().__init__(detail)
        self.summary = summary
        self.detail = detail


def take_step(value: Value, key: Value, attribute: bool) -> Value:
    """The value that `.key` or `[key]` leads to; raises StepError."""
    if isinstance(value, Unknown):
        return UNKNOWN
    if attribute:
        assert isinstance(key, str)
        return _attribute(value, key)
    return _element(value, key)


def _attribute(value: Value, name: str) -> Value:
    if value is None:
        raise StepError(
            "Attempt to get attribute from null value",
            "This value is null, so it does not have any attributes.",
        )
    if isinstance(value, HclMap):
        if name in value.items:
            return value.items[name]
        raise StepError("Missing map element", f'This map does not have an element with the key "{name}".')
    if isinstance(value, dict):
        if name in value:
            return value[name]
        raise StepError("Unsupported attribute", f'This object does not have an attribute named "{name}".')
    if isinstance(value, bool | str | int | float | Fraction):
        detail = f"Can't access attributes on a primitive-typed value ({name_of(value)})."
        raise StepError("Unsupported attribute", detail)
    raise StepError("Unsupported attribute", "This value does not have any attributes.")


def _element(value: Value, key: Value) -> Value:
    if isinstance(key, Unknown):
        return UNKNOWN
    if value is None:
        raise StepError("Attempt to index null value", "This value is null, so it does not have any indices.")
    if key is None:
        raise StepError("Invalid index", "Can't use a null value as an indexing key.")
    if isinstance(value, tuple | HclList):
        return elements(value)[_position(key, len(elements(value)))]
    if isinstance(value, dict | HclMap):
        try:
            name = to_string(key)
        except ConversionError as error:
            raise StepError("Invalid index", f"{_NO_ELEMENT}: {error}.") from None
        if name not in entries(value):
            raise StepError("Invalid index", f"{_NO_ELEMENT}.")
        return entries(value)[name]
    raise StepError("Invalid index", "This value does not have any indices.")


def _position(key: Value, length: int) -> int:
    try:
        number = to_number(key)
    except ConversionError as error:
        raise StepError("Invalid index", f"{_NO_ELEMENT}: {error}.") from None
    if number < 0:
        raise StepError("Invalid index", f"{_NO_ELEMENT}: a negative number is not a valid index for a sequence.")
    if number != number // 1:
        detail = "indexing a sequence requires a whole number, but the given index has a fractional part"
        raise StepError("Invalid index", f"{_NO_ELEMENT}: {detail}.")
    if number >= length:
        detail = "the given index is greater than or equal to the length of the collection"
        if length == 0:
            detail = "the collection has no elements"
        raise StepError("Invalid index", f"{_NO_ELEMENT}: {detail}.")
    return int(number)
