"""What changed between two versions of a job, as `job plan` and `job history` show it.

One rule for every struct: texts, numbers and maps of texts are fields, everything else is an object below it. Blocks
that have a name are compared with the one of the same name, others are added and removed as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from raftnomad.model.difference import FieldDiff, JobDiff, ObjectDiff, TaskDiff, TaskGroupDiff
from raftnomad.model.job import Job, Task, TaskGroup
from raftnomad.model.resources import Resources
from raftnomad.model.row import Row
from raftnomad.model.service import Service, ServiceCheck

ADDED, DELETED, EDITED, NONE = "Added", "Deleted", "Edited", "None"

_SINGULAR = {
    "Constraints": "Constraint",
    "Affinities": "Affinity",
    "Spreads": "Spread",
    "Services": "Service",
    "Checks": "Check",
    "Networks": "Network",
    "Devices": "Device",
    "Artifacts": "Artifact",
    "Templates": "Template",
    "VolumeMounts": "VolumeMount",
    "ScalingPolicies": "ScalingPolicy",
    "Actions": "Action",
    "Secrets": "Secret",
    "Links": "Link",
    "ReservedPorts": "Static Port",
    "DynamicPorts": "Dynamic Port",
    "Wait": "Template",
}
_JOB_LEFT_OUT = frozenset(
    (
        "ID",
        "Status",
        "StatusDescription",
        "Version",
        "Stable",
        "CreateIndex",
        "ModifyIndex",
        "JobModifyIndex",
        "Update",
        "SubmitTime",
        "NomadTokenID",
        "TaskGroups",
        "VersionTag",
        "Payload",
    )
)
_GROUP_LEFT_OUT = frozenset(("Name", "Tasks"))
_TASK_LEFT_OUT = frozenset(("Name", "RestartPolicy"))
_GROUP_ORDER = (
    "Constraints",
    "Affinities",
    "Spreads",
    "RestartPolicy",
    "Migrate",
    "ReschedulePolicy",
    "Disconnect",
    "EphemeralDisk",
    "Consul",
    "Update",
    "Networks",
    "Services",
    "Volumes",
    "Scaling",
)
"""The order in which a group's objects are shown."""

_NAMED: dict[type[Row], Callable[[Any], str]] = {
    Service: lambda service: f"{service.name}",
    ServiceCheck: lambda check: f"{check.name}",
}
_LEFT_OUT: dict[str, frozenset[str]] = {
    "Update": frozenset(("Stagger",)),
    "Network": frozenset(("Device", "CIDR", "IP", "MBits")),
    "Dynamic Port": frozenset(("IgnoreCollision", "Value")),
    "Static Port": frozenset(("IgnoreCollision",)),
    "Scaling": frozenset(("ID", "CreateIndex", "ModifyIndex", "Target")),
    "ScalingPolicy": frozenset(("ID", "CreateIndex", "ModifyIndex", "Target")),
}

_T = TypeVar("_T", Task, TaskGroup)


class DifferentJobs(ValueError):
    """Two jobs with different identifiers cannot be compared."""


def diff_jobs(old: Job | None, new: Job | None, contextual: bool) -> JobDiff:
    """What has to change for the old job to become the new one; None is a job that is not there.

    With `contextual`, an object that changed also shows what did not change in it.
    """
    if old is not None and new is not None and old.id != new.id:
        raise DifferentJobs(f'can not diff jobs with different IDs: "{old.id}" and "{new.id}"')
    fields = _field_diffs(_flat(old, _JOB_LEFT_OUT), _flat(new, _JOB_LEFT_OUT), False)
    objects = _inner_objects(old, new, _JOB_LEFT_OUT, contextual)
    groups = [
        _group_diff(one, other, contextual)
        for one, other in _pairs(old.task_groups if old else None, new.task_groups if new else None)
    ]
    changed = bool(fields or objects or any(group.type != NONE for group in groups))
    present = new if new is not None else old
    return JobDiff(
        type=_type(old, new, changed),
        id=present.id if present is not None else "",
        fields=tuple(fields) or None,
        objects=tuple(objects) or None,
        task_groups=tuple(sorted(groups, key=lambda group: group.name)) or None,
    )


def job_diff(old: Job | None, new: Job | None, contextual: bool = True) -> JobDiff:
    return diff_jobs(old, new, contextual)


def _type(old: object, new: object, changed: bool) -> str:
    if old is None:
        return ADDED
    if new is None:
        return DELETED
    return EDITED if changed else NONE


def _pairs(old: Sequence[_T] | None, new: Sequence[_T] | None) -> Iterable[tuple[_T | None, _T | None]]:
    """Those of one name side by side."""
    before = {one.name: one for one in old or ()}
    after = {one.name: one for one in new or ()}
    for name in sorted(before.keys() | after.keys()):
        yield before.get(name), after.get(name)


def _group_diff(old: TaskGroup | None, new: TaskGroup | None, contextual: bool) -> TaskGroupDiff:
    fields = _field_diffs(_flat(old, _GROUP_LEFT_OUT), _flat(new, _GROUP_LEFT_OUT), False)
    objects = _inner_objects(old, new, _GROUP_LEFT_OUT, contextual)
    tasks = [
        _task_diff(one, other, contextual)
        for one, other in _pairs(old.tasks if old else None, new.tasks if new else None)
    ]
    changed = bool(fields or objects or any(task.type != NONE for task in tasks))
    present = new if new is not None else old
    assert present is not None
    return TaskGroupDiff(
        type=_type(old, new, changed),
        name=present.name,
        fields=tuple(fields) or None,
        objects=tuple(objects) or None,
        tasks=tuple(tasks) or None,
    )


def _task_diff(old: Task | None, new: Task | None, contextual: bool) -> TaskDiff:
    fields = _field_diffs(_flat(old, _TASK_LEFT_OUT), _flat(new, _TASK_LEFT_OUT), False)
    objects = _inner_objects(old, new, _TASK_LEFT_OUT, contextual)
    present = new if new is not None else old
    assert present is not None
    return TaskDiff(
        # A restart policy that changed makes the task count as edited, though it is shown with the group.
        type=_type(old, new, old != new),
        name=present.name,
        fields=tuple(fields) or None,
        objects=tuple(objects) or None,
    )


def _entries(row: Row | None) -> Iterable[tuple[str, Any]]:
    if row is not None:
        for field in msgspec.structs.fields(row):
            yield field.encode_name, getattr(row, field.name)


def _flat(row: Row | None, left_out: frozenset[str]) -> dict[str, str]:
    """The fields of a struct as texts; an entry of a map is `Env[A]`."""
    flat: dict[str, str] = {}
    for name, value in _entries(row):
        if name in left_out:
            continue
        if isinstance(value, bool | int | float | str):
            flat[name] = _shown(value)
        elif name in ("Env", "Meta", "CanaryMeta", "GetterOptions", "GetterHeaders", "TaggedAddresses") and value:
            flat.update({f"{name}[{key}]": _shown(item) for key, item in value.items()})
    return flat


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _field_diffs(old: Mapping[str, str], new: Mapping[str, str], contextual: bool) -> list[FieldDiff]:
    diffs: list[FieldDiff] = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name, ""), new.get(name, "")
        if before == after:
            if contextual:
                diffs.append(FieldDiff(type=NONE, name=name, old=before, new=after))
        elif not before:
            diffs.append(FieldDiff(type=ADDED, name=name, old=before, new=after))
        elif not after:
            diffs.append(FieldDiff(type=DELETED, name=name, old=before, new=after))
        else:
            diffs.append(FieldDiff(type=EDITED, name=name, old=before, new=after))
    return diffs


def _inner_objects(old: Row | None, new: Row | None, left_out: frozenset[str], contextual: bool) -> list[ObjectDiff]:
    before, after = dict(_entries(old)), dict(_entries(new))
    objects: list[ObjectDiff] = []
    names = _GROUP_ORDER if isinstance(old if old is not None else new, TaskGroup) else (*before, *after)
    for name in dict.fromkeys(names):
        if name not in left_out:
            objects += _object_diffs(name, before.get(name), after.get(name), contextual)
    return objects


def _object_diffs(name: str, old: Any, new: Any, contextual: bool) -> list[ObjectDiff]:
    sample = old if old is not None else new
    if isinstance(sample, Row):
        found = _row_diff(_SINGULAR.get(name, name), old, new, contextual)
        return [] if found is None else [found]
    if isinstance(sample, tuple):
        first = next(iter(old or new or ()), None)
        if isinstance(first, Row):
            return _rows_diff(_SINGULAR.get(name, name), old or (), new or (), contextual)
        found = _texts_diff(name, old or (), new or (), contextual)
        return [] if found is None else [found]
    if isinstance(sample, dict):
        return _map_diffs(name, old or {}, new or {}, contextual)
    return []


def _row_diff(name: str, old: Row | None, new: Row | None, contextual: bool) -> ObjectDiff | None:
    if old == new:
        return None
    left_out = _LEFT_OUT.get(name, frozenset())
    fields = _field_diffs(_flat(old, left_out), _flat(new, left_out), contextual)
    objects = _inner_objects(old, new, left_out, contextual)
    changed = any(field.type != NONE for field in fields) or bool(objects)
    if old is not None and new is not None and not changed:
        return None
    return ObjectDiff(
        type=_type(old, new, changed), name=name, fields=tuple(fields) or None, objects=tuple(objects) or None
    )


def _rows_diff(name: str, old: Sequence[Row], new: Sequence[Row], contextual: bool) -> list[ObjectDiff]:
    sample = next(iter((*old, *new)))
    key = _NAMED.get(type(sample))
    if key is not None:
        before, after = {key(row): row for row in old}, {key(row): row for row in new}
        pairs = [(before.get(one), after.get(one)) for one in sorted(before.keys() | after.keys())]
    else:
        removed = [row for row in old if row not in new]
        added = [row for row in new if row not in old]
        if isinstance(sample, Resources):
            pairs = list(zip(removed, added, strict=False))
        else:
            pairs = [*((row, None) for row in removed), *((None, row) for row in added)]
    found = [_row_diff(name, one, other, contextual) for one, other in pairs]
    return sorted((one for one in found if one is not None), key=_order)


def _order(diff: ObjectDiff) -> tuple[Any, ...]:
    order = {ADDED: 0, DELETED: 1, EDITED: 2, NONE: 3}
    return diff.name, order[diff.type], [(field.name, field.old, field.new) for field in diff.fields or ()]


def _texts_diff(name: str, old: Sequence[Any], new: Sequence[Any], contextual: bool) -> ObjectDiff | None:
    """A list as a set of texts."""
    before, after = set(map(_shown, old)), set(map(_shown, new))
    if before == after:
        return None
    fields = [FieldDiff(type=ADDED, name=name, new=text) for text in sorted(after - before)]
    fields += [FieldDiff(type=DELETED, name=name, old=text) for text in sorted(before - after)]
    if contextual:
        fields += [FieldDiff(type=NONE, name=name, old=text, new=text) for text in sorted(before & after)]
    kind = EDITED if after - before and before - after else ADDED if after - before else DELETED
    fields.sort(key=lambda field: (field.name, field.old))
    return ObjectDiff(type=kind, name=name, fields=tuple(fields))


def _map_diffs(name: str, old: Mapping[str, Any], new: Mapping[str, Any], contextual: bool) -> list[ObjectDiff]:
    if name in ("Env", "Meta", "CanaryMeta", "GetterOptions", "GetterHeaders", "TaggedAddresses"):
        return []
    values = [*old.values(), *new.values()]
    if values and all(isinstance(value, Row) for value in values):
        singular = {"Volumes": "Volume"}.get(name, name)
        found = [_row_diff(singular, old.get(key), new.get(key), contextual) for key in sorted(old.keys() | new.keys())]
        return [one for one in found if one is not None]
    before, after = _flat_any(old), _flat_any(new)
    if before == after:
        return []
    fields = _field_diffs(before, after, contextual)
    return [ObjectDiff(type=_type(old or None, new or None, True), name=name, fields=tuple(fields) or None)]


def _flat_any(value: Any, prefix: str = "") -> dict[str, str]:
    """Configuration of any shape as texts: `args[0]`, `mount[0][source]`."""
    if isinstance(value, Mapping):
        flat: dict[str, str] = {}
        for key, item in value.items():
            flat.update(_flat_any(item, f"{prefix}[{key}]" if prefix else str(key)))
        return flat
    if isinstance(value, list | tuple):
        flat = {}
        for index, item in enumerate(value):
            flat.update(_flat_any(item, f"{prefix}[{index}]"))
        return flat
    return {prefix: "null" if value is None else _shown(value)}
