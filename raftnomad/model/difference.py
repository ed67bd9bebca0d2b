"""What changed between two versions of a job, as `job plan` and `job history` show it."""

from __future__ import annotations

from raftnomad.model.row import Row


class FieldDiff(Row, frozen=True, kw_only=True):
    type: str = ""
    name: str = ""
    old: str = ""
    new: str = ""
    annotations: tuple[str, ...] | None = None


class ObjectDiff(Row, frozen=True, kw_only=True):
    type: str = ""
    name: str = ""
    fields: tuple[FieldDiff, ...] | None = None
    objects: tuple[ObjectDiff, ...] | None = None


class TaskDiff(Row, frozen=True, kw_only=True):
    type: str = ""
    name: str = ""
    fields: tuple[FieldDiff, ...] | None = None
    objects: tuple[ObjectDiff, ...] | None = None
    annotations: tuple[str, ...] | None = None


class TaskGroupDiff(Row, frozen=True, kw_only=True):
    type: str = ""
    name: str = ""
    fields: tuple[FieldDiff, ...] | None = None
    objects: tuple[ObjectDiff, ...] | None = None
    tasks: tuple[TaskDiff, ...] | None = None
    updates: dict[str, int] | None = None


class JobDiff(Row, frozen=True, kw_only=True):
    type: str = ""
    id: str = ""
    fields: tuple[FieldDiff, ...] | None = None
    objects: tuple[ObjectDiff, ...] | None = None
    task_groups: tuple[TaskGroupDiff, ...] | None = None
