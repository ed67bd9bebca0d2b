"""Facts that hold after every entry. Tests and the simulation assert them; a violation is named in words."""

from __future__ import annotations

from collections.abc import Iterator

from raftnomad.fsm import job_status, summaries
from raftnomad.fsm.capacity import demand_of, room_of
from raftnomad.fsm.node_columns import DIMENSIONS
from raftnomad.fsm.state import State, is_terminal
from raftnomad.fsm.tables import Index, Table
from raftnomad.model.status import ClientStatus, JobType


def violations(state: State) -> list[str]:
    """Every fact that does not hold; an empty list is what must come out."""
    return [
        *_rooms(state),
        *_node_table(state),
        *_indexes(state),
        *_names(state),
        *_table_indexes(state),
        *_jobs(state),
        *_summaries(state),
        *_deployments(state),
    ]


def _rooms(state: State) -> Iterator[str]:
    """No node is committed beyond its capacity: what should run on it fits into it, recounted row by row."""
    for node in state.nodes.values():
        live = [alloc for alloc in state.allocations_of_node(node.id) if not is_terminal(alloc)]
        needed = sum((demand_of(alloc.allocated_resources) for alloc in live), start=0 * room_of(node))
        for name, want, there in zip(DIMENSIONS, needed, room_of(node), strict=True):
            if want > there:
                yield f"node {node.id} has {there} {name} and is to run {want}"
        ports: dict[tuple[str, int], str] = {}
        for alloc in live:
            for port in alloc.allocated_resources.shared.ports or () if alloc.allocated_resources else ():
                other = ports.setdefault((port.host_ip, port.value), alloc.id)
                if other != alloc.id and port.value and not port.ignore_collision:
                    yield f"node {node.id} gives port {port.value} to {other} and {alloc.id}"


def _node_table(state: State) -> Iterator[str]:
    yield from state.node_table.check(state.nodes.values(), state.allocations.values())


def _indexes(state: State) -> Iterator[str]:
    for table in state.tables():
        for position, index in enumerate(table.indexes):
            if isinstance(index, Index) and _grouped(index) != _regrouped(table, index):
                yield f"index {position} of {table.name} differs from the rows"
    for name, counts, table in (
        ("live", state.allocations.live, state.allocations),
        ("open", state.open_evaluations, state.evaluations),
        ("active", state.active_deployments, state.deployments),
    ):
        recounted: dict[tuple[str, str], int] = {}
        for row in table.values():
            group = counts.group_of(row)
            if group:
                recounted[group] = recounted.get(group, 0) + 1
        if recounted != counts.counts:
            yield f"the count of {name} {table.name} differs from the rows"


def _grouped(index: Index[object, object]) -> dict[object, list[object]]:
    return {group: sorted(keys, key=str) for group, keys in index.groups.items()}


def _regrouped(table: Table[object, object], index: Index[object, object]) -> dict[object, list[object]]:
    groups: dict[object, list[object]] = {}
    for key, row in table.items():
        if group := index.group_of(row):
            groups.setdefault(group, []).append(key)
    return {group: sorted(keys, key=str) for group, keys in groups.items()}


def _names(state: State) -> Iterator[str]:
    """One live allocation for each name of a job's version; a disconnected one may have its replacement beside it."""
    names: dict[tuple[str, str, int, int, str], str] = {}
    for alloc in state.allocations.values():
        job = alloc.job
        if job is None:
            yield f"allocation {alloc.id} has no job"
            continue
        if is_terminal(alloc) or job.type not in (JobType.SERVICE, JobType.BATCH):
            continue
        if alloc.client_status == ClientStatus.UNKNOWN or alloc.previous_allocation:
            continue
        key = (alloc.namespace, alloc.job_id, job.create_index, job.version, alloc.name)
        other = names.setdefault(key, alloc.id)
        if other != alloc.id:
            yield f"{alloc.name} of version {job.version} runs twice: {other} and {alloc.id}"


def _table_indexes(state: State) -> Iterator[str]:
    for name, index in state.table_indexes.items():
        if index > state.index:
            yield f"table {name} is at {index}, the state at {state.index}"
    for table in (state.nodes, state.jobs, state.evaluations, state.allocations, state.deployments, state.summaries):
        for key, row in table.items():
            if not 0 < row.create_index <= row.modify_index <= state.table_index(table.name):
                yield f"{table.name} {key}: indexes {row.create_index}, {row.modify_index} beyond the table's"


def _jobs(state: State) -> Iterator[str]:
    for key, job in state.jobs.items():
        versions = state.job_versions.get(key, ())
        if not versions or versions[0] is not job:
            yield f"job {key}: the newest version is not its row"
        numbers = [version.version for version in versions]
        if numbers != sorted(set(numbers), reverse=True):
            yield f"job {key}: versions are {numbers}"
        if key not in state.summaries:
            yield f"job {key} has no summary"
        if job.status != job_status.derived(state, job):
            yield f"job {key} is {job.status}, should be {job_status.derived(state, job)}"
    for key in state.job_versions:
        if key not in state.jobs:
            yield f"job {key} has versions and no row"


def _summaries(state: State) -> Iterator[str]:
    for key, summary in state.summaries.items():
        if (counted := summaries.counted(state, key)) != summary:
            yield f"summary of {key} is {summary}, counting gives {counted}"


def _deployments(state: State) -> Iterator[str]:
    for deployment in state.deployments.values():
        for name, group in (deployment.task_groups or {}).items():
            if group.healthy_allocs < 0 or group.unhealthy_allocs < 0:
                yield f"deployment {deployment.id}, group {name}: negative counts"
            if group.healthy_allocs + group.unhealthy_allocs > group.placed_allocs:
                yield f"deployment {deployment.id}, group {name}: more judged than placed"
