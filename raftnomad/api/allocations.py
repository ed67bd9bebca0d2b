"""Allocations as the servers know them; what only their node knows is behind `/v1/client`."""

from __future__ import annotations

from functools import partial

from raftnomad.api import answers, shown, stubs
from raftnomad.api.context import Context
from raftnomad.api.encoded import Found
from raftnomad.api.job_writes import new_evaluation
from raftnomad.api.listing import BY_CREATION, BY_ID, Listing, check_id, check_id_prefix
from raftnomad.api.query import flag, query
from raftnomad.errors import NotFound
from raftnomad.fsm.commands import TransitionAllocations
from raftnomad.fsm.state import State
from raftnomad.model.allocation import Allocation, DesiredTransition
from raftnomad.model.status import EvalTrigger
from raftnomad.web import Answer, Request

LOOKUP = "alloc lookup failed: "


async def list_allocations(context: Context, request: Request) -> Answer:
    listing = Listing(request, Allocation)
    resources = flag(request, "resources")
    task_states = flag(request, "task_states", default=True)
    check_id_prefix(listing.prefix, LOOKUP)

    def read(state: State) -> Found:
        table = state.allocations
        rows = table.with_prefix(listing.prefix) if listing.prefix else table.values()
        page = listing.page(filter(listing.in_namespace, rows), BY_ID if listing.prefix else BY_CREATION)
        show = partial(stubs.allocation_stub, resources=resources, task_states=task_states)
        index = state.table_index("allocations")
        return Found(index=index, rows=page.rows, show=show, next_token=page.next_token)

    return await query(context, request, [("allocations",)], read)


async def read_allocation(context: Context, request: Request) -> Answer:
    identifier = request.parameters["id"]
    if "/" in identifier:
        raise NotFound("resource not found")
    check_id(identifier, LOOKUP)

    def read(state: State) -> Found:
        alloc = state.allocations.get(identifier)
        if alloc is None:
            return Found(index=state.table_index("allocations"), missing="alloc not found")
        return Found(index=alloc.modify_index, value=shown.allocation(alloc))

    return await query(context, request, [("allocations", "id", identifier)], read)


async def stop_allocation(context: Context, request: Request) -> Answer:
    """Ask that it be moved; it stops when its replacement is there."""
    identifier = request.parameters["id"]
    no_shutdown_delay = flag(request, "no_shutdown_delay")
    reschedule = flag(request, "reschedule")
    check_id(identifier, LOOKUP)
    await context.server.consistent_read()
    alloc = context.server.state.allocations.get(identifier)
    if alloc is None:
        raise NotFound("allocation not found")
    assert alloc.job is not None
    transition = DesiredTransition(
        migrate=True,
        no_shutdown_delay=no_shutdown_delay,
        reschedule=reschedule,
    )
    evaluation = new_evaluation(context, alloc.job, EvalTrigger.ALLOC_STOP)
    applied = await context.server.propose(
        TransitionAllocations(transitions={identifier: transition}, evaluations=(evaluation,))
    )
    return answers.written(applied.index, {"EvalID": evaluation.id})


async def allocation_services(context: Context, request: Request) -> Answer:
    """Service discovery is not built, so no allocation has registered any."""
    identifier = request.parameters["id"]
    check_id(identifier, LOOKUP)

    def read(state: State) -> Found:
        index = state.table_index("allocations")
        if identifier not in state.allocations:
            return Found(index=index, missing="alloc not found")
        return Found(index=index, value=[])

    return await query(context, request, [("allocations", "id", identifier)], read)
