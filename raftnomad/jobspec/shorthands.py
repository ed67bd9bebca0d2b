"""What a job file may leave out or say in a shorter way, said in full.

Each struct that is more than its fields has a function here; `share` gives tasks what their job and group say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from raftnomad.hcl import syntax as s
from raftnomad.jobspec.blocks import Found
from raftnomad.model import resources as r
from raftnomad.model import submitted as j
from raftnomad.model.job import Secret
from raftnomad.model.row import Row
from raftnomad.model.service import WorkloadIdentity

_SECOND_NS = 1_000_000_000
_SCALING_TYPES = {"cpu": "vertical_cpu", "mem": "vertical_mem"}
_CONSTRAINT_OPERATORS = ("version", "semver", "regexp", "set_contains")
_AFFINITY_OPERATORS = ("version", "semver", "regexp", "set_contains", "set_contains_all", "set_contains_any")


def built(row_type: type[Row], fields: dict[str, Any], found: Found) -> Row:
    """The struct of what a block says."""
    builder = _BUILDERS.get(row_type)
    return row_type(**fields) if builder is None else builder(fields, found)


def _taken(fields: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: fields.pop(name) for name in names if name in fields}


def _constraint(fields: dict[str, Any], _found: Found) -> Row:
    ignored = ("set_contains_all", "set_contains_any", "is_set", "is_not_set")
    short = _taken(fields, (*_CONSTRAINT_OPERATORS, *ignored, "distinct_hosts", "distinct_property"))
    _equals_by_default(fields)
    for operator in _CONSTRAINT_OPERATORS:
        if short.get(operator):
            fields.update(operand=operator, r_target=short[operator])
    if short.get("distinct_hosts") is not None:
        fields.update(operand="distinct_hosts", r_target="true" if short["distinct_hosts"] else "false")
    if short.get("distinct_property"):
        fields.update(operand="distinct_property", l_target=short["distinct_property"])
    return r.Constraint(**fields)


def _equals_by_default(fields: dict[str, Any]) -> None:
    for name in ("l_target", "r_target", "operand"):
        if fields.get(name) is None:
            fields.pop(name, None)
    fields["operand"] = fields.get("operand") or "="


def _affinity(fields: dict[str, Any], _found: Found) -> Row:
    short = _taken(fields, _AFFINITY_OPERATORS)
    _equals_by_default(fields)
    for operator in _AFFINITY_OPERATORS:
        if short.get(operator):
            fields.update(operand=operator, r_target=short[operator])
    return j.Affinity(**fields)


def _template(fields: dict[str, Any], _found: Found) -> Row:
    return j.Template(
        **{"change_mode": "restart", "perms": "0644", "splay_ns": 5 * _SECOND_NS, "err_missing_key": False, **fields}
    )


def _change_script(fields: dict[str, Any], _found: Found) -> Row:
    defaults = {"args": (), "timeout_ns": 5 * _SECOND_NS, "fail_on_error": False, "run_on_first_render": False}
    return j.ChangeScript(**{**defaults, **fields})


def _vault(fields: dict[str, Any], _found: Found) -> Row:
    return j.Vault(**{"env": True, "disable_file": False, "change_mode": "restart", **fields})


def _network(fields: dict[str, Any], _found: Found) -> Row:
    """A port with a number is reserved, any other dynamic."""
    ports: tuple[j.Port, ...] = fields.pop("dynamic_ports", ())
    reserved = [port for port in ports if port.value > 0]
    dynamic = [port for port in ports if port.value <= 0]
    if reserved:
        fields["reserved_ports"] = (*fields.get("reserved_ports", ()), *reserved)
    return j.NetworkResource(**fields, dynamic_ports=tuple(dynamic) or None)


def _periodic(fields: dict[str, Any], _found: Found) -> Row:
    if fields.get("spec") is not None or fields.get("specs") is not None:
        fields["spec_type"] = "cron"
    return j.PeriodicConfig(**fields)


def _task(fields: dict[str, Any], _found: Found) -> Row:
    """An identity without a name, or named default, is the task's own."""
    identities: tuple[WorkloadIdentity, ...] | None = fields.get("identities")
    if identities is not None:
        own = [one for one in identities if one.name in ("", "default")]
        fields["identities"] = tuple(one for one in identities if one.name not in ("", "default"))
        if own:
            fields["identity"] = own[-1]
    return j.Task(**fields)


def _scaling(fields: dict[str, Any], found: Found) -> Row:
    if found.labels:
        return j.ScalingPolicy(**{**fields, "type": _SCALING_TYPES[found.labels[0].text.lower()]})
    fields.setdefault("type", "horizontal")
    if fields["type"] not in ("horizontal", ""):
        detail = f'task group scaling policy had invalid type: "{fields["type"]}"'
        attribute = found.body.attributes["type"]
        start, end = attribute.value.start, attribute.value.end
        found.scope.report("Invalid group scaling type", detail, start, end)
    return j.ScalingPolicy(**fields)


def check_task_scaling(found: list[Found]) -> list[Found]:
    """A task scales its CPU and its memory, each at most once."""
    seen: dict[str, Found] = {}
    kept: list[Found] = []
    for block in found:
        label = block.labels[0]
        name = label.text.lower()
        if name not in _SCALING_TYPES:
            detail = 'scaling policy name must be "cpu" or "mem"'
            block.scope.report("Invalid scaling policy name", detail, label.start, label.end)
        elif name in seen:
            detail = f"Only one scaling {name} block is allowed. Another was defined at {seen[name].where()}."
            block.scope.report(f'Duplicate scaling "{name}" block', detail, block.start, block.header_end)
        else:
            seen[name] = block
            if _right_type(block, _SCALING_TYPES[name]):
                kept.append(block)
    return kept


def _right_type(block: Found, wanted: str) -> bool:
    attribute = block.body.attributes.get("type")
    if attribute is None or not isinstance(attribute.value, s.Text) or attribute.value.value == wanted:
        return True
    detail = f'Invalid policy type, expected "{wanted}" but found "{attribute.value.value}"'
    block.scope.report("Invalid scaling policy type", detail, block.start, block.header_end)
    return False


def _group(fields: dict[str, Any], _found: Found) -> Row:
    shared = _taken(fields, ("vault", "secret"))
    tasks: tuple[j.Task, ...] | None = fields.get("tasks")
    if tasks is not None:
        fields["tasks"] = share(tasks, shared.get("vault"), shared.get("secret", ()))
    return j.TaskGroup(**fields)


def share(tasks: tuple[j.Task, ...], vault: j.Vault | None, secrets: tuple[Secret, ...]) -> tuple[j.Task, ...]:
    """Tasks with the vault that they do not have themselves, and with secrets besides their own."""
    return tuple(
        replace(task, vault=task.vault or vault, secrets=(*(task.secrets or ()), *secrets) or None) for task in tasks
    )


def job_of(name: str, fields: dict[str, Any]) -> j.Job:
    """A job by its label and what its block says; a task outside of groups is a group of its own."""
    shared = _taken(fields, ("vault", "secret", "task"))
    bare: tuple[j.Task, ...] = shared.get("task", ())
    groups = [j.TaskGroup(name=task.name, tasks=(task,)) for task in bare]
    groups.extend(fields.get("task_groups", ()))
    vault, secrets = shared.get("vault"), shared.get("secret", ())
    groups = [
        group if group.tasks is None else replace(group, tasks=share(group.tasks, vault, secrets)) for group in groups
    ]
    fields["task_groups"] = tuple(groups) or None
    for field in ("id", "name"):
        if fields.get(field) is None:
            fields[field] = name
    return j.Job(**fields)


_BUILDERS: dict[type[Row], Callable[[dict[str, Any], Found], Row]] = {
    r.Constraint: _constraint,
    j.Affinity: _affinity,
    j.Template: _template,
    j.ChangeScript: _change_script,
    j.Vault: _vault,
    j.NetworkResource: _network,
    j.PeriodicConfig: _periodic,
    j.Task: _task,
    j.TaskGroup: _group,
    j.ScalingPolicy: _scaling,
}
