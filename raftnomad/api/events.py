"""What happened, told to programs: changes of the state become events, and a subscription says which it wants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from msgspec.structs import replace

from raftnomad.api import shown
from raftnomad.errors import BadRequest
from raftnomad.fsm.changes import Change, Changes
from raftnomad.model import wire

TYPES = {
    "RegisterJob": "JobRegistered",
    "RevertJob": "JobRegistered",
    "ScaleJob": "JobRegistered",
    "LaunchPeriodicJob": "JobRegistered",
    "DispatchJob": "JobRegistered",
    "DeregisterJob": "JobDeregistered",
    "UpsertEvaluations": "EvaluationUpdated",
    "ApplyPlan": "PlanResult",
    "UpdateAllocations": "AllocationUpdated",
    "TransitionAllocations": "AllocationUpdateDesiredStatus",
    "RegisterNode": "NodeRegistration",
    "DeregisterNode": "NodeDeregistration",
    "UpdateNodeStatus": "NodeStreamEvent",
    "UpdateNodeEligibility": "NodeEligibility",
    "UpdateNodeDrain": "NodeDrain",
    "UpdateDeployment": "DeploymentStatusUpdate",
    "PromoteDeployment": "DeploymentPromotion",
    "SetAllocationHealth": "DeploymentAllocHealth",
    "UpsertNodePools": "NodePoolUpserted",
    "DeleteNodePools": "NodePoolDeleted",
}
"""Kind of command -> an event's type, which tells the cause and not the object. Other commands make no events."""

ANY = "*"


@dataclass(frozen=True, kw_only=True)
class Event:
    topic: str
    type: str
    key: str
    namespace: str
    filter_keys: tuple[str, ...] | None
    index: int
    payload: Any

    @cached_property
    def encoded(self) -> bytes:
        """As JSON; made once for all subscribers."""
        return wire.encode(
            {
                "Topic": self.topic,
                "Type": self.type,
                "Key": self.key,
                "Namespace": self.namespace,
                "FilterKeys": self.filter_keys,
                "Index": self.index,
                "Payload": {self.topic: self.payload},
            }
        )


def events_of(changes: Changes) -> list[Event]:
    """The events of one command, in the order of its changes."""
    cause = TYPES.get(changes.command)
    if cause is None:
        return []
    return [event for change in changes.rows for event in _event(change, cause, changes.index)]


def _event(change: Change, cause: str, index: int) -> Iterator[Event]:
    row = change.new if change.new is not None else change.old
    gone = change.new is None
    match change.table:
        case "jobs":
            yield Event(
                topic="Job",
                type=cause,
                key=row.id,
                namespace=row.namespace,
                filter_keys=None,
                index=index,
                payload=row,
            )
        case "evaluations" if not gone:
            keys = (row.job_id, row.deployment_id)
            yield _of_job("Evaluation", cause, row, keys, index, shown.evaluation(row))
        case "allocations" if not gone:
            keys = (row.job_id, row.deployment_id)
            yield _of_job("Allocation", cause, row, keys, index, shown.allocation(replace(row, job=None)))
        case "deployments" if not gone:
            yield _of_job("Deployment", cause, row, (row.job_id,), index, row)
        case "nodes":
            yield _of_cluster("Node", cause, row.id, index, shown.node(row))
        case "node_pools":
            yield _of_cluster("NodePool", cause, row.name, index, shown.node_pool(row))


def _of_job(topic: str, cause: str, row: Any, keys: tuple[str, ...], index: int, payload: Any) -> Event:
    return Event(
        topic=topic,
        type=cause,
        key=row.id,
        namespace=row.namespace,
        filter_keys=keys,
        index=index,
        payload=payload,
    )


def _of_cluster(topic: str, cause: str, key: str, index: int, payload: Any) -> Event:
    return Event(topic=topic, type=cause, key=key, namespace="", filter_keys=None, index=index, payload=payload)


@dataclass(frozen=True)
class Subscription:
    """topics: topic -> keys, either of which may be `*`."""

    topics: dict[str, frozenset[str]]
    namespace: str

    def wants(self, event: Event) -> bool:
        if event.namespace and self.namespace not in (ANY, event.namespace):
            return False
        return any(_holds(self.topics.get(topic), event) for topic in (event.topic, ANY))


def _holds(keys: frozenset[str] | None, event: Event) -> bool:
    if keys is None:
        return False
    return ANY in keys or event.key in keys or any(key in keys for key in event.filter_keys or ())


def parse_topics(texts: list[str]) -> dict[str, frozenset[str]]:
    """`Job`, `Job:web`; none is all of them. Raises BadRequest."""
    topics: dict[str, frozenset[str]] = {}
    for text in texts or ["*:*"]:
        topic, *keys = text.split(":")
        if len(keys) > 1:
            raise BadRequest(
                f"Invalid topic query: error parsing topics: Invalid key value pair for topic, topic: {text}"
            )
        topics[topic] = topics.get(topic, frozenset()) | {keys[0] if keys else ANY}
    return topics
