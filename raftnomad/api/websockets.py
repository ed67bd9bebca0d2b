"""What is special about requests that go on as WebSockets: `alloc exec` and job actions.

Nomad upgrades before it looks at anything else, so that its clients hear of errors in the close frame.
"""

from __future__ import annotations

import json
import re
from typing import Any

from raftnomad.errors import RaftnomadError
from raftnomad.web import Answer, Request, Response, Socket, WebSocket

CLOSE_NORMAL, CLOSE_GOING_AWAY, CLOSE_POLICY, CLOSE_INTERNAL = 1000, 1001, 1008, 1011
REASON_BYTES_MAX = 123
"""What a close frame has room for."""

_PATHS = re.compile(r"/v1/client/allocation/[^/]*/exec|/v1/job/.+/action")


def goes_on_as_one(request: Request) -> bool:
    return _PATHS.fullmatch(request.path) is not None


def check(request: Request) -> None:
    """Before anybody is asked who has the task. Raises RaftnomadError in Nomad's words and order."""
    tty = request.get("tty")
    if tty not in ("", "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"):
        raise RaftnomadError(f'tty value is not a boolean: strconv.ParseBool: parsing "{tty}": invalid syntax')
    if request.path.endswith("/exec"):
        command(request)
    if not request.wants_websocket:
        raise RaftnomadError("websocket connection not found in context")


def command(request: Request) -> list[str]:
    """What `?command=` says: a JSON list of texts."""
    failed = "failed to marshal command into json: "
    text = request.get("command")
    if not text:
        raise RaftnomadError(f"{failed}unexpected end of JSON input")
    try:
        value: Any = json.loads(text)
    except ValueError:
        raise RaftnomadError(f"{failed}invalid character '{text[0]}' looking for beginning of value") from None
    if not isinstance(value, list):
        raise RaftnomadError(f"{failed}json: cannot unmarshal {_kind(value)} into Go value of type []string")
    for item in value:
        if not isinstance(item, str):
            raise RaftnomadError(f"{failed}json: cannot unmarshal {_kind(item)} into Go value of type string")
    return value


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case dict():
            return "object"
        case _:
            return "array"


def refusal(answer: Answer) -> Answer:
    """An error that was found before there was a WebSocket, told by one."""
    if not isinstance(answer, Response):
        return answer

    async def refuse(socket: Socket) -> None:
        await socket.close(*closing(answer.status, answer.body.decode("utf-8", "replace")))

    return WebSocket(handler=refuse, headers=answer.headers)


def closing(status: int, text: str) -> tuple[int, str]:
    """Code and reason of a close frame that tells of an error."""
    code = CLOSE_INTERNAL if status == 500 else CLOSE_POLICY
    return code, text.encode()[:REASON_BYTES_MAX].decode("utf-8", "ignore")


def after_handshake(answer: Answer, request: Request) -> Answer:
    """Browsers can't set headers: with `?ws_handshake=true` their first message carries the token."""
    if not isinstance(answer, WebSocket) or not request.flag("ws_handshake"):
        return answer
    handler = answer.handler

    async def handshaken(socket: Socket) -> None:
        if await socket.receive() is not None:
            await handler(socket)

    return WebSocket(handler=handshaken, headers=answer.headers)
