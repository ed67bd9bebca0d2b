"""One read, from its parameters to its answer: how fresh, how long to wait, which headers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raftnomad.api import answers, blocking
from raftnomad.api.context import Context
from raftnomad.api.encoded import Encoded, Found
from raftnomad.errors import BadRequest, RaftnomadError
from raftnomad.fsm.changes import WatchKey
from raftnomad.fsm.state import State
from raftnomad.model import wire
from raftnomad.web import Request, Response

DEFAULT_NAMESPACE = "default"

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_NOT_OF_THE_QUESTION = frozenset(("index", "wait", "stale", "consistent", "pretty", "region"))


@dataclass(frozen=True)
class QueryOptions:
    index: int
    wait_ns: int
    stale: bool


def options(request: Request) -> QueryOptions:
    """Raises BadRequest, in the order in which Nomad looks."""
    wait_ns = blocking.parse_wait(request.get("wait"))
    index = blocking.parse_index(request.get("index"))
    return QueryOptions(index, wait_ns, _stale(request))


def _stale(request: Request) -> bool:
    if not request.has("stale"):
        return False
    value = request.get("stale")
    if value == "" or value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise BadRequest("Expect `true` or `false` for `stale` query string parameter")


def flag(request: Request, name: str, default: bool = False) -> bool:
    """A boolean parameter; bad ones are 500, as Nomad has it."""
    value = request.get(name)
    if value == "":
        return default
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    raise RaftnomadError(
        f'Failed to parse value of "{name}" ({value}) as a bool: strconv.ParseBool: parsing "{value}": invalid syntax'
    )


def namespace_of(request: Request) -> str:
    return request.get("namespace") or DEFAULT_NAMESPACE


async def query(
    context: Context,
    request: Request,
    watch: Sequence[WatchKey],
    read: Callable[[State], Found],
    *,
    inline_meta: bool = False,
    also: Sequence[str] = (),
    question: str = "",
) -> Response:
    """Answer `request` with what `read` gives, waiting on `watch` when `?index` asks for something newer.

    also: tables that the answer depends on besides those that are watched.
    question: what the answer depends on besides the URL and the state, such as the request's body.
    inline_meta: the body is an object that carries Index, LastContact and so on itself.
    """
    asked = options(request)
    if not asked.stale:
        await context.server.consistent_read()
    tables = (*dict.fromkeys(key[0] for key in watch), *also)
    key = (request.path, question, tuple(item for item in request.query if item[0] not in _NOT_OF_THE_QUESTION))

    async def look() -> Encoded:
        state = context.server.state
        version = tuple(state.table_index(table) for table in tables)
        return await context.encoded.get(key, version, lambda: read(state))

    if not asked.index:
        return _response(context, asked, await look(), inline_meta)
    with context.watchers.watch(watch) as change:
        encoded = await look()
        deadline = context.server.clock.monotonic_s() + blocking.with_jitter(asked.wait_ns, context.server.random_bytes)
        while encoded.index <= asked.index:
            changed = await change.wait(deadline - context.server.clock.monotonic_s())
            encoded = await look()
            if not changed:
                break
    return _response(context, asked, encoded, inline_meta)


def _response(context: Context, asked: QueryOptions, encoded: Encoded, inline_meta: bool) -> Response:
    log = context.server.log
    last_contact = log.last_contact_ms if asked.stale else 0
    known_leader = log.leader is not None if asked.stale else True
    headers = {
        "X-Nomad-Index": str(encoded.index),
        "X-Nomad-LastContact": str(last_contact),
        "X-Nomad-KnownLeader": "true" if known_leader else "false",
    }
    if encoded.next_token:
        headers["X-Nomad-NextToken"] = encoded.next_token
    if encoded.missing:
        return answers.text(encoded.missing, 404, headers)
    body = encoded.body
    if inline_meta:
        meta = {
            "Index": encoded.index,
            "LastContact": last_contact * 1_000_000,
            "KnownLeader": known_leader,
            "NextToken": encoded.next_token,
        }
        body = body[:-1] + (b"," if len(body) > 2 else b"") + wire.encode(meta)[1:]
    return Response(body=body, headers=headers)
