"""Namespaces."""

from __future__ import annotations

import re

from raftnomad.api import answers, shown
from raftnomad.api.context import Context
from raftnomad.api.encoded import Found
from raftnomad.api.query import query
from raftnomad.errors import BadRequest, RaftnomadError
from raftnomad.fsm.commands import DeleteNamespaces, UpsertNamespaces
from raftnomad.fsm.state import State
from raftnomad.model import wire
from raftnomad.model.namespace import Namespace
from raftnomad.model.validation import multierror
from raftnomad.web import Answer, Request

DESCRIPTION_MAX = 256


async def list_namespaces(context: Context, request: Request) -> Answer:
    """Filters, pages and `reverse` are ignored, as Nomad does."""
    prefix = request.get("prefix")

    def read(state: State) -> Found:
        rows = [shown.namespace(state.namespaces[name]) for name in sorted(state.namespaces) if name.startswith(prefix)]
        return Found(index=state.table_index("namespaces") or 1, value=rows)

    return await query(context, request, [("namespaces",)], read)


async def read_namespace(context: Context, request: Request) -> Answer:
    name = _name(request)

    def read(state: State) -> Found:
        namespace = state.namespaces.get(name)
        if namespace is None:
            return Found(index=state.table_index("namespaces") or 1, missing="Namespace not found")
        return Found(index=namespace.modify_index, value=shown.namespace(namespace))

    return await query(context, request, [("namespaces", "id", name)], read)


async def write_namespace(context: Context, request: Request) -> Answer:
    namespace = wire.decode(Namespace, request.body)
    if "name" in request.parameters and request.parameters["name"] != namespace.name:
        raise BadRequest("Namespace name does not match request path")
    if problem := _problem(namespace):
        raise RaftnomadError(f'Invalid namespace "{namespace.name}": {multierror([problem])}')
    if namespace.quota:
        raise RaftnomadError(f'namespace "{namespace.name}" using non-existent quota "{namespace.quota}"')
    applied = await context.server.propose(UpsertNamespaces(namespaces=(namespace,)))
    return answers.written(applied.index)


def _problem(namespace: Namespace) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9-]{1,128}", namespace.name):
        return f'invalid name "{namespace.name}". Must match regex ^[a-zA-Z0-9-]{{1,128}}$'
    if len(namespace.description) > DESCRIPTION_MAX:
        return f"description longer than {DESCRIPTION_MAX}"
    if namespace.node_pool_configuration is not None:
        return "invalid node pool configuration: Node Pools Governance is unlicensed."
    if namespace.vault_configuration is not None:
        return "invalid vault configuration: Multi-Cluster Vault is unlicensed."
    if namespace.consul_configuration is not None:
        return "invalid consul configuration: Multi-Cluster Consul is unlicensed."
    return ""


async def delete_namespace(context: Context, request: Request) -> Answer:
    applied = await context.server.propose(DeleteNamespaces(names=(_name(request),), region=context.server.region))
    return answers.written(applied.index)


def _name(request: Request) -> str:
    if not request.parameters["name"]:
        raise BadRequest("Missing Namespace Name")
    return request.parameters["name"]
