"""Search by a part of a name: how a page's search box finds jobs, tasks, images and the like.

What has a name is found by any part of it, whatever the letters' case; what has only an id, by the id's beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from raftnomad.api.context import Context, FuzzyLimits
from raftnomad.api.encoded import Found
from raftnomad.api.query import namespace_of
from raftnomad.api.requests import FuzzySearchRequest
from raftnomad.api.search import CONTEXTS, TABLES, answer, check_context, find_by_id
from raftnomad.errors import RaftnomadError
from raftnomad.fsm.state import State
from raftnomad.model import wire
from raftnomad.model.job import Job, Task
from raftnomad.web import Answer, Request

BY_ID = frozenset(("evals", "deployment", "scaling_policy", "volumes", "host_volumes"))


class Name(NamedTuple):
    """Something that may be found, and where it stands, from the outside in."""

    kind: str
    id: str
    scope: tuple[str, ...]


async def search_fuzzy(context: Context, request: Request) -> Answer:
    asked = wire.decode(FuzzySearchRequest, request.body)
    limits = context.fuzzy_limits
    if not limits.enabled:
        raise RaftnomadError("fuzzy search is not enabled")
    if len(asked.text) < limits.length_min:
        raise RaftnomadError(
            f"fuzzy search query must be at least {limits.length_min} characters, got {len(asked.text)}"
        )
    check_context(asked.context)
    namespace = request.get("namespace") or asked.namespace or namespace_of(request)
    contexts = CONTEXTS if asked.context == "all" else (asked.context,)

    def read(state: State) -> Found:
        matches: dict[str, list[dict[str, Any]]] = {}
        truncations = dict.fromkeys(contexts, False)
        for one in contexts:
            if one in BY_ID:
                found = islice(find_by_id(state, one, asked.text, namespace), limits.results_max + 1)
                _add(matches, truncations, one, [{"ID": identifier} for identifier in found], limits.results_max)
            else:
                _add_names(matches, truncations, _names(state, one, namespace, limits.objects_max), asked.text, limits)
        index = max((state.table_index(TABLES[one]) for one in contexts if one in TABLES), default=0)
        return Found(index=index, value={"Matches": matches, "Truncations": truncations})

    return await answer(context, request, f"fuzzy {asked} {namespace}", read)


def _add_names(
    matches: dict[str, list[dict[str, Any]]],
    truncations: dict[str, bool],
    names: Iterable[Name],
    text: str,
    limits: FuzzyLimits,
) -> None:
    wanted = text.lower()
    found: dict[str, list[tuple[int, Name]]] = {}
    for name in names:
        position = name.id.lower().find(wanted)
        if position >= 0:
            found.setdefault(name.kind, []).append((position, name))
    for kind, places in found.items():
        ordered = sorted(places)
        rows = [{"ID": name.id, **({"Scope": name.scope} if name.scope else {})} for _, name in ordered]
        _add(matches, truncations, kind, rows, limits.results_max)


def _add(
    matches: dict[str, list[dict[str, Any]]],
    truncations: dict[str, bool],
    kind: str,
    rows: list[dict[str, Any]],
    most: int,
) -> None:
    matches[kind] = rows[:most]
    if len(rows) > most:
        truncations[kind] = True


def _names(state: State, context: str, namespace: str, most: int) -> Iterator[Name]:
    make = _BY_NAME.get(context)
    if make is not None:
        rows, names_of = make
        for row in islice((row for row in rows(state) if _is_in(row, namespace)), most):
            yield from names_of(row)


def _is_in(row: Any, namespace: str) -> bool:
    return namespace == "*" or getattr(row, "namespace", namespace) == namespace


def _names_of_job(job: Job) -> Iterator[Name]:
    yield Name("jobs", job.name, (job.namespace, job.id))
    scope = (job.namespace, job.id)
    for group in job.task_groups or ():
        yield Name("groups", group.name, scope)
        for service in group.services or ():
            yield Name("services", service.name, (*scope, group.name))
        for task in group.tasks or ():
            yield Name("tasks", task.name, (*scope, group.name))
            for service in task.services or ():
                yield Name("services", service.name, (*scope, group.name, task.name))
            yield from _names_of_driver(task, (*scope, group.name, task.name))


_DRIVERS = {
    "docker": ("images", "image"),
    "podman": ("images", "image"),
    "exec": ("commands", "command"),
    "raw_exec": ("commands", "command"),
    "java": ("classes", "class"),
}


def _names_of_driver(task: Task, scope: tuple[str, ...]) -> Iterator[Name]:
    kind, key = _DRIVERS.get(task.driver, ("", ""))
    value = (task.config or {}).get(key) if key else None
    if isinstance(value, str) and value:
        yield Name(kind, value, scope)


def _jobs(state: State) -> Iterable[Any]:
    return (state.jobs[key] for key in sorted(state.jobs))


_BY_NAME: dict[str, tuple[Callable[[State], Iterable[Any]], Callable[[Any], Iterable[Name]]]] = {
    "jobs": (_jobs, _names_of_job),
    "allocs": (
        lambda state: state.allocations.values(),
        lambda row: (Name("allocs", row.name, (row.namespace, row.id)),),
    ),
    "nodes": (lambda state: state.nodes.values(), lambda row: (Name("nodes", row.name, (row.id,)),)),
    "node_pools": (lambda state: state.node_pools.values(), lambda row: (Name("node_pools", row.name, (row.name,)),)),
    "namespaces": (lambda state: state.namespaces.values(), lambda row: (Name("namespaces", row.name, ()),)),
}
