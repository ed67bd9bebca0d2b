"""Search by prefix: how people's short ids become whole ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice

from raftnomad.api.context import Context
from raftnomad.api.encoded import Found
from raftnomad.api.query import namespace_of, query
from raftnomad.api.requests import SearchRequest
from raftnomad.api.scaling_policies import policies_of
from raftnomad.errors import RaftnomadError
from raftnomad.fsm.state import State
from raftnomad.model import wire
from raftnomad.web import Answer, Request

MATCHES_MAX = 20

CONTEXTS = (
    "allocs",
    "jobs",
    "nodes",
    "node_pools",
    "evals",
    "deployment",
    "plugins",
    "volumes",
    "scaling_policy",
    "vars",
    "namespaces",
    "host_volumes",
)

_UUID_CONTEXTS = ("allocs", "nodes", "evals", "deployment")

TABLES = {
    "allocs": "allocations",
    "jobs": "jobs",
    "nodes": "nodes",
    "node_pools": "node_pools",
    "evals": "evaluations",
    "deployment": "deployments",
    "scaling_policy": "jobs",
    "namespaces": "namespaces",
}
"""The others have no table here, as nothing can be in them."""


async def search_prefix(context: Context, request: Request) -> Answer:
    asked = wire.decode(SearchRequest, request.body)
    check_context(asked.context)
    namespace = request.get("namespace") or asked.namespace or namespace_of(request)
    contexts = CONTEXTS if asked.context == "all" else (asked.context,)
    searched = [name for name in contexts if name not in _UUID_CONTEXTS or _may_be_id(asked.prefix)]

    def read(state: State) -> Found:
        matches: dict[str, list[str] | None] = {}
        truncations: dict[str, bool] = {}
        for name in searched:
            found = list(islice(find_by_id(state, name, asked.prefix, namespace), MATCHES_MAX + 1))
            matches[name] = found[:MATCHES_MAX] or None
            truncations[name] = len(found) > MATCHES_MAX
        index = max((state.table_index(TABLES[name]) for name in contexts if name in TABLES), default=0)
        return Found(index=index, value={"Matches": matches, "Truncations": truncations})

    return await answer(context, request, f"{asked} {namespace}", read)


async def answer(context: Context, request: Request, question: str, read: Callable[[State], Found]) -> Answer:
    """Waiting is not offered here."""
    at_once = replace(request, query=tuple(item for item in request.query if item[0] == "stale"))
    watch = [(table,) for table in TABLES.values()]
    return await query(context, at_once, watch, read, inline_meta=True, question=question)


def find_by_id(state: State, context: str, prefix: str, namespace: str) -> Iterable[str]:
    return _FINDERS.get(context, _nothing)(state, prefix, namespace)


def check_context(name: str) -> None:
    if name != "all" and name not in CONTEXTS:
        known = " ".join(CONTEXTS)
        raise RaftnomadError(f"context must be one of [{known}] or 'all' for all contexts; got \"{name}\"")


def _may_be_id(prefix: str) -> bool:
    return prefix.count("-") <= 4 and all(character in "0123456789abcdefABCDEF-" for character in prefix)


def _allocations(state: State, prefix: str, namespace: str) -> Iterable[str]:
    return (row.id for row in state.allocations.with_prefix(prefix) if namespace in ("*", row.namespace))


def _evaluations(state: State, prefix: str, namespace: str) -> Iterable[str]:
    return (row.id for row in state.evaluations.with_prefix(prefix) if namespace in ("*", row.namespace))


def _deployments(state: State, prefix: str, namespace: str) -> Iterable[str]:
    return (row.id for row in state.deployments.with_prefix(prefix) if namespace in ("*", row.namespace))


def _nodes(state: State, prefix: str, _namespace: str) -> Iterable[str]:
    return (row.id for row in state.nodes.with_prefix(prefix))


def _jobs(state: State, prefix: str, namespace: str) -> Iterable[str]:
    keys = (key for key in state.jobs if namespace in ("*", key[0]) and key[1].startswith(prefix))
    return (job_id for _, job_id in sorted(keys))


def _node_pools(state: State, prefix: str, _namespace: str) -> Iterable[str]:
    return sorted(name for name in state.node_pools if name.startswith(prefix))


def _namespaces(state: State, prefix: str, _namespace: str) -> Iterable[str]:
    return sorted(name for name in state.namespaces if name.startswith(prefix))


def _scaling_policies(state: State, prefix: str, namespace: str) -> Iterable[str]:
    jobs = (job for job in state.jobs.values() if namespace in ("*", job.namespace))
    return sorted(policy.id for job in jobs for policy in policies_of(job) if policy.id.startswith(prefix))


def _nothing(_state: State, _prefix: str, _namespace: str) -> Iterable[str]:
    return ()


_FINDERS: dict[str, Callable[[State, str, str], Iterable[str]]] = {
    "allocs": _allocations,
    "jobs": _jobs,
    "nodes": _nodes,
    "node_pools": _node_pools,
    "evals": _evaluations,
    "deployment": _deployments,
    "scaling_policy": _scaling_policies,
    "namespaces": _namespaces,
}
