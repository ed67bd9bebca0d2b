"""Packs placements into a plan's columns: what many allocations share is written once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from raftnomad.fsm.apply.placements import ids_of
from raftnomad.fsm.node_columns import CORES, CPU, NodeColumns
from raftnomad.model.deployment import Deployment
from raftnomad.model.plan import AllocStop, PlacementBlock
from raftnomad.scheduler.chance import Chance
from raftnomad.scheduler.changes import Why, evicted_for
from raftnomad.scheduler.place import GroupOutcome, Placed


def blocks_of(
    outcome: GroupOutcome, nodes: NodeColumns, plan_version: int, deployment: Deployment | None, chance: Chance
) -> Iterator[tuple[PlacementBlock, list[Placed]]]:
    """One block for what is alike, and one more for each allocation that is not; each with its rows."""
    alike: dict[tuple[bool, int], list[_Columns]] = {}
    for one in outcome.placed:
        if not outcome.ask.is_columnar(one.given):
            yield _block([one], outcome, nodes, plan_version, deployment, chance, spelled_out=True), [one]
            continue
        blocks = alike.setdefault((one.placement.why is Why.CANARY, one.placement.job.version), [])
        if not any(block.add(one) for block in blocks):
            blocks.append(_Columns())
            blocks[-1].add(one)
    for blocks in alike.values():
        for block in blocks:
            yield (
                _block(block.placed, outcome, nodes, plan_version, deployment, chance, spelled_out=False),
                block.placed,
            )


def evictions(block: PlacementBlock, placed: list[Placed]) -> dict[str, AllocStop]:
    """What goes for the sake of the block's allocations."""
    if not any(one.victims for one in placed):
        return {}
    return {
        victim: evicted_for(alloc_id, victim)
        for alloc_id, one in zip(ids_of(block), placed, strict=True)
        for victim in one.victims
    }


class _Columns:
    """Allocations of one block: a node has one address in it."""

    def __init__(self) -> None:
        self.placed: list[Placed] = []
        self._addresses: dict[int, str] = {}

    def add(self, one: Placed) -> bool:
        if one.given.ports:
            address = one.given.ports[0][0]
            if self._addresses.setdefault(one.slot, address) != address:
                return False
        self.placed.append(one)
        return True


def _block(
    placed: list[Placed],
    outcome: GroupOutcome,
    nodes: NodeColumns,
    plan_version: int,
    deployment: Deployment | None,
    chance: Chance,
    spelled_out: bool,
) -> PlacementBlock:
    first, ask = placed[0], outcome.ask
    group_name, version = first.placement.group.name, first.placement.job.version
    slots, node_index = np.unique([one.slot for one in placed], return_inverse=True)
    resources, ports = ask.resources, b""
    host_ips: tuple[str, ...] = ()
    if spelled_out:
        total = nodes.total[first.slot]
        resources = ask.resources_with(first.given, float(total[CPU] / max(total[CORES], 1)))
    elif ask.ports:
        ports = np.array([[port for _, port in one.given.ports] for one in placed], "<u2").tobytes()
        addresses = {one.slot: one.given.ports[0][0] for one in placed}
        host_ips = tuple(addresses[slot] for slot in slots.tolist())
    is_deployed = deployment is not None and version == plan_version and group_name in (deployment.task_groups or {})
    previous = {row: one.placement.previous.id for row, one in enumerate(placed) if one.placement.previous}
    trackers = {row: one.placement.tracker for row, one in enumerate(placed) if one.placement.tracker}
    return PlacementBlock(
        task_group=group_name,
        alloc_ids=chance.ids(len(placed)),
        node_ids=tuple(_node_id(nodes, slot) for slot in slots.tolist()),
        node_index=node_index.astype("<u4").tobytes(),
        name_index=np.array([one.placement.index for one in placed], "<u4").tobytes(),
        port_labels=tuple(request.label for request in ask.ports) if not spelled_out else (),
        ports=ports,
        host_ips=host_ips,
        resources=resources,
        metrics=outcome.metric,
        deployment_id=deployment.id if is_deployed and deployment is not None else "",
        canary=first.placement.why is Why.CANARY,
        previous=previous or None,
        reschedule_trackers=trackers or None,
        job_version=None if version == plan_version else version,
    )


def _node_id(nodes: NodeColumns, slot: int) -> str:
    facts = nodes.facts[slot]
    assert facts is not None
    return facts.id
