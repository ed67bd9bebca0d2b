"""`/v1/event/stream`: events as they happen, one JSON object a line, and a few of those that happened before."""

from __future__ import annotations

from raftnomad.api import answers
from raftnomad.api.context import Context
from raftnomad.api.events import Subscription, parse_topics
from raftnomad.api.query import namespace_of
from raftnomad.errors import BadRequest
from raftnomad.web import Answer, Request, Stream


async def event_stream(context: Context, request: Request) -> Answer:
    headers = {"Cache-Control": "no-cache"}
    topics = parse_topics(request.get_all("topic"))
    text = request.get("index") or "0"
    try:
        index = int(text)
    except ValueError:
        raise BadRequest(f'Unable to parse index: strconv.Atoi: parsing "{text}": invalid syntax') from None
    if index < 0:
        return answers.text("", 400, headers)
    # An index that is not there yet begins with what comes next, whatever its index will be.
    index = min(index, context.server.state.index + 1)
    subscription = Subscription(topics, namespace_of(request))
    return Stream(frames=context.events.follow(subscription, index), headers=headers)
