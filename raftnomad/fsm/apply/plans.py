"""A verified plan becomes allocations: stops first, then what goes on, then what is new and still fits.

The leader has checked the plan against a state that may be a few entries old, so each placement is checked once more
here, where nothing can come between: a node that is gone, not ready or full refuses it, and the outcome says which.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from raftnomad.fsm.apply import deployments, evaluations
from raftnomad.fsm.apply.allocations import with_state
from raftnomad.fsm.apply.placements import ids_of, rows_of, whole, with_rows
from raftnomad.fsm.commands import ApplyPlan
from raftnomad.fsm.outcome import Applied, Outcome
from raftnomad.fsm.plan_check import refused_rows
from raftnomad.fsm.state import JobKey, uses_node
from raftnomad.fsm.transaction import Transaction
from raftnomad.model.allocation import Allocation, AllocDeploymentStatus
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import Job
from raftnomad.model.plan import AllocStop, AllocUpdate, PlacementBlock, Plan
from raftnomad.model.status import ClientStatus, DesiredStatus


def apply(txn: Transaction, command: ApplyPlan) -> Outcome:
    """Applied, with the ids of the placements that were refused; then the evaluations wait for another attempt."""
    if (stale := evaluations.stale_epoch(txn, command.epoch)) is not None:
        return stale
    plan = command.plan
    job = _job_of(txn, plan)
    blocks = [_without_known(txn, whole(block)) for block in plan.placements]
    refused: tuple[str, ...] = ()
    if job is None or not all(_has_version(txn, plan, block) for block in blocks):
        refused = tuple(alloc_id for block in blocks for alloc_id in ids_of(block))
        blocks = []
    blocks, held_back, unfit = _accepted(txn, plan, blocks)
    refused += unfit
    if refused and plan.all_at_once:
        return Applied(txn.index, refused=refused + tuple(one for block in blocks for one in ids_of(block)))
    _deploy(txn, plan)
    for stop in plan.stops:
        if stop.alloc_id not in held_back:
            _stop(txn, stop)
    for update in plan.updates:
        _update(txn, plan, job, update)
    for block in blocks:
        _place(txn, plan, block)
    evicted = [stop for stop in plan.stops if stop.preempted_by and stop.alloc_id not in held_back]
    evaluations.store(txn, _of_losers(txn, evicted, command.preempted))
    if not refused:
        evaluations.store(txn, command.evaluations)
    return Applied(txn.index, refused=refused)


def _job_of(txn: Transaction, plan: Plan) -> Job | None:
    """The version that the plan was made for; None when the job is gone, or is another one of the same name."""
    present = txn.state.jobs.get((plan.namespace, plan.job_id))
    if present is None or (plan.job_create_index and present.create_index != plan.job_create_index):
        return None
    return txn.state.job_version(plan.namespace, plan.job_id, plan.job_version)


def _has_version(txn: Transaction, plan: Plan, block: PlacementBlock) -> bool:
    version = block.job_version
    return version is None or txn.state.job_version(plan.namespace, plan.job_id, version) is not None


def _without_known(txn: Transaction, block: PlacementBlock) -> PlacementBlock:
    """What has been placed already, by this plan's first application, is not placed again."""
    ids = ids_of(block)
    rows = {alloc_id: row for row, alloc_id in enumerate(ids) if alloc_id not in txn.state.allocations}
    return block if len(rows) == len(ids) else with_rows(block, tuple(rows.values()))


def _accepted(
    txn: Transaction, plan: Plan, blocks: list[PlacementBlock]
) -> tuple[list[PlacementBlock], dict[str, None], tuple[str, ...]]:
    """The rows that the nodes take, the allocations that are not stopped, and the ids that are refused.

    What the plan stops makes room for what it places. An allocation whose replacement is refused runs on, and keeps
    its room: so what was accepted has to be looked at again.
    """
    held_back: dict[str, None] = {}
    refused: list[str] = []
    while blocks:
        stopping = [
            alloc
            for stop in plan.stops
            if stop.alloc_id not in held_back
            and stop.desired_status != DesiredStatus.RUN  # Its node can't be reached: it may run there still.
            and (alloc := txn.state.allocations.get(stop.alloc_id)) is not None
        ]
        rows = refused_rows(txn.state.node_table, blocks, {alloc.id: alloc for alloc in stopping}.values())
        if not any(rows):
            break
        for position, (block, numbers) in enumerate(zip(blocks, rows, strict=True)):
            ids = ids_of(block)
            out = dict.fromkeys(numbers)
            refused.extend(ids[row] for row in out)
            previous = block.previous or {}
            held_back.update({previous[row]: None for row in out if row in previous})
            not_placed = {ids[row]: None for row in out}
            held_back.update({stop.alloc_id: None for stop in plan.stops if stop.preempted_by in not_placed})
            blocks[position] = with_rows(block, [row for row in range(len(ids)) if row not in out])
        held_back = {one: None for one in held_back if one not in _said_by_servers(plan)}
    return blocks, held_back, tuple(refused)


def _said_by_servers(plan: Plan) -> dict[str, None]:
    """Allocations that are known to be lost: that they stop does not wait for a replacement."""
    return {stop.alloc_id: None for stop in plan.stops if stop.client_status}


def _deploy(txn: Transaction, plan: Plan) -> None:
    for update in plan.deployment_updates:
        deployments.apply_update(txn, update)
    new = plan.deployment
    if new is not None and new.id not in txn.state.deployments:
        txn.put_deployment(
            replace(
                new,
                create_index=txn.index,
                modify_index=txn.index,
                create_time_ns=new.create_time_ns or txn.time_ns,
                modify_time_ns=0,  # Until something is placed.
            )
        )


def _stop(txn: Transaction, stop: AllocStop) -> None:
    alloc = txn.state.allocations.get(stop.alloc_id)
    if alloc is None:
        return
    fields: dict[str, Any] = _touched(txn)
    if alloc.desired_status == DesiredStatus.RUN:  # What has been told to stop is not called back: its room is gone.
        fields["desired_status"] = stop.desired_status
        fields["desired_description"] = stop.desired_description or alloc.desired_description
    if stop.client_status and uses_node(alloc):
        fields["client_status"] = stop.client_status
        fields["client_description"] = stop.client_description or alloc.client_description
        if stop.client_status == ClientStatus.UNKNOWN and alloc.client_status != ClientStatus.UNKNOWN:
            fields["alloc_states"] = with_state(alloc, stop.client_status, txn.time)
    if stop.followup_eval_id:
        fields["followup_eval_id"] = stop.followup_eval_id
    if stop.preempted_by:
        fields["preempted_by_allocation"] = stop.preempted_by
    txn.put_allocation(replace(alloc, **fields))


def _of_losers(txn: Transaction, evicted: list[AllocStop], preempted: tuple[Evaluation, ...]) -> Iterator[Evaluation]:
    """Who came knows whom it has displaced; the evaluations of the jobs that have lost something."""
    losers: dict[JobKey, None] = {}
    for stop in evicted:
        victim, winner = txn.state.allocations.get(stop.alloc_id), txn.state.allocations.get(stop.preempted_by)
        if victim is None or winner is None:
            continue
        losers[victim.namespace, victim.job_id] = None
        if victim.id not in (known := winner.preempted_allocations or ()):
            txn.put_allocation(replace(winner, preempted_allocations=(*known, victim.id)))
    return (one for one in preempted if (one.namespace, one.job_id) in losers)


def _touched(txn: Transaction) -> dict[str, int]:
    return {"modify_index": txn.index, "alloc_modify_index": txn.index, "modify_time_ns": txn.time_ns}


def _update(txn: Transaction, plan: Plan, job: Job | None, update: AllocUpdate) -> None:
    alloc = txn.state.allocations.get(update.alloc_id)
    if alloc is None:
        return
    fields: dict[str, Any] = _touched(txn)
    if update.to_plan_job and job is not None:
        fields |= {"job": job, "eval_id": plan.eval_id}
    if update.resources is not None:
        fields["allocated_resources"] = update.resources
    if update.deployment_id and update.deployment_id != alloc.deployment_id:
        status = AllocDeploymentStatus(canary=True) if update.canary else None
        fields |= {"deployment_id": update.deployment_id, "deployment_status": status}
    if update.followup_eval_id:
        fields["followup_eval_id"] = update.followup_eval_id
    if update.desired_description:
        fields["desired_description"] = update.desired_description
    txn.put_allocation(replace(alloc, **fields))


def _place(txn: Transaction, plan: Plan, block: PlacementBlock) -> None:
    version = plan.job_version if block.job_version is None else block.job_version
    job = txn.state.job_version(plan.namespace, plan.job_id, version)
    assert job is not None, f"version {version} of job {plan.job_id} is gone"
    names = {node_id: txn.state.nodes[node_id].name for node_id in block.node_ids if node_id in txn.state.nodes}
    for alloc_id, node_id, number, resources, previous, tracker in rows_of(block):
        txn.put_allocation(
            Allocation(
                id=alloc_id,
                namespace=plan.namespace,
                eval_id=plan.eval_id,
                name=f"{plan.job_id}.{block.task_group}[{number}]",
                node_id=node_id,
                node_name=names[node_id],
                job_id=plan.job_id,
                job=job,
                task_group=block.task_group,
                allocated_resources=resources,
                metrics=block.metrics,
                desired_status=_RUN,
                client_status=_PENDING,
                previous_allocation=previous,
                deployment_id=block.deployment_id,
                deployment_status=_CANARY if block.canary else None,
                reschedule_tracker=tracker,
                create_index=txn.index,
                modify_index=txn.index,
                alloc_modify_index=txn.index,
                create_time_ns=txn.time_ns,
                modify_time_ns=txn.time_ns,
            )
        )
        if previous:
            _link(txn, previous, alloc_id)


_RUN = str(DesiredStatus.RUN)
_PENDING = str(ClientStatus.PENDING)
_CANARY = AllocDeploymentStatus(canary=True)


def _link(txn: Transaction, previous_id: str, alloc_id: str) -> None:
    previous = txn.state.allocations.get(previous_id)
    if previous is not None:
        txn.put_allocation(replace(previous, next_allocation=alloc_id, modify_index=txn.index))
