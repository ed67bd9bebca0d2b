"""What a change to a job will do to its allocations, written beside each line of the difference."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from raftnomad.model.diff import ADDED, DELETED, NONE
from raftnomad.model.difference import FieldDiff, JobDiff, TaskDiff, TaskGroupDiff
from raftnomad.model.evaluation import DesiredUpdates

_CREATE = "forces create"
_DESTROY = "forces destroy"
_IN_PLACE = "forces in-place update"
_REPLACE = "forces create/destroy update"
_HARMLESS_FIELDS = frozenset(("KillTimeout",))
_HARMLESS_OBJECTS = frozenset(("LogConfig", "Service", "Constraint"))


def annotated(diff: JobDiff, desired: Mapping[str, DesiredUpdates]) -> JobDiff:
    """The difference with what the scheduler would do to each group."""
    groups = tuple(_group(group, desired.get(group.name)) for group in diff.task_groups or ())
    return replace(diff, task_groups=groups or None)


def _group(group: TaskGroupDiff, desired: DesiredUpdates | None) -> TaskGroupDiff:
    updates: dict[str, int] | None = None
    if desired is not None:
        counts = {
            "ignore": desired.ignore,
            "create": desired.place,
            "migrate": desired.migrate,
            "destroy": desired.stop,
            "canary": desired.canary,
            "in-place update": desired.in_place_update,
            "create/destroy update": desired.destructive_update,
            "preemptions": desired.preemptions,
        }
        updates = {name: count for name, count in counts.items() if count} or None
    fields = tuple(_count(field) if field.name == "Count" else field for field in group.fields or ())
    tasks = tuple(_task(task, group) for task in group.tasks or ())
    return replace(group, fields=fields or None, tasks=tasks or None, updates=updates)


def _count(field: FieldDiff) -> FieldDiff:
    old, new = int(field.old or 0), int(field.new or 0)
    return field if old == new else replace(field, annotations=(_CREATE if new > old else _DESTROY,))


def _task(task: TaskDiff, group: TaskGroupDiff) -> TaskDiff:
    if task.type == NONE:
        return task
    if group.type in (ADDED, DELETED):
        return replace(task, annotations=(_CREATE if group.type == ADDED else _DESTROY,))
    fields = any(field.type != NONE and field.name not in _HARMLESS_FIELDS for field in task.fields or ())
    objects = any(item.type != NONE and item.name not in _HARMLESS_OBJECTS for item in task.objects or ())
    return replace(task, annotations=(_REPLACE if fields or objects else _IN_PLACE,))
