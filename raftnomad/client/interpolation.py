"""`${...}` in what a task is given: node, attributes, metadata and environment, filled in on the node itself.

Environment values keep what they don't know as text. A driver's `config` must not: there an unknown name fails the
task, as it would otherwise reach a command line unnoticed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from raftnomad.model.node import Node

_REFERENCE = re.compile(r"\$\{\s*([A-Za-z_][\w./-]*)(?:\[\"([^\"]*)\"\])?\s*\}")
_ANY = re.compile(r"\$?\$\{[^}]*\}")
_ROOTS = ("attr", "meta", "node", "env")


class InterpolationError(Exception):
    """A `config` names what this node does not have."""


def node_values(node: Node, region: str) -> dict[str, str]:
    """What `${node.*}`, `${attr.*}` and `${meta.*}` stand for on this node, by their full names."""
    values = {
        "node.unique.id": node.id,
        "node.unique.name": node.name,
        "node.datacenter": node.datacenter,
        "node.region": region,
        "node.class": node.node_class,
        "node.pool": node.node_pool,
    }
    values |= {f"attr.{name}": value for name, value in (node.attributes or {}).items()}
    values |= {f"meta.{name}": value for name, value in (node.meta or {}).items()}
    return values


def with_environment(values: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
    """The same, and the task's environment: as `${NAME}`, `${env.NAME}` and `${env["NAME"]}`."""
    named = {f"env.{name}": value for name, value in env.items()}
    return {**env, **named, **values}


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with every known reference replaced, and every unknown one left as it stands."""
    if "${" not in text:
        return text
    return _REFERENCE.sub(lambda match: values.get(_name(match), match.group(0)), text)


def fill_config(config: Any, values: Mapping[str, str]) -> Any:
    """A driver's config, at every depth; `$${x}` is the text `${x}`. Raises InterpolationError."""
    if isinstance(config, str):
        return _fill_strictly(config, values)
    if isinstance(config, Mapping):
        return {key: fill_config(value, values) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [fill_config(value, values) for value in config]
    return config


def _fill_strictly(text: str, values: Mapping[str, str]) -> str:
    if "${" not in text:
        return text
    return _ANY.sub(lambda match: _value(match.group(0), values), text)


def _value(reference: str, values: Mapping[str, str]) -> str:
    if reference.startswith("$${"):
        return reference[1:]
    match = _REFERENCE.fullmatch(reference)
    name = _name(match) if match else reference[2:-1].strip()
    if name in values:
        return values[name]
    raise InterpolationError(_complaint(name, values))


def _name(match: re.Match[str]) -> str:
    name, key = match.group(1), match.group(2)
    return name if key is None else f"{name}.{key}"


def _complaint(name: str, values: Mapping[str, str]) -> str:
    root, *parts = name.split(".")
    if root not in _ROOTS or not parts:
        return f'Unknown variable: There is no variable named "{root}".'
    known = root
    for part in parts:
        if not any(value == f"{known}.{part}" or value.startswith(f"{known}.{part}.") for value in values):
            return f'Unsupported attribute: This object does not have an attribute named "{part}".'
        known = f"{known}.{part}"
    return f'Unsupported attribute: "{name}" is not a value but holds others.'
