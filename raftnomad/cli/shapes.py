"""The shapes of answers as Go's API package has them: the model's rows, and where the two differ."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from raftnomad.model import job, submitted
from raftnomad.model.allocation import Allocation, AllocListStub, TaskEvent, TaskState
from raftnomad.model.deployment import Deployment, DeploymentState
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.namespace import Namespace
from raftnomad.model.node import (
    ClientHostVolumeConfig,
    Node,
    NodeListStub,
    NodePool,
    NodeReservedCpuResources,
    NodeResources,
)
from raftnomad.model.row import ZERO_TIME, Row

JobListStub = job.JobListStub

_SEEN_AS: dict[Any, type[Row]] = {job.Job: submitted.Job}
"""Rows that the API package has in another form: a job there is what a user hands in."""

_ADDED: dict[type[Row], dict[str, Any]] = {
    Allocation: {"Services": None},
    Node: {"Drain": False, "Reserved": None, "Resources": None},
    TaskEvent: {"DiskSize": 0},
}
_REMOVED: dict[type[Row], set[str]] = {
    Allocation: {"AllocStates", "SharedResources", "SigningKeyID"},
    AllocListStub: {"DesiredTransition"},
    ClientHostVolumeConfig: {"Name"},
    Deployment: {"EvalPriority"},
    DeploymentState: {"AutoPromote"},
    Evaluation: {"LeaderACL"},
    JobListStub: {"Multiregion", "NodePool"},
    Namespace: {"Hash"},
    Node: {"ComputedClass", "IdentitySigningKeyID", "LastAllocUpdateIndex", "LastMissedHeartbeatIndex", "SecretID"},
    NodeListStub: {"HostVolumes"},
    NodePool: {"Hash"},
    NodeReservedCpuResources: {"ReservedCpuCores"},
    NodeResources: {"NodeNetworks", "Processors"},
    TaskState: {"Paused"},
}
_OMITTED_WHEN_EMPTY: dict[type[Row], set[str]] = {
    AllocListStub: {"AllocatedResources"},
    JobListStub: {"Meta"},
    NodeListStub: {"Attributes", "NodeResources", "ReservedResources"},
}


class JobFile(Row, frozen=True, kw_only=True):
    """What `job inspect` prints: a job file in JSON."""

    job: submitted.Job | None = None


class JobJson(Row, frozen=True, kw_only=True):
    """What `job status -json` prints of a job."""

    summary: job.JobSummary | None = None
    allocations: tuple[AllocListStub, ...] | None = None
    latest_deployment: Deployment | None = None
    evaluations: tuple[Evaluation, ...] | None = None


KINDS: dict[str, type[Row]] = {
    "Job": submitted.Job,
    "JobFile": JobFile,
    "JobJson": JobJson,
    "JobListStub": JobListStub,
    "Allocation": Allocation,
    "AllocationListStub": AllocListStub,
    "Evaluation": Evaluation,
    "Deployment": Deployment,
    "Node": Node,
    "NodeListStub": NodeListStub,
    "NodePool": NodePool,
    "Namespace": Namespace,
}
"""What commands print, by the names of the API package."""


def completed(value: Any, kind: Any) -> Any:
    """`value` with every field of `kind`; a list stands for a list of such."""
    return walked(value, kind, lambda _row, fields: fields, lambda _hint, leaf: leaf)


def walked(
    value: Any,
    hint: Any,
    of_row: Callable[[type[Row], dict[str, Any]], Any],
    of_leaf: Callable[[Any, Any], Any],
) -> Any:
    """Walk a JSON value beside the type that describes it; rows and leaves are made by the two functions."""
    hint = _SEEN_AS.get(hint, hint)
    origin, parts = typing.get_origin(hint), [part for part in typing.get_args(hint) if part is not types.NoneType]
    if origin in (typing.Union, types.UnionType) and parts:
        return walked(value, parts[0], of_row, of_leaf)
    if value is None:
        return of_leaf(hint, None)
    if isinstance(value, list):
        element = parts[0] if origin in (tuple, list) else hint
        return [walked(item, element, of_row, of_leaf) for item in value]
    if isinstance(value, dict) and origin is dict:
        return {key: walked(item, parts[1], of_row, of_leaf) for key, item in value.items()}
    if isinstance(value, dict) and isinstance(hint, type) and issubclass(hint, Row):
        hints, defaults = _hints(hint), _defaults(hint)
        present = [n for n in hints if value.get(n) is not None or n not in _omitted(hint)]
        return of_row(hint, {n: walked(value.get(n, defaults[n]), hints[n], of_row, of_leaf) for n in present})
    return of_leaf(hint, value)


@cache
def _hints(kind: type[Row]) -> dict[str, Any]:
    """The type of each field, by its name on the wire."""
    hints = typing.get_type_hints(kind)
    known = {field.encode_name: _leaf_hint(field.name, hints[field.name]) for field in msgspec.structs.fields(kind)}
    known |= dict.fromkeys(_ADDED.get(kind, ()), Any)
    return {name: hint for name, hint in known.items() if name not in _REMOVED.get(kind, ())}


@cache
def _omitted(kind: type[Row]) -> set[str]:
    """Fields that are left out when there is nothing in them."""
    unset = {field.encode_name for field in msgspec.structs.fields(kind) if field.default is msgspec.UNSET}
    return unset | _OMITTED_WHEN_EMPTY.get(kind, set())


class Duration:
    """Stands for Go's time.Duration as a type: an int in JSON, text such as `30s` in templates."""


def _leaf_hint(name: str, hint: Any) -> Any:
    return Duration if name.endswith("_ns") and not name.endswith("time_ns") else hint


_NEVER_SET = (msgspec.NODEFAULT, msgspec.UNSET, ZERO_TIME)


@cache
def _defaults(kind: type[Row]) -> dict[str, Any]:
    """The JSON of each field that was not sent; times that were never set are null."""
    values = dict(_ADDED.get(kind, {}))
    for field in msgspec.structs.fields(kind):
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        values[field.encode_name] = (
            None if default in (msgspec.NODEFAULT, msgspec.UNSET, ZERO_TIME) else _plain(default)
        )
    return values


def _plain(default: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(default))
