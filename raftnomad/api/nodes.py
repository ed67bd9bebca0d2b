"""Nodes: look at them, take them out of use, put them back."""

from __future__ import annotations

from functools import partial

from raftnomad.api import answers, shown, stubs
from raftnomad.api.context import Context
from raftnomad.api.encoded import Found
from raftnomad.api.listing import BY_ID, Listing, check_id, check_id_prefix
from raftnomad.api.query import flag, query
from raftnomad.api.requests import NodeUpdateDrainRequest, NodeUpdateEligibilityRequest
from raftnomad.clock import rfc3339
from raftnomad.errors import BadRequest, RaftnomadError
from raftnomad.fsm.commands import DeregisterNode, UpdateNodeDrain, UpdateNodeEligibility, UpsertEvaluations
from raftnomad.fsm.state import State
from raftnomad.identifiers import new_id
from raftnomad.model import wire
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.node import DrainSpec, DrainStrategy, Node, NodeEvent
from raftnomad.model.row import ZERO_TIME
from raftnomad.model.status import Eligibility
from raftnomad.server.triggered import for_node
from raftnomad.web import Answer, Request

LOOKUP = "node lookup failed: "


async def list_nodes(context: Context, request: Request) -> Answer:
    listing = Listing(request, Node)
    resources, os = _list_flag(request, "resources"), _list_flag(request, "os")
    check_id_prefix(listing.prefix, LOOKUP)

    def read(state: State) -> Found:
        rows = state.nodes.with_prefix(listing.prefix) if listing.prefix else state.nodes.values()
        page = listing.page(rows, BY_ID)
        show = partial(stubs.node_stub, resources=resources, os=os)
        return Found(index=state.table_index("nodes"), rows=page.rows, show=show, next_token=page.next_token)

    return await query(context, request, [("nodes",)], read)


def _list_flag(request: Request, name: str) -> bool:
    try:
        return flag(request, name)
    except RaftnomadError as error:
        raise BadRequest(f"Failed to parse node list fields: {error}") from None


async def read_node(context: Context, request: Request) -> Answer:
    identifier = _identifier(request)

    def read(state: State) -> Found:
        node = state.nodes.get(identifier)
        if node is None:
            return Found(index=state.table_index("nodes"), missing="node not found")
        return Found(index=node.modify_index, value=shown.node(node))

    return await query(context, request, [("nodes", "id", identifier)], read)


async def node_allocations(context: Context, request: Request) -> Answer:
    identifier = request.parameters["id"]

    def read(state: State) -> Found:
        rows = state.allocations_of_node(identifier)
        return Found(index=state.table_index("allocations"), rows=rows, show=shown.allocation)

    return await query(context, request, [("allocations", "node", identifier)], read)


async def update_eligibility(context: Context, request: Request) -> Answer:
    asked = wire.decode(NodeUpdateEligibilityRequest, request.body)
    node = await _existing(context, asked.node_id or request.parameters["id"])
    if asked.eligibility not in (Eligibility.ELIGIBLE, Eligibility.INELIGIBLE):
        raise RaftnomadError(f'invalid scheduling eligibility "{asked.eligibility}"')
    if node.drain_strategy is not None and asked.eligibility == Eligibility.ELIGIBLE:
        raise RaftnomadError("can not set node's scheduling eligibility to eligible while it is draining")
    if node.scheduling_eligibility == asked.eligibility:
        return _eligibility_updated(0, ())
    becomes_eligible = asked.eligibility == Eligibility.ELIGIBLE
    evaluations = _node_evaluations(context, node) if becomes_eligible else ()
    applied = await context.server.propose(
        UpdateNodeEligibility(
            node_id=node.id,
            eligibility=asked.eligibility,
            event=_event(context, "Cluster", f"Node marked as {asked.eligibility} for scheduling"),
            evaluations=evaluations,
        )
    )
    return _eligibility_updated(applied.index, evaluations)


def _eligibility_updated(index: int, evaluations: tuple[Evaluation, ...]) -> Answer:
    return answers.written(index, {"NodeModifyIndex": 0, **_evaluations(index, evaluations)})


async def update_drain(context: Context, request: Request) -> Answer:
    asked = wire.decode(NodeUpdateDrainRequest, request.body)
    node = await _existing(context, asked.node_id or request.parameters["id"])
    strategy = None if asked.drain_spec is None else _strategy(asked.drain_spec, context.server.clock.now_ns())
    becomes_eligible = strategy is None and asked.mark_eligible
    evaluations = _node_evaluations(context, node) if becomes_eligible else ()
    applied = await context.server.propose(
        UpdateNodeDrain(
            node_id=node.id,
            strategy=strategy,
            mark_eligible=asked.mark_eligible,
            meta=asked.meta,
            event=_event(context, "Drain", _drain_message(node, strategy)),
            evaluations=evaluations,
        )
    )
    return answers.written(
        applied.index, {"NodeModifyIndex": applied.index, **_evaluations(applied.index, evaluations)}
    )


def _strategy(spec: DrainSpec, now_ns: int) -> DrainStrategy:
    """A deadline of 0 is none, a negative one means at once."""
    return DrainStrategy(
        deadline_ns=spec.deadline_ns,
        ignore_system_jobs=spec.ignore_system_jobs,
        force_deadline=rfc3339(now_ns + spec.deadline_ns) if spec.deadline_ns > 0 else ZERO_TIME,
        started_at=rfc3339(now_ns),
    )


def _drain_message(node: Node, strategy: DrainStrategy | None) -> str:
    if strategy is None:
        return "Node drain disabled"
    return "Node drain strategy set" if node.drain_strategy is None else "Node drain strategy updated"


async def purge_node(context: Context, request: Request) -> Answer:
    node = await _existing(context, _identifier(request))
    evaluations = _node_evaluations(context, node)
    applied = await context.server.propose(DeregisterNode(node_ids=(node.id,), evaluations=evaluations))
    return _node_updated(context, applied.index, evaluations, None, node_modify_index=applied.index)


async def evaluate_node(context: Context, request: Request) -> Answer:
    node = await _existing(context, _identifier(request))
    evaluations = _node_evaluations(context, node)
    if not evaluations:
        return _node_updated(context, 0, (), node)
    applied = await context.server.propose(UpsertEvaluations(evaluations=evaluations))
    return _node_updated(context, applied.index, evaluations, node)


def _node_updated(
    context: Context,
    index: int,
    evaluations: tuple[Evaluation, ...],
    node: Node | None,
    node_modify_index: int = 0,
) -> Answer:
    log, datacenter = context.server.log, context.server.datacenter
    servers = [
        {"RPCAdvertiseAddr": member.rpc_address, "RPCMajorVersion": 0, "RPCMinorVersion": 0, "Datacenter": datacenter}
        for member in log.members
    ]
    return answers.written(
        index,
        {
            "HeartbeatTTL": 0,
            "NodeModifyIndex": node_modify_index,
            **_evaluations(index, evaluations),
            "Features": 0,
            "LeaderRPCAddr": log.leader.rpc_address if node is not None and log.leader is not None else "",
            "NumNodes": len(context.server.state.nodes) if node is not None else 0,
            "Servers": servers if node is not None else None,
            "SchedulingEligibility": node.scheduling_eligibility if node is not None else "",
            "SignedIdentity": None,
            **answers.NO_QUERY_META,
        },
    )


def _evaluations(index: int, evaluations: tuple[Evaluation, ...]) -> dict[str, object]:
    return {
        "EvalIDs": [evaluation.id for evaluation in evaluations] or None,
        "EvalCreateIndex": index if evaluations else 0,
    }


def _node_evaluations(context: Context, node: Node) -> tuple[Evaluation, ...]:
    server = context.server
    return for_node(server.state, node, lambda: new_id(server.random_bytes), server.clock.now_ns())


def _event(context: Context, subsystem: str, message: str) -> NodeEvent:
    return NodeEvent(subsystem=subsystem, message=message, timestamp=rfc3339(context.server.clock.now_ns()))


def _identifier(request: Request) -> str:
    identifier = request.parameters["id"]
    if identifier == "":
        raise RaftnomadError("missing node ID")
    check_id(identifier, LOOKUP)
    return identifier


async def _existing(context: Context, identifier: str) -> Node:
    check_id(identifier, LOOKUP)
    await context.server.consistent_read()
    node = context.server.state.nodes.get(identifier)
    if node is None:
        raise RaftnomadError("node not found")
    return node
