"""Which attributes and blocks a job file may have, and which field of a submitted job each of them is.

Most of it follows from the types in `model.submitted`: an attribute has the name of its field, a struct is a block.
The tables here hold the rest: names that differ, fields that job files do not have, labels, and what is required.
"""

from __future__ import annotations

import types
import typing
from enum import Enum
from functools import cache
from typing import Any

import msgspec

from raftnomad.model import job as j
from raftnomad.model import resources as r
from raftnomad.model import service as v
from raftnomad.model import submitted as s
from raftnomad.model import submitted_connect as c
from raftnomad.model.row import Row


class Kind(Enum):
    TEXT = "text"
    INTEGER = "integer"
    UNSIGNED = "unsigned"
    UNSIGNED_16 = "unsigned of 16 bits"
    UNSIGNED_8 = "unsigned of 8 bits"
    SIGNED_8 = "signed of 8 bits"
    SMALL = "small"
    """Eight bits, silently cut to them; so is an affinity's weight."""
    BOOL = "bool"
    DURATION = "duration"
    TEXTS = "texts"
    INTEGERS = "integers"
    TEXT_MAP = "text map"


class Form(Enum):
    SINGLE = "one block"
    REPEATED = "any number of blocks"
    NAMED = "any number of blocks, kept by their label"
    TEXT_MAP = "one block of texts"
    TEXT_MAP_OR_ATTRIBUTE = "one block of texts, or an attribute that is a map"
    TEXTS_MAP = "one block of lists of texts"
    FREE = "one block of anything"


class Attribute(msgspec.Struct, frozen=True):
    field: str
    kind: Kind
    nullable: bool


class Nested(msgspec.Struct, frozen=True):
    """`label` is what messages call the label, or None if the block has none; `label_field` is where it goes."""

    field: str
    form: Form
    row_type: type[Row] | None = None
    label: str | None = None
    label_field: str | None = None


class Spec(msgspec.Struct, frozen=True):
    """Everything that may stand in one kind of block."""

    row_type: type[Row]
    attributes: dict[str, Attribute]
    blocks: dict[str, Nested]
    required: tuple[str, ...]


_NAMES: dict[type[Row], dict[str, str | None]] = {
    s.Job: {
        "constraints": "constraint",
        "affinities": "affinity",
        "task_groups": "group",
        "spreads": "spread",
        "parameterized_job": "parameterized",
        **dict.fromkeys(
            (
                "stop",
                "parent_id",
                "dispatched",
                "dispatch_idempotency_token",
                "payload",
                "consul_namespace",
                "vault_namespace",
                "nomad_token_id",
                "status",
                "status_description",
                "stable",
                "version",
                "submit_time_ns",
                "create_index",
                "modify_index",
                "job_modify_index",
                "version_tag",
            )
        ),
    },
    s.TaskGroup: {
        "name": None,
        "constraints": "constraint",
        "affinities": "affinity",
        "tasks": "task",
        "spreads": "spread",
        "volumes": "volume",
        "restart_policy": "restart",
        "reschedule_policy": "reschedule",
        "networks": "network",
        "services": "service",
    },
    s.Task: {
        "name": None,
        "constraints": "constraint",
        "affinities": "affinity",
        "services": "service",
        "restart_policy": "restart",
        "log_config": "logs",
        "artifacts": "artifact",
        "templates": "template",
        "volume_mounts": "volume_mount",
        "csi_plugin_config": "csi_plugin",
        "scaling_policies": "scaling",
        "secrets": "secret",
        "identity": None,
        "identities": "identity",
        "actions": "action",
    },
    s.Resources: {
        "memory_mb": "memory",
        "memory_max_mb": "memory_max",
        "disk_mb": "disk",
        "networks": "network",
        "devices": "device",
        "secrets_mb": "secrets",
    },
    s.RequestedDevice: {"name": None, "constraints": "constraint", "affinities": "affinity"},
    s.NetworkResource: {"dynamic_ports": "port", "reserved_ports": "reserved_ports"},
    s.Port: {"label": None, "value": "static"},
    s.Affinity: {"l_target": "attribute", "r_target": "value", "operand": "operator"},
    r.Constraint: {"l_target": "attribute", "r_target": "value", "operand": "operator"},
    s.Spread: {"spread_target": "target"},
    r.SpreadTarget: {"value": None},
    s.EphemeralDisk: {"size_mb": "size"},
    s.PeriodicConfig: {"spec": "cron", "specs": "crons", "spec_type": None},
    s.Multiregion: {"regions": "region"},
    s.MultiregionRegion: {"name": None},
    s.ScalingPolicy: dict.fromkeys(("id", "namespace", "target", "create_index", "modify_index")),
    s.VolumeRequest: {"name": None},
    s.LogConfig: {"max_file_size_mb": "max_file_size"},
    c.SidecarLogConfig: {"max_file_size_mb": "max_file_size"},
    c.SidecarResources: {
        "memory_mb": "memory",
        "memory_max_mb": "memory_max",
        "disk_mb": "disk",
        "secrets_mb": "secrets",
        "networks": None,
        "devices": None,
    },
    c.SidecarTask: {"log_config": "logs", "volume_mounts": "volume_mount", "identities": "identity"},
    s.Template: {
        "source_path": "source",
        "dest_path": "destination",
        "embedded_tmpl": "data",
        "left_delim": "left_delimiter",
        "right_delim": "right_delimiter",
        "envvars": "env",
        "err_missing_key": "error_on_missing_key",
    },
    s.TaskArtifact: {
        "getter_source": "source",
        "getter_options": "options",
        "getter_headers": "headers",
        "getter_mode": "mode",
        "getter_insecure": "insecure",
        "relative_dest": "destination",
    },
    s.Service: {"port_label": "port", "checks": "check", "task_name": "task"},
    s.ServiceCheck: {"port_label": "port", "task_name": "task"},
    v.WorkloadIdentity: {"audience": "aud"},
    j.Action: {"name": None},
    j.Secret: {"name": None},
    s.JobUIConfig: {"links": "link"},
    c.ConsulProxy: {"expose_config": None},
    c.ConsulExposeConfig: {"paths": "path", "path": None},
    c.ConsulGatewayBindAddress: {"name": None},
    c.ConsulIngressConfigEntry: {"listeners": "listener"},
    c.ConsulIngressListener: {"services": "service"},
    c.ConsulTerminatingConfigEntry: {"services": "service"},
}

_KINDS: dict[tuple[type[Row], str], Kind] = {
    (s.Affinity, "weight"): Kind.SMALL,
    (s.Spread, "weight"): Kind.SIGNED_8,
    (r.SpreadTarget, "percent"): Kind.UNSIGNED_8,
    (c.ConsulTransparentProxy, "outbound_port"): Kind.UNSIGNED_16,
    (s.RequestedDevice, "count"): Kind.UNSIGNED,
    (r.CNIConfig, "args"): Kind.TEXT_MAP,
}

_LABELS: dict[type[Row], tuple[str, str]] = {
    s.TaskGroup: ("name", "name"),
    s.Task: ("name", "name"),
    s.VolumeRequest: ("name", "name"),
    s.RequestedDevice: ("", "name"),
    s.Port: ("", "label"),
    s.MultiregionRegion: ("", "name"),
    r.SpreadTarget: ("", "value"),
    j.Action: ("name", "name"),
    j.Secret: ("name", "name"),
    c.ConsulGatewayBindAddress: ("", "name"),
}

_REQUIRED: dict[type[Row], tuple[str, ...]] = {
    r.TaskLifecycleConfig: ("hook",),
    j.Action: ("command",),
    s.ScalingPolicy: ("max",),
}

_BOTH_FORMS = {(s.Job, "meta"), (s.TaskGroup, "meta"), (s.Task, "meta"), (s.Task, "env")}

LENIENT: frozenset[type[Row]] = frozenset((r.Constraint, s.Affinity))
"""Blocks in which null means nothing, and whose mistakes are told in other words."""

_SHORT_FORMS = {
    **{name: Attribute(name, Kind.TEXT, True) for name in ("version", "semver", "regexp", "set_contains")},
    **{name: Attribute(name, Kind.TEXT, True) for name in ("set_contains_any", "set_contains_all")},
}

EXTRA_ATTRIBUTES: dict[type[Row], dict[str, Attribute]] = {
    r.Constraint: {
        **_SHORT_FORMS,
        "distinct_property": Attribute("distinct_property", Kind.TEXT, True),
        "distinct_hosts": Attribute("distinct_hosts", Kind.BOOL, True),
        "is_set": Attribute("is_set", Kind.TEXT, True),
        "is_not_set": Attribute("is_not_set", Kind.TEXT, True),
    },
    s.Affinity: _SHORT_FORMS,
}
"""Attributes without a field of their own: other ways to say what an operator and a value say."""

EXTRA_BLOCKS: dict[type[Row], dict[str, Nested]] = {
    s.Job: {
        "task": Nested("task", Form.REPEATED, s.Task, "name", "name"),
        "vault": Nested("vault", Form.SINGLE, s.Vault),
        "secret": Nested("secret", Form.REPEATED, j.Secret, "name", "name"),
    },
    s.TaskGroup: {
        "vault": Nested("vault", Form.SINGLE, s.Vault),
        "secret": Nested("secret", Form.REPEATED, j.Secret, "name", "name"),
    },
}
"""Blocks that are only shorthands for others inside of groups and tasks."""

TASK_SCALING = Nested("scaling_policies", Form.REPEATED, s.ScalingPolicy, "name", None)


@cache
def spec_of(row_type: type[Row]) -> Spec:
    hints = typing.get_type_hints(row_type)
    names = _NAMES.get(row_type, {})
    attributes: dict[str, Attribute] = {}
    blocks: dict[str, Nested] = {}
    for field in msgspec.structs.fields(row_type):
        name = names.get(field.name, field.name.removesuffix("_ns"))
        if name is None:
            continue
        hint, nullable = _bare(hints[field.name])
        kind = _KINDS.get((row_type, field.name)) or _kind(hint, field.name)
        if kind is not None:
            attributes[name] = Attribute(field.name, kind, nullable)
        else:
            blocks[name] = _nested(row_type, field.name, hint)
    attributes.update(EXTRA_ATTRIBUTES.get(row_type, {}))
    blocks.update(EXTRA_BLOCKS.get(row_type, {}))
    return Spec(row_type, attributes, blocks, _REQUIRED.get(row_type, ()))


def _bare(hint: Any) -> tuple[Any, bool]:
    """A type without None and UNSET, and whether it had them."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [one for one in typing.get_args(hint) if one not in (type(None), msgspec.UnsetType)]
        assert len(inner) == 1
        return inner[0], True
    return hint, False


def _kind(hint: Any, field: str) -> Kind | None:
    if hint is int:
        return Kind.DURATION if field.endswith("_ns") else Kind.INTEGER
    scalars = {
        str: Kind.TEXT,
        bool: Kind.BOOL,
        tuple[str, ...]: Kind.TEXTS,
        tuple[int, ...]: Kind.INTEGERS,
    }
    return scalars.get(hint)


def _nested(owner: type[Row], field: str, hint: Any) -> Nested:
    if owner is s.Task and field == "scaling_policies":
        return TASK_SCALING
    if hint == dict[str, str]:
        return Nested(field, Form.TEXT_MAP_OR_ATTRIBUTE if (owner, field) in _BOTH_FORMS else Form.TEXT_MAP)
    if hint == dict[str, tuple[str, ...]]:
        return Nested(field, Form.TEXTS_MAP)
    if hint == dict[str, Any]:
        return Nested(field, Form.FREE)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    form, row_type = Form.SINGLE, hint
    if origin is tuple:
        form, row_type = Form.REPEATED, arguments[0]
    elif origin is dict:
        form, row_type = Form.NAMED, arguments[1]
    label, label_field = _LABELS.get(row_type, (None, None))
    return Nested(field, form, row_type, label, label_field)
