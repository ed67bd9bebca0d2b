"""What Nomad has and raftnomad has not, or not yet: said by name, so that nobody searches for a mistake of theirs."""

from __future__ import annotations

from raftnomad.errors import NotBuilt
from raftnomad.web import Answer, Handler, Request, Response


def not_built(what: str) -> Handler:
    """what: as it begins a sentence, e.g. `variables`."""

    async def answer(_request: Request) -> Answer:
        raise NotBuilt(f"raftnomad has not built this yet: {what}")

    return answer


async def enterprise_only(_request: Request) -> Answer:
    raise NotBuilt("Nomad Enterprise only endpoint")


async def no_license(_request: Request) -> Answer:
    return Response(status=204)
