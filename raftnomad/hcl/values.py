"""The values that expressions have, their types, and how one type becomes another.

A text is a `str`, a number see numbers.py, an object a `dict`, a tuple a `tuple`. Lists, sets and maps, whose elements
all have one type, are classes of their own. `UNKNOWN` is the value of what could not be evaluated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TypeAlias

import msgspec

from raftnomad.hcl.numbers import Number, format_number, is_number, parse_number


class Unknown:
    """What an expression has as its value after a mistake in it was reported."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()

Type: TypeAlias = str | tuple[str, object]
"""`"string"`, `"number"`, `"bool"`, `"dynamic"`, or a pair: `("list", element)`, `("object", {name: type})`."""


class HclList(msgspec.Struct, frozen=True):
    items: tuple[Value, ...]
    element: Type


class HclSet(msgspec.Struct, frozen=True):
    """In sorted order, without equal elements."""

    items: tuple[Value, ...]
    element: Type


class HclMap(msgspec.Struct, frozen=True):
    items: dict[str, Value]
    element: Type


Value: TypeAlias = (
    "bool | Number | str | tuple[Value, ...] | dict[str, Value] | HclList | HclSet | HclMap | Unknown | None"
)


class ConversionError(Exception):
    """A value that cannot become what is wanted; the text says what is wanted."""


def type_of(value: Value) -> Type:
    match value:
        case None | Unknown():
            return "dynamic"
        case bool():
            return "bool"
        case str():
            return "string"
        case tuple():
            return "tuple", tuple(map(type_of, value))
        case dict():
            return "object", {name: type_of(item) for name, item in value.items()}
        case HclList(element=element):
            return "list", element
        case HclSet(element=element):
            return "set", element
        case HclMap(element=element):
            return "map", element
        case _:
            return "number"


def kind(of: Type) -> str:
    return of if isinstance(of, str) else of[0]


def element_of(of: Type) -> Type:
    assert not isinstance(of, str)
    element = of[1]
    assert isinstance(element, str | tuple)
    return element


def attributes_of(of: Type) -> dict[str, Type]:
    assert not isinstance(of, str) and isinstance(of[1], dict)
    return of[1]


def items_of(of: Type) -> tuple[Type, ...]:
    assert not isinstance(of, str) and isinstance(of[1], tuple)
    return of[1]


def type_name(of: Type) -> str:
    """As messages call it: `number`, `list of string`, `object`."""
    match kind(of):
        case ("list" | "set" | "map") as collection:
            return f"{collection} of {type_name(element_of(of))}"
        case name:
            return name


def name_of(value: Value) -> str:
    return type_name(type_of(value))


def is_known(value: Value) -> bool:
    """Whether a value is known down to its last element."""
    match value:
        case Unknown():
            return False
        case tuple() | HclList() | HclSet():
            return all(map(is_known, elements(value)))
        case dict() | HclMap():
            return all(map(is_known, entries(value).values()))
        case _:
            return True


def elements(value: Value) -> tuple[Value, ...]:
    """The elements of a tuple, list or set."""
    if isinstance(value, HclList | HclSet):
        return value.items
    assert isinstance(value, tuple)
    return value


def entries(value: Value) -> Mapping[str, Value]:
    """The entries of an object or map."""
    if isinstance(value, HclMap):
        return value.items
    assert isinstance(value, dict)
    return value


def equal(left: Value, right: Value) -> bool:
    """Equal in type and value: `"1"` is not `1`, and a null equals every other null."""
    if left is None or right is None:
        return left is right
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if is_number(left) and is_number(right):
        return left == right
    if isinstance(left, dict | HclMap) and type(left) is type(right):
        mine, theirs = entries(left), entries(right)
        return mine.keys() == theirs.keys() and all(equal(item, theirs[name]) for name, item in mine.items())
    if isinstance(left, tuple | HclList | HclSet) and type(left) is type(right):
        ours, others = elements(left), elements(right)
        return len(ours) == len(others) and all(map(equal, ours, others))
    return type(left) is type(right) and left == right


def sort_key(value: Value) -> tuple[int, object]:
    """The order of a set's elements: nulls, booleans, numbers, texts, then all else by what it looks like."""
    if value is None:
        return 0, ""
    if isinstance(value, bool):
        return 1, value
    if isinstance(value, str):
        return 3, value.encode()
    if isinstance(value, int | Fraction | float):
        return 2, value
    return 4, repr(value)


def make_set(values: Iterable[Value], element: Type) -> HclSet:
    distinct: list[Value] = []
    for value in sorted(values, key=sort_key):
        if not any(equal(value, other) for other in distinct):
            distinct.append(value)
    return HclSet(tuple(distinct), element)


_BOOLS = {"true": True, "false": False, "1": True, "0": False}
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")


def convert(value: Value, wanted: Type) -> Value:
    """The value as one of another type; raises ConversionError."""
    if wanted == "dynamic" or value is None or isinstance(value, Unknown):
        return value
    match kind(wanted):
        case "string":
            return to_string(value)
        case "number":
            return to_number(value)
        case "bool":
            return to_bool(value)
        case "list" | "set":
            return _to_sequence(value, wanted)
        case "map":
            return _to_map(value, wanted)
        case "tuple":
            return _to_tuple(value, wanted)
        case _:
            return _to_object(value, wanted)


def to_string(value: Value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Fraction | float):
        return format_number(value)
    raise ConversionError(f"string required, but have {name_of(value)}")


def to_number(value: Value) -> Number:
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            return parse_number(value)
        raise ConversionError("a number is required")
    if isinstance(value, int | Fraction | float) and not isinstance(value, bool):
        return value
    raise ConversionError(f"number required, but have {name_of(value)}")


def to_bool(value: Value) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if value in _BOOLS:
            return _BOOLS[value]
        if value.lower() in ("true", "false"):
            raise ConversionError(f'a bool is required; to convert from string, use lowercase "{value.lower()}"')
        raise ConversionError("a bool is required")
    raise ConversionError(f"bool required, but have {name_of(value)}")


def mismatch(value: Value, wanted: Type) -> ConversionError:
    """A value of quite another kind. What a tuple or an object is, goes without saying where a collection is wanted."""
    required = f"{type_name(wanted)} required"
    return ConversionError(required if isinstance(value, tuple | dict) else f"{required}, but have {name_of(value)}")


def _to_sequence(value: Value, wanted: Type) -> Value:
    element = element_of(wanted)
    if not isinstance(value, tuple | HclList | HclSet):
        raise mismatch(value, wanted)
    inner = unify([type_of(item) for item in elements(value)]) if element == "dynamic" else element
    if inner is None:
        raise ConversionError("all list elements must have the same type")
    items = []
    for index, item in enumerate(elements(value)):
        items.append(_inside(f"element {index}", item, inner))
    return HclList(tuple(items), inner) if kind(wanted) == "list" else make_set(items, inner)


def _to_map(value: Value, wanted: Type) -> Value:
    element = element_of(wanted)
    if not isinstance(value, dict | HclMap):
        raise mismatch(value, wanted)
    inner = unify([type_of(item) for item in entries(value).values()]) if element == "dynamic" else element
    if inner is None:
        raise ConversionError("all map elements must have the same type")
    return HclMap({name: _inside(f'element "{name}"', item, inner) for name, item in entries(value).items()}, inner)


def _to_tuple(value: Value, wanted: Type) -> Value:
    types = items_of(wanted)
    if not isinstance(value, tuple | HclList | HclSet):
        raise mismatch(value, wanted)
    if len(elements(value)) != len(types):
        raise ConversionError("tuple required")
    return tuple(_inside(f"element {i}", item, types[i]) for i, item in enumerate(elements(value)))


def _to_object(value: Value, wanted: Type) -> Value:
    types = attributes_of(wanted)
    if not isinstance(value, dict | HclMap):
        raise mismatch(value, wanted)
    missing = sorted(name for name in types if name not in entries(value))
    if missing:
        quoted = [f'"{name}"' for name in missing]
        if len(quoted) == 1:
            raise ConversionError(f"attribute {quoted[0]} is required")
        *first, last = quoted
        raise ConversionError(f"attributes {', '.join(first)}{',' if len(first) > 1 else ''} and {last} are required")
    return {name: _inside(f'attribute "{name}"', entries(value)[name], types[name]) for name in sorted(types)}


def _inside(where: str, value: Value, wanted: Type) -> Value:
    try:
        return convert(value, wanted)
    except ConversionError as error:
        raise ConversionError(f"{where}: {error}") from None


def unify(types: list[Type]) -> Type | None:
    """The one type that values of all these types can become; None if there is none."""
    known = [one for one in types if one != "dynamic"]
    if not known:
        return "dynamic"
    if all(one == known[0] for one in known):
        return known[0]
    kinds = {kind(one) for one in known}
    if kinds <= {"string", "number", "bool"}:
        return "string" if "string" in kinds else None
    if kinds == {"tuple"} and len({len(items_of(one)) for one in known}) == 1:
        columns = [unify(list(column)) for column in zip(*map(items_of, known), strict=True)]
        if all(column is not None for column in columns):
            return "tuple", tuple(columns)
    if kinds <= {"tuple", "list"}:
        return _unify_elements("list", known)
    if kinds <= {"tuple", "list", "set"}:
        return _unify_elements("set", known)
    if kinds == {"object"}:
        return _unify_objects(known)
    if kinds <= {"object", "map"}:
        return _unify_elements("map", known)
    return None


def _unify_elements(collection: str, types: list[Type]) -> Type | None:
    inner: list[Type] = []
    for one in types:
        if kind(one) == "tuple":
            inner.extend(items_of(one))
        elif kind(one) == "object":
            inner.extend(attributes_of(one).values())
        else:
            inner.append(element_of(one))
    element = unify(inner)
    return None if element is None else (collection, element)


def _unify_objects(types: list[Type]) -> Type | None:
    shapes = [attributes_of(one) for one in types]
    if any(shape.keys() != shapes[0].keys() for shape in shapes):
        return _unify_elements("map", types)
    result: dict[str, Type] = {}
    for name in shapes[0]:
        one = unify([shape[name] for shape in shapes])
        if one is None:
            return None
        result[name] = one
    return "object", result


def to_python(value: Value) -> object:
    """Plain Python for JSON: ints and floats, lists, dicts; what is unknown is None."""
    if value is None or isinstance(value, Unknown):
        return None
    if isinstance(value, bool | str):
        return value
    if isinstance(value, tuple | HclList | HclSet):
        return [to_python(item) for item in elements(value)]
    if isinstance(value, dict | HclMap):
        return {name: to_python(item) for name, item in sorted(entries(value).items())}
    return _plain_number(value)


def _plain_number(value: Number) -> int | float:
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else float(value)
    return float(value) if not (isinstance(value, float) and math.isinf(value)) else value


def from_python(value: object) -> Value:
    """The value of decoded JSON."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return parse_number(repr(value))
    if isinstance(value, list | tuple):
        return tuple(map(from_python, value))
    assert isinstance(value, dict)
    return {str(name): from_python(item) for name, item in value.items()}
