"""A verified plan becomes allocations: stops first, then what goes on, then what is new and still fits.

The leader has checked the plan against a state that may be a few entries old, so each placement is checked once more
here, where nothing can come between: a node that is gone, not ready or full refuses it, and the outcome says which.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from raftnomad.fsm.apply import deployments, evaluations
from raftnomad.fsm.apply.allocations import with_state
from raftnomad.fsm.apply.placements import Placement, placements_of
from raftnomad.fsm.commands import ApplyPlan
from raftnomad.fsm.outcome import Applied, Outcome
from raftnomad.fsm.state import uses_node
from raftnomad.fsm.transaction import Transaction
from raftnomad.model.allocation import Allocation, AllocDeploymentStatus
from raftnomad.model.job import Job
from raftnomad.model.node import Node
from raftnomad.model.plan import AllocStop, AllocUpdate, Plan
from raftnomad.model.status import ClientStatus, DesiredStatus, Eligibility, NodeStatus


def apply(txn: Transaction, command: ApplyPlan) -> Outcome:
    """Applied, with the ids of the placements that were refused; then the evaluations wait for another attempt."""
    if (stale := evaluations.stale_epoch(txn, command.epoch)) is not None:
        return stale
    plan = command.plan
    job = _job_of(txn, plan)
    placements = [placement for block in plan.placements for placement in placements_of(block)]
    new = [placement for placement in placements if placement.alloc_id not in txn.state.allocations]
    refused = _refused(txn, plan, job, new)
    if refused and plan.all_at_once:
        return Applied(txn.index, refused=tuple(placement.alloc_id for placement in new))
    if plan.deployment is not None and plan.deployment.id not in txn.state.deployments:
        txn.put_deployment(
            replace(
                plan.deployment,
                create_index=txn.index,
                modify_index=txn.index,
                create_time_ns=plan.deployment.create_time_ns or txn.time_ns,
                modify_time_ns=txn.time_ns,
            )
        )
    for deployment_update in plan.deployment_updates:
        deployments.apply_update(txn, deployment_update)
    for stop in plan.stops:
        _stop(txn, stop)
    for update in plan.updates:
        _update(txn, plan, job, update)
    if job is not None:
        _place(txn, plan, job, [placement for placement in new if placement.alloc_id not in refused])
    if not refused:
        evaluations.store(txn, command.evaluations)
    return Applied(txn.index, refused=tuple(refused))


def _job_of(txn: Transaction, plan: Plan) -> Job | None:
    """The version that the plan was made for; None when the job is gone, or is another one of the same name."""
    present = txn.state.jobs.get((plan.namespace, plan.job_id))
    if present is None or (plan.job_create_index and present.create_index != plan.job_create_index):
        return None
    return txn.state.job_version(plan.namespace, plan.job_id, plan.job_version)


def _refused(txn: Transaction, plan: Plan, job: Job | None, new: list[Placement]) -> dict[str, str]:
    """Id -> reason of the placements that the state does not take.

    What the plan itself stops makes room for what it places: the client starts the one after the other has ended.
    """
    if not new:
        return {}
    if job is None:
        return {placement.alloc_id: "the job is gone" for placement in new}
    table = txn.state.node_table
    nodes = {placement.node_id: txn.state.nodes.get(placement.node_id) for placement in new}
    leaving = []
    for alloc_id in dict.fromkeys(stop.alloc_id for stop in plan.stops):
        alloc = txn.state.allocations.get(alloc_id)
        if alloc is not None and alloc.node_id in nodes and uses_node(alloc):
            leaving.append(alloc)
    for alloc in leaving:
        table.remove_allocation(alloc)
    refused: dict[str, str] = {}
    tried: list[Allocation] = []
    for placement in new:
        reason = _not_ready(nodes[placement.node_id]) or table.fits(placement.node_id, placement.resources)
        if reason:
            refused[placement.alloc_id] = reason
        else:
            trial = Allocation(
                id=placement.alloc_id, node_id=placement.node_id, allocated_resources=placement.resources
            )
            table.add_allocation(trial)
            tried.append(trial)
    for trial in reversed(tried):
        table.remove_allocation(trial)
    for alloc in leaving:
        table.add_allocation(alloc)
    return refused


def _not_ready(node: Node | None) -> str:
    if node is None:
        return "node does not exist"
    if node.status != NodeStatus.READY:
        return f"node is {node.status}"
    if node.scheduling_eligibility == Eligibility.INELIGIBLE or node.drain_strategy is not None:
        return "node is not eligible"
    return ""


def _stop(txn: Transaction, stop: AllocStop) -> None:
    alloc = txn.state.allocations.get(stop.alloc_id)
    if alloc is None:
        return
    fields: dict[str, Any] = {
        "desired_status": stop.desired_status,
        "desired_description": stop.desired_description or alloc.desired_description,
        **_touched(txn),
    }
    if stop.client_status and uses_node(alloc):
        fields["client_status"] = stop.client_status
        if stop.client_status == ClientStatus.UNKNOWN and alloc.client_status != ClientStatus.UNKNOWN:
            fields["alloc_states"] = with_state(alloc, stop.client_status, txn.time)
    if stop.followup_eval_id:
        fields["followup_eval_id"] = stop.followup_eval_id
    if stop.preempted_by:
        fields["preempted_by_allocation"] = stop.preempted_by
    txn.put_allocation(replace(alloc, **fields))


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


def _place(txn: Transaction, plan: Plan, job: Job, placements: list[Placement]) -> None:
    names = {placement.node_id: txn.state.nodes[placement.node_id].name for placement in placements}
    for placement in placements:
        block = placement.block
        txn.put_allocation(
            Allocation(
                id=placement.alloc_id,
                namespace=plan.namespace,
                eval_id=plan.eval_id,
                name=f"{plan.job_id}.{block.task_group}[{placement.name_index}]",
                node_id=placement.node_id,
                node_name=names[placement.node_id],
                job_id=plan.job_id,
                job=job,
                task_group=block.task_group,
                allocated_resources=placement.resources,
                metrics=block.metrics,
                desired_status=_RUN,
                client_status=_PENDING,
                previous_allocation=placement.previous,
                deployment_id=block.deployment_id,
                deployment_status=_CANARY if block.canary else None,
                reschedule_tracker=placement.reschedule_tracker,
                create_index=txn.index,
                modify_index=txn.index,
                alloc_modify_index=txn.index,
                create_time_ns=txn.time_ns,
                modify_time_ns=txn.time_ns,
            )
        )
        if placement.previous:
            _link(txn, placement.previous, placement.alloc_id)


_RUN = str(DesiredStatus.RUN)
_PENDING = str(ClientStatus.PENDING)
_CANARY = AllocDeploymentStatus(canary=True)


def _link(txn: Transaction, previous_id: str, alloc_id: str) -> None:
    previous = txn.state.allocations.get(previous_id)
    if previous is not None:
        txn.put_allocation(replace(previous, next_allocation=alloc_id, modify_index=txn.index))
