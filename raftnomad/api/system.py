"""Housekeeping that an operator asks for."""

from __future__ import annotations

from raftnomad.api.context import Context
from raftnomad.fsm.commands import ReconcileSummaries
from raftnomad.web import Answer, Request, Response


async def collect_garbage(context: Context, _request: Request) -> Answer:
    """Forget everything that has ended, whatever its age."""
    await context.server.collect_garbage()
    return Response()


async def reconcile_summaries(context: Context, _request: Request) -> Answer:
    await context.server.propose(ReconcileSummaries())
    return Response()
