from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator

import pytest

from raftnomad.api.api import Api
from raftnomad.web import Request, Stream
from tests.api.conftest import Asked
from tests.makers import an_id


async def lines(level: str, as_json: bool) -> AsyncIterator[str]:
    yield f"{level} {as_json}"
    yield "the last line"


@pytest.fixture
async def followed(ask: Asked) -> AsyncIterator[Asked]:
    own, ask.api = ask.api, Api(server=ask.server, log_lines=lines)
    yield ask
    await ask.api.close()
    ask.api = own


async def streamed(ask: Asked, *query: tuple[str, str]) -> list[bytes]:
    answer = await ask.api.handle(Request(method="GET", path="/v1/agent/monitor", query=query))
    assert isinstance(answer, Stream)
    return [frame async for frame in answer.frames]


async def test_the_log_is_followed_in_frames_or_as_plain_text(followed: Asked) -> None:
    frames = [json.loads(frame) for frame in await streamed(followed, ("log_level", "debug"), ("log_json", "true"))]
    assert [base64.b64decode(frame["Data"]) for frame in frames] == [b"DEBUG True\n", b"the last line\n"]
    assert await streamed(followed, ("plain", "true")) == [b"INFO False\n", b"the last line\n"]
    assert len(await streamed(followed, ("server_id", "leader"))) == 2
    assert len(await streamed(followed, ("server_id", "server1.global"))) == 2


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("log_level=loud", (400, "Unknown log level: loud")),
        ("node_id=a&server_id=b", (400, "Cannot target node and server simultaneously")),
        ("server_id=nope", (400, "unknown Nomad server nope")),
        ("node_id=nope", (500, "RPC Error:: 500,node lookup failed: index error: UUID must be 36 characters")),
        (f"node_id={an_id(9, 'none')}", (500, f'RPC Error:: 404,Unknown node "{an_id(9, "none")}"')),
        (
            "plain=maybe",
            (400, 'Unknown option for plain: strconv.ParseBool: parsing "maybe": invalid syntax'),
        ),
    ],
)
async def test_what_can_not_be_followed_is_refused(followed: Asked, query: str, told: tuple[int, str]) -> None:
    assert await followed.refused("GET", f"/v1/agent/monitor?{query}") == told
