"""What changed between two versions of a job, as `job plan` and `job history` print it."""

from __future__ import annotations

from typing import Any

_MARKS = {"Added": "+ ", "Deleted": "- ", "Edited": "+/- ", "None": ""}
_UPDATES = (
    ("ignore", "ignore"),
    ("create", "create"),
    ("destroy", "destroy"),
    ("migrate", "migrate"),
    ("canary", "canary"),
    ("in-place update", "in-place update"),
    ("create/destroy update", "create/destroy update"),
)


def job_diff(diff: dict[str, Any], verbose: bool) -> str:
    """A JobDiff; parts that did not change are shown only when `verbose`, except groups and tasks of a plan."""
    lines = [f'{_MARKS[diff["Type"]]}Job: "{diff["ID"]}"']
    if diff["Type"] == "Edited" or verbose:
        lines += _fields_and_objects(diff, 0)
    for group in diff.get("TaskGroups") or ():
        lines += _group(group, diff["Type"], verbose)
    return "\n".join(lines)


def _group(group: dict[str, Any], job_type: str, verbose: bool) -> list[str]:
    edited = job_type == "Edited"
    mark = _MARKS[group["Type"]] or ("    " if edited else "")
    updates = group.get("Updates") or {}
    counts = [f"{updates[key]} {name}" for key, name in sorted(_UPDATES) if updates.get(key)]
    suffix = f" ({', '.join(counts)})" if counts else ""
    lines = [f'{mark}Task Group: "{group["Name"]}"{suffix}']
    if group["Type"] == "Edited" or verbose:
        lines += _fields_and_objects(group, 2)
    for task in group.get("Tasks") or ():
        lines += _task(task, group["Type"], verbose, edited)
    return lines


def _task(task: dict[str, Any], group_type: str, verbose: bool, job_edited: bool) -> list[str]:
    mark = _MARKS[task["Type"]] or ("    " if job_edited and group_type == "Edited" else "")
    if not mark and job_edited:
        mark = "    "
    annotations = _annotations(task.get("Annotations"))
    lines = [f'  {mark}Task: "{task["Name"]}"{annotations}']
    if task["Type"] == "None" or (task["Type"] != "Edited" and not verbose):
        return lines
    return lines + _fields_and_objects(task, 4)


def _annotations(annotations: list[str] | None) -> str:
    return f" ({', '.join(annotations)})" if annotations else ""


def _fields_and_objects(diff: dict[str, Any], indent: int) -> list[str]:
    fields, objects = diff.get("Fields") or [], diff.get("Objects") or []
    name_width = max((len(part["Name"]) for part in fields), default=0)
    mark_width = _mark_width(diff)
    lines = [_field(field, indent, name_width, mark_width) for field in fields]
    for nested in objects:
        lines += _object(nested, indent, mark_width)
    return lines


def _mark_width(diff: dict[str, Any]) -> int:
    parts = [*(diff.get("Fields") or ()), *(diff.get("Objects") or ())]
    return max((len(_MARKS[part["Type"]]) for part in parts), default=0)


def _field(field: dict[str, Any], indent: int, name_width: int, mark_width: int) -> str:
    mark = _MARKS[field["Type"]].ljust(mark_width)
    padding = " " * (name_width - len(field["Name"]))
    old, new = field.get("Old", ""), field.get("New", "")
    if field["Type"] == "Edited":
        value = f'"{old}" => "{new}"'
    else:
        value = f'"{old if field["Type"] == "Deleted" else new}"'
    return f"{' ' * indent}{mark}{field['Name']}: {padding}{value}{_annotations(field.get('Annotations'))}"


def _object(diff: dict[str, Any], indent: int, mark_width: int) -> list[str]:
    """Names inside are two columns right of the object's name; their marks stand before them."""
    mark = _MARKS[diff["Type"]].ljust(mark_width)
    name_column = indent + len(mark)
    lines = [f"{' ' * indent}{mark}{diff['Name']} {{"]
    lines += _fields_and_objects(diff, name_column + 2 - _mark_width(diff))
    return [*lines, f"{' ' * name_column}}}"]
