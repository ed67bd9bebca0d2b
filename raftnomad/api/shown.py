"""Rows as the API shows them whole, where that is not how they are kept: secrets out, fields for old clients in."""

from __future__ import annotations

from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from raftnomad.api import scaling_policies
from raftnomad.durations import format_duration
from raftnomad.fsm.apply.node_pools import BUILT_IN
from raftnomad.model.allocation import Allocation, DesiredTransition, TaskEvent, TaskState
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import Job
from raftnomad.model.namespace import Namespace
from raftnomad.model.node import Node, NodePool
from raftnomad.model.resources import AllocatedResources, AllocatedTaskResources, Resources
from raftnomad.model.row import ZERO_TIME

IDENTITY_TTL_NS = 24 * 3600 * 10**9


class ShownNode(Node, frozen=True, kw_only=True):
    """A node without its secret, with the boolean that old clients look for."""

    drain: bool = False


def node(row: Node) -> ShownNode:
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    return ShownNode(**{**fields, "secret_id": "", "drain": row.drain_strategy is not None})


def job(row: Job) -> Job:
    """With scaling policies as `api/scaling.py` knows them."""
    if not any(group.scaling is not None for group in row.task_groups or ()):
        return row
    groups = tuple(
        replace(group, scaling=scaling_policies.of_group(row, group)) if group.scaling is not None else group
        for group in row.task_groups or ()
    )
    return replace(row, task_groups=groups)


def namespace(row: Namespace) -> Namespace:
    """With the hash by which clients tell whether it has changed."""
    rules = row.capabilities
    texts = [row.name, row.description, row.quota]
    if rules is not None:
        for names in (
            rules.enabled_task_drivers,
            rules.disabled_task_drivers,
            rules.enabled_network_modes,
            rules.disabled_network_modes,
        ):
            texts += names or ()
    return replace(row, hash=_hash(texts, row.meta))


def node_pool(row: NodePool) -> NodePool:
    """With its hash, but for those that are built in. Pools that nobody has written have the default time, too."""
    row = replace(row, node_identity_ttl_ns=row.node_identity_ttl_ns or IDENTITY_TTL_NS)
    if row.name in BUILT_IN:
        return row
    texts = [row.name, row.description, format_duration(row.node_identity_ttl_ns)]
    return replace(row, hash=_hash(texts, row.meta))


def _hash(texts: list[str], meta: dict[str, str] | None) -> bytes:
    """BLAKE2b-256 of all texts, one behind the other, as Nomad has it."""
    pairs = [text for pair in sorted((meta or {}).items()) for text in pair]
    return blake2b("".join((*texts, *pairs)).encode(), digest_size=32).digest()


def evaluation(row: Evaluation) -> Evaluation:
    """A time that was never set is left out; the encoder only knows it when it is the very default."""
    if row.wait_until is ZERO_TIME or row.wait_until != ZERO_TIME:
        return row
    return replace(row, wait_until=ZERO_TIME)


_NO_TRANSITION: DesiredTransition = next(
    field.default for field in msgspec.structs.fields(Allocation) if field.name == "desired_transition"
)


def allocation(row: Allocation) -> Allocation:
    """With the resources in the three forms that older clients read, and a text for every task event."""
    given = row.allocated_resources
    if row.desired_transition == _NO_TRANSITION:
        row = replace(row, desired_transition=_NO_TRANSITION)
    if given is not None:
        tasks = {name: _task_resources(task) for name, task in (given.tasks or {}).items()}
        row = replace(
            row,
            resources=_all_resources(given),
            shared_resources=Resources(disk_mb=given.shared.disk_mb, networks=given.shared.networks),
            task_resources=tasks,
        )
    if row.task_states:
        row = replace(row, task_states={name: _displayed(state) for name, state in row.task_states.items()})
    return row


def _task_resources(task: AllocatedTaskResources) -> Resources:
    return Resources(
        cpu=task.cpu.cpu_shares,
        cores=len(task.cpu.reserved_cores or ()),
        memory_mb=task.memory.memory_mb,
        memory_max_mb=task.memory.memory_max_mb,
        networks=task.networks,
    )


def _all_resources(given: AllocatedResources) -> Resources:
    tasks = list((given.tasks or {}).values())
    networks = (*(given.shared.networks or ()), *(network for task in tasks for network in task.networks or ()))
    return Resources(
        cpu=sum(task.cpu.cpu_shares for task in tasks),
        memory_mb=sum(task.memory.memory_mb for task in tasks),
        memory_max_mb=sum(task.memory.memory_max_mb or task.memory.memory_mb for task in tasks),
        disk_mb=given.shared.disk_mb,
        networks=networks or None,
    )


def _displayed(state: TaskState) -> TaskState:
    if all(event.display_message for event in state.events or ()):
        return state
    events = tuple(
        event if event.display_message else replace(event, display_message=_message(event))
        for event in state.events or ()
    )
    return replace(state, events=events)


def _message(event: TaskEvent) -> str:
    return event.message or event.driver_error or event.setup_error or event.kill_reason or event.driver_message
