"""Namespaces: names of jobs are unique within one."""

from __future__ import annotations

from typing import Any

from raftnomad.model.row import Row


class NamespaceCapabilities(Row, frozen=True, kw_only=True):
    enabled_task_drivers: tuple[str, ...] | None = None
    disabled_task_drivers: tuple[str, ...] | None = None
    enabled_network_modes: tuple[str, ...] | None = None
    disabled_network_modes: tuple[str, ...] | None = None


class NamespaceNodePoolConfiguration(Row, frozen=True, kw_only=True):
    default: str = ""
    allowed: tuple[str, ...] | None = None
    denied: tuple[str, ...] | None = None


class Namespace(Row, frozen=True, kw_only=True):
    name: str = ""
    description: str = ""
    quota: str = ""
    capabilities: NamespaceCapabilities | None = None
    node_pool_configuration: NamespaceNodePoolConfiguration | None = None
    vault_configuration: dict[str, Any] | None = None
    consul_configuration: dict[str, Any] | None = None
    meta: dict[str, str] | None = None
    hash: bytes | None = None
    create_index: int = 0
    modify_index: int = 0
    required_extra_claims: dict[str, str] | None = None
    optional_extra_claims: dict[str, str] | None = None
