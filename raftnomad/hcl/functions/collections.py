"""Functions of lists, sets, maps and what is like them."""

from __future__ import annotations

from itertools import product

from raftnomad.hcl.calls import Function, FunctionError, Parameter
from raftnomad.hcl.functions.arguments import whole
from raftnomad.hcl.numbers import Number
from raftnomad.hcl.values import (
    ConversionError,
    HclList,
    HclMap,
    HclSet,
    Type,
    Value,
    convert,
    element_of,
    elements,
    entries,
    equal,
    kind,
    make_set,
    name_of,
    to_number,
    to_string,
    type_of,
    unify,
)

_STRINGS: Type = ("list", "string")
_SEQUENCES = (tuple, HclList)
_NO_COLLECTION = "collection must be a list, a map or a tuple"


def _chunklist(items: HclList, size: Number) -> Value:
    length = whole(size)
    if length < 0:
        raise FunctionError("the size argument must be positive")
    values = items.items
    step = length or max(len(values), 1)
    chunks = [HclList(values[start : start + step], items.element) for start in range(0, len(values), step)]
    return HclList(tuple(chunks), ("list", items.element))


def _coalesce(*values: Value) -> Value:
    wanted = unify([type_of(value) for value in values])
    if not values or wanted is None:
        raise FunctionError("all arguments must have the same type")
    for value in values:
        if value is not None:
            return convert(value, wanted)
    raise FunctionError("no non-null arguments")


def _coalescelist(*lists: Value) -> Value:
    if not lists:
        raise FunctionError("at least one argument is required")
    for items in lists:
        if not isinstance(items, tuple | HclList | HclSet):
            raise FunctionError("coalescelist arguments must be lists or tuples")
        if elements(items):
            return items
    raise FunctionError("no non-null arguments")


def _compact(items: HclList) -> Value:
    return HclList(tuple(item for item in items.items if item not in (None, "")), "string")


def _concat(*sequences: Value) -> Value:
    if not sequences:
        raise FunctionError("at least one argument is required")
    for number, sequence in enumerate(sequences):
        if not isinstance(sequence, _SEQUENCES):
            raise FunctionError(f"all arguments must be lists or tuples; got {name_of(sequence)}", number)
    return tuple(item for sequence in sequences for item in elements(sequence))


def _contains(items: Value, value: Value) -> Value:
    if not isinstance(items, tuple | HclList | HclSet):
        raise FunctionError("argument must be list, tuple, or set")
    return any(equal(item, value) for item in elements(items))


def _distinct(items: HclList) -> Value:
    kept: list[Value] = []
    for item in items.items:
        if not any(equal(item, other) for other in kept):
            kept.append(item)
    return HclList(tuple(kept), items.element)


def _element(items: Value, index: Number) -> Value:
    if not isinstance(items, _SEQUENCES):
        raise FunctionError(f"cannot read elements from {name_of(items)}")
    values = elements(items)
    if not values:
        raise FunctionError("cannot use element function with an empty list")
    return values[whole(index) % len(values)]


def _flatten(items: Value) -> Value:
    if not isinstance(items, tuple | HclList | HclSet):
        raise FunctionError("can only flatten lists, sets and tuples")
    flat: list[Value] = []
    for item in elements(items):
        if isinstance(item, tuple | HclList | HclSet):
            flat.extend(elements(_flatten(item)))
        else:
            flat.append(item)
    return tuple(flat)


def _index(items: Value, key: Value) -> Value:
    """The element at a key: not where a value stands, in spite of the name."""
    if isinstance(items, HclMap):
        name = to_string(key)
        if name not in items.items:
            raise FunctionError("the given key does not identify an element in this collection value")
        return items.items[name]
    if not isinstance(items, _SEQUENCES):
        raise FunctionError(_NO_COLLECTION)
    if isinstance(key, str):
        raise FunctionError(f"key for {kind(type_of(items))} must be number")
    try:
        position = to_number(key)
    except ConversionError as error:
        raise FunctionError(str(error)) from None
    values = elements(items)
    if not isinstance(position, int) or not 0 <= position < len(values):
        raise FunctionError(f"key must be between 0 and {len(values)} inclusive")
    return values[position]


def _keys(items: Value) -> Value:
    if not isinstance(items, dict | HclMap):
        raise FunctionError("must have map or object type", 0)
    names = tuple(sorted(entries(items), key=str.encode))
    return HclList(names, "string") if isinstance(items, HclMap) else names


def _values(items: Value) -> Value:
    if not isinstance(items, dict | HclMap):
        raise FunctionError("values() requires a map as the first argument")
    ordered = tuple(item for _, item in sorted(entries(items).items(), key=lambda pair: pair[0].encode()))
    return HclList(ordered, items.element) if isinstance(items, HclMap) else ordered


def _length(items: Value) -> Value:
    if isinstance(items, HclMap):
        return len(items.items)
    if isinstance(items, tuple | HclList | HclSet):
        return len(elements(items))
    raise FunctionError(_NO_COLLECTION)


def _lookup(items: Value, key: str, default: Value) -> Value:
    if not isinstance(items, dict | HclMap):
        raise FunctionError("lookup() requires a map as the first argument")
    return entries(items).get(key, default)


def _merge(*maps: Value) -> Value:
    merged: dict[str, Value] = {}
    for one in maps:
        if one is None:
            continue
        if not isinstance(one, dict | HclMap):
            raise FunctionError(f'arguments must be maps or objects, got "{name_of(one)}"')
        merged.update(entries(one))
    kinds = {kind(type_of(one)) for one in maps if one is not None}
    inner = [element_of(type_of(one)) for one in maps if isinstance(one, HclMap)]
    if kinds == {"map"} and all(one == inner[0] for one in inner):
        return HclMap(merged, inner[0])
    return merged


def _setintersection(first: HclSet, *others: HclSet) -> Value:
    sets = _alike((first, *others))
    return make_set(
        [item for item in sets[0].items if all(any(equal(item, o) for o in s.items) for s in sets[1:])], sets[0].element
    )


def _setunion(first: HclSet, *others: HclSet) -> Value:
    sets = _alike((first, *others))
    return make_set([item for one in sets for item in one.items], sets[0].element)


def _alike(sets: tuple[HclSet, ...]) -> list[HclSet]:
    element = unify([one.element for one in sets if one.items]) if any(one.items for one in sets) else "dynamic"
    if element is None:
        raise FunctionError("given sets must all have compatible element types")
    converted = [convert(one, ("set", element)) for one in sets]
    assert all(isinstance(one, HclSet) for one in converted)
    return [one for one in converted if isinstance(one, HclSet)]


def _setproduct(*sets: Value) -> Value:
    if len(sets) < 2:
        raise FunctionError("at least two arguments are required")
    for number, one in enumerate(sets):
        if not isinstance(one, tuple | HclList | HclSet):
            raise FunctionError("a set or a list is required", number)
    tuples = [tuple(combination) for combination in product(*map(elements, sets))]
    if all(isinstance(one, HclSet) for one in sets):
        return make_set(tuples, type_of(tuples[0]) if tuples else "dynamic")
    return HclList(tuple(tuples), type_of(tuples[0]) if tuples else "dynamic")


def _slice(items: Value, start: Number, end: Number) -> Value:
    if not isinstance(items, _SEQUENCES):
        raise FunctionError(
            "cannot slice a set, because its elements do not have indices"
            if isinstance(items, HclSet)
            else "must be a list or tuple value",
            0,
        )
    first, last, values = whole(start), whole(end), elements(items)
    if first < 0:
        raise FunctionError("start index must not be less than zero", 1)
    if first > last:
        raise FunctionError("start index must not be greater than end index", 1)
    if last > len(values):
        raise FunctionError("end index must not be greater than the length of the list", 2)
    part = values[first:last]
    return HclList(part, items.element) if isinstance(items, HclList) else part


def _sort(items: HclList) -> Value:
    for index, item in enumerate(items.items):
        if item is None:
            raise FunctionError(f"given list element {index} is null; a null string cannot be sorted")
    return HclList(tuple(sorted(items.items, key=lambda item: str(item).encode())), "string")


def _zipmap(keys: HclList, values: Value) -> Value:
    if not isinstance(values, _SEQUENCES):
        raise FunctionError("values argument must be a list or tuple value", 1)
    found = elements(values)
    if len(keys.items) != len(found):
        raise FunctionError(f"number of keys ({len(keys.items)}) does not match number of values ({len(found)})")
    zipped = {to_string(key): value for key, value in zip(keys.items, found, strict=True)}
    return HclMap(zipped, values.element) if isinstance(values, HclList) else zipped


_ANY_SET = Parameter("first_set", ("set", "dynamic"))

COLLECTION_FUNCTIONS: dict[str, Function] = {
    "chunklist": Function(
        parameters=(Parameter("list", ("list", "dynamic")), Parameter("size", "number")), apply=_chunklist
    ),
    "coalesce": Function(rest=Parameter("vals", nullable=True), apply=_coalesce),
    "coalescelist": Function(rest=Parameter("vals", nullable=True), apply=_coalescelist),
    "compact": Function(parameters=(Parameter("list", _STRINGS),), apply=_compact),
    "concat": Function(rest=Parameter("seqs"), apply=_concat),
    "contains": Function(parameters=(Parameter("list"), Parameter("value")), apply=_contains),
    "distinct": Function(parameters=(Parameter("list", ("list", "dynamic")),), apply=_distinct),
    "element": Function(parameters=(Parameter("list"), Parameter("index", "number")), apply=_element),
    "flatten": Function(parameters=(Parameter("list"),), apply=_flatten),
    "index": Function(parameters=(Parameter("collection"), Parameter("key")), apply=_index),
    "keys": Function(parameters=(Parameter("inputMap"),), apply=_keys),
    "length": Function(parameters=(Parameter("collection"),), apply=_length),
    "lookup": Function(
        parameters=(Parameter("inputMap"), Parameter("key", "string"), Parameter("default", nullable=True)),
        apply=_lookup,
    ),
    "merge": Function(rest=Parameter("maps", nullable=True), apply=_merge),
    "setintersection": Function(
        parameters=(_ANY_SET,), rest=Parameter("other_sets", ("set", "dynamic")), apply=_setintersection
    ),
    "setproduct": Function(rest=Parameter("sets"), apply=_setproduct),
    "setunion": Function(parameters=(_ANY_SET,), rest=Parameter("other_sets", ("set", "dynamic")), apply=_setunion),
    "slice": Function(
        parameters=(Parameter("list"), Parameter("start_index", "number"), Parameter("end_index", "number")),
        apply=_slice,
    ),
    "sort": Function(parameters=(Parameter("list", _STRINGS),), apply=_sort),
    "values": Function(parameters=(Parameter("mapping"),), apply=_values),
    "zipmap": Function(parameters=(Parameter("keys", _STRINGS), Parameter("values")), apply=_zipmap),
}
