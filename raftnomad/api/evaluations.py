"""Evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from raftnomad.api import answers, shown, stubs
from raftnomad.api.context import Context
from raftnomad.api.encoded import Found
from raftnomad.api.filters import Filter
from raftnomad.api.listing import BY_CREATION, BY_ID, Listing, check_id, check_id_prefix
from raftnomad.api.query import flag, query
from raftnomad.api.requests import EvalDeleteRequest
from raftnomad.errors import BadRequest, RaftnomadError
from raftnomad.fsm.apply.evaluations import can_be_spared
from raftnomad.fsm.commands import DeleteEvaluations
from raftnomad.fsm.state import State
from raftnomad.model import wire
from raftnomad.model.evaluation import Evaluation
from raftnomad.web import Answer, Request

LOOKUP = "failed to lookup eval: eval lookup failed: "
PREFIX_LOOKUP = "eval lookup failed: "
DELETE_MAX = 1000
"""In one command."""


async def list_evaluations(context: Context, request: Request) -> Answer:
    listing = Listing(request, Evaluation)
    status, job_id = request.get("status"), request.get("job")
    if request.get("filter") and (status or job_id):
        raise BadRequest("Filter expression cannot be used with other filter parameters")
    check_id_prefix(listing.prefix, PREFIX_LOOKUP)

    def read(state: State) -> Found:
        rows = (
            row
            for row in _rows(state, listing, job_id)
            if listing.in_namespace(row) and status in ("", row.status) and job_id in ("", row.job_id)
        )
        page = listing.page(rows, BY_ID if listing.prefix else BY_CREATION)
        return Found(
            index=state.table_index("evaluations"),
            rows=page.rows,
            show=shown.evaluation,
            next_token=page.next_token,
        )

    return await query(context, request, [("evaluations",)], read)


def _rows(state: State, listing: Listing, job_id: str) -> Iterable[Evaluation]:
    if listing.prefix:
        return state.evaluations.with_prefix(listing.prefix)
    if job_id and listing.namespace != "*":
        return state.evaluations_of_job(listing.namespace, job_id)
    return state.evaluations.values()


async def count_evaluations(context: Context, request: Request) -> Answer:
    listing = Listing(request, Evaluation)
    check_id_prefix(listing.prefix, PREFIX_LOOKUP)

    def read(state: State) -> Found:
        rows = state.evaluations.with_prefix(listing.prefix) if listing.prefix else state.evaluations.values()
        page = listing.page(filter(listing.in_namespace, rows), BY_CREATION)
        return Found(index=state.table_index("evaluations"), value={"Count": len(page.rows)})

    return await query(context, request, [("evaluations",)], read, inline_meta=True)


async def read_evaluation(context: Context, request: Request) -> Answer:
    identifier = request.parameters["id"]
    related = flag(request, "related")
    check_id(identifier, LOOKUP)

    def read(state: State) -> Found:
        evaluation = state.evaluations.get(identifier)
        if evaluation is None:
            return Found(index=state.table_index("evaluations"), missing="eval not found")
        if not related:
            return Found(index=evaluation.modify_index, value=shown.evaluation(evaluation))
        relatives = tuple(stubs.evaluation_stub(row) for row in _related(state, evaluation))
        value = msgspec.structs.replace(shown.evaluation(evaluation), related_evals=relatives or None)
        return Found(index=max(evaluation.modify_index, *(row.modify_index for row in relatives), 0), value=value)

    watch = [("evaluations",)] if related else [("evaluations", "id", identifier)]
    return await query(context, request, watch, read)


def _related(state: State, evaluation: Evaluation) -> Iterator[Evaluation]:
    """All that hang together by next, previous and blocked, but for the evaluation itself."""
    seen = {evaluation.id}
    waiting = [evaluation]
    while waiting:
        row = waiting.pop(0)
        for identifier in (row.next_eval, row.previous_eval, row.blocked_eval):
            relative = state.evaluations.get(identifier) if identifier and identifier not in seen else None
            if relative is not None:
                seen.add(identifier)
                waiting.append(relative)
                yield relative


async def delete_evaluations(context: Context, request: Request) -> Answer:
    """By their ids, or all that a filter matches and that can be spared. Only while the broker is paused."""
    asked = wire.decode(EvalDeleteRequest, request.body)
    expression = asked.filter or request.get("filter")
    identifiers = asked.eval_ids or ()
    if not identifiers and not expression:
        raise BadRequest("evals must be deleted by either ID or filter")
    await context.server.consistent_read()
    state = context.server.state
    if not state.scheduler_configuration.pause_eval_broker:
        raise RaftnomadError("eval broker is enabled; eval broker must be paused to delete evals")
    if identifiers and expression:
        raise BadRequest("evals cannot be deleted by both ID and filter")
    if expression:
        matches = Filter(expression, Evaluation)
        identifiers = tuple(
            row.id for row in state.evaluations.values() if matches(row) and can_be_spared(state, row.id)
        )
    index = 0
    for start in range(0, len(identifiers), DELETE_MAX):
        command = DeleteEvaluations(eval_ids=identifiers[start : start + DELETE_MAX])
        index = (await context.server.propose(command)).index
    return answers.written(index, {"Count": len(identifiers)})


async def evaluation_allocations(context: Context, request: Request) -> Answer:
    identifier = request.parameters["id"]
    check_id(identifier, "")

    def read(state: State) -> Found:
        rows = state.allocations_of_evaluation(identifier)
        return Found(index=state.table_index("allocations"), rows=rows, show=stubs.allocation_stub)

    return await query(context, request, [("allocations", "evaluation", identifier)], read)
