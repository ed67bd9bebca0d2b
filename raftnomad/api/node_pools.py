"""Node pools."""

from __future__ import annotations

import re

import msgspec

from raftnomad.api import answers, shown, stubs
from raftnomad.api.context import Context
from raftnomad.api.encoded import Found
from raftnomad.api.listing import BY_ID, BY_NAME, BY_NAMESPACE_AND_ID, Listing
from raftnomad.api.query import flag, query
from raftnomad.errors import BadRequest, RaftnomadError
from raftnomad.fsm.commands import DeleteNodePools, UpsertNodePools
from raftnomad.fsm.state import State
from raftnomad.model import wire
from raftnomad.model.job import Job
from raftnomad.model.node import Node, NodePool
from raftnomad.model.validation import multierror
from raftnomad.web import Answer, Request

ALL_POOLS = "all"
DESCRIPTION_MAX = 256


async def list_node_pools(context: Context, request: Request) -> Answer:
    listing = Listing(request, NodePool)

    def read(state: State) -> Found:
        rows = (pool for name, pool in state.node_pools.items() if name.startswith(listing.prefix))
        page = listing.page(rows, BY_NAME)
        return Found(
            index=state.table_index("node_pools") or 1, rows=page.rows, show=shown.node_pool, next_token=page.next_token
        )

    return await query(context, request, [("node_pools",)], read)


async def read_node_pool(context: Context, request: Request) -> Answer:
    name = request.parameters["name"]

    def read(state: State) -> Found:
        pool = state.node_pools.get(name)
        if pool is None:
            return Found(index=state.table_index("node_pools") or 1, missing="node pool not found")
        return Found(index=pool.modify_index, value=shown.node_pool(pool))

    return await query(context, request, [("node_pools", "id", name)], read)


async def write_node_pool(context: Context, request: Request) -> Answer:
    pool = wire.decode(NodePool, request.body)
    if "name" in request.parameters and request.parameters["name"] != pool.name:
        raise BadRequest("Node pool name does not match request path")
    if problem := _problem(pool):
        raise BadRequest(f'invalid node pool "{pool.name}": {multierror([problem])}')
    if pool.scheduler_configuration is not None:
        raise RaftnomadError('Feature "Node Pools Governance" is unlicensed')
    pool = msgspec.structs.replace(pool, node_identity_ttl_ns=pool.node_identity_ttl_ns or shown.IDENTITY_TTL_NS)
    applied = await context.server.propose(UpsertNodePools(node_pools=(pool,)))
    return answers.written(applied.index)


def _problem(pool: NodePool) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9-_]{1,128}", pool.name):
        return f'invalid name "{pool.name}", must match regex ^[a-zA-Z0-9-_]{{1,128}}$'
    if len(pool.description) > DESCRIPTION_MAX:
        return f"description longer than {DESCRIPTION_MAX}"
    return ""


async def delete_node_pool(context: Context, request: Request) -> Answer:
    applied = await context.server.propose(
        DeleteNodePools(names=(request.parameters["name"],), region=context.server.region)
    )
    return answers.written(applied.index)


async def node_pool_nodes(context: Context, request: Request) -> Answer:
    _refuse_prefix(request)
    listing = Listing(request, Node)
    name = request.parameters["name"]
    resources, os = flag(request, "resources"), flag(request, "os")

    def read(state: State) -> Found:
        if name not in state.node_pools:
            return Found(index=0, value=[])
        page = listing.page((node for node in state.nodes.values() if name in (ALL_POOLS, node.node_pool)), BY_ID)
        value = [stubs.node_stub(row, resources=resources, os=os) for row in page.rows]
        return Found(index=state.table_index("nodes"), value=value, next_token=page.next_token)

    return await query(context, request, [("nodes",)], read, also=("node_pools",))


async def node_pool_jobs(context: Context, request: Request) -> Answer:
    _refuse_prefix(request)
    listing = Listing(request, Job)
    name = request.parameters["name"]
    meta = flag(request, "meta")

    def read(state: State) -> Found:
        if name not in state.node_pools:
            return Found(index=0, value=[])
        rows = (job for job in state.jobs.values() if job.node_pool == name and listing.in_namespace(job))
        page = listing.page(rows, BY_NAMESPACE_AND_ID)
        value = [stubs.job_stub(job, state.summaries.get((job.namespace, job.id)), meta=meta) for job in page.rows]
        return Found(index=state.table_index("jobs"), value=value, next_token=page.next_token)

    return await query(context, request, [("jobs",)], read, also=("summaries", "node_pools"))


def _refuse_prefix(request: Request) -> None:
    if request.get("prefix"):
        raise BadRequest("prefix argument not allowed")
