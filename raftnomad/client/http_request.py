"""What the client's routes read from a request: its allocation, its parameters and its body, refused in Go's words."""

from __future__ import annotations

from typing import Any

import msgspec

from raftnomad.client.alloc_runner import AllocRunner
from raftnomad.client.client import Client
from raftnomad.errors import BadRequest, NotFound, RaftnomadError
from raftnomad.web import Request


def allocation(client: Client, request: Request) -> AllocRunner:
    id = request.parameters.get("id", "")
    if not id:
        raise BadRequest("must provide a valid alloc id")
    if len(id) != 36:
        raise RaftnomadError("alloc lookup failed: index error: UUID must be 36 characters")
    runner = client.allocations.get(id)
    if runner is None:
        raise NotFound(f'Unknown allocation "{id}"')
    return runner


def path(request: Request) -> str:
    if not request.parameters.get("id"):
        raise BadRequest("must provide a valid alloc id")
    found = request.get("path")
    if not found:
        raise BadRequest("must provide a file name")
    return found


def integer(text: str, name: str) -> int:
    try:
        if not text.removeprefix("-").removeprefix("+").isdecimal():
            raise ValueError
        return int(text)
    except ValueError:
        raise RaftnomadError(f'error parsing {name}: strconv.ParseInt: parsing "{text}": invalid syntax') from None


def boolean(request: Request, name: str, default: str, error: type[RaftnomadError]) -> bool:
    value = request.get(name) or default
    if value in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if value in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise error(f'failed to parse {name} field to boolean: strconv.ParseBool: parsing "{value}": invalid syntax')


def origin(request: Request) -> str:
    found = request.get("origin") or "start"
    if found not in ("start", "end"):
        raise BadRequest("origin must be start or end")
    return found


def json_object(body: bytes, error: type[RaftnomadError]) -> dict[str, Any]:
    """A JSON object by its keys in lower case, since Go does not mind their case."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError as problem:
        truncated = "truncated" in str(problem)
        raise error("unexpected EOF" if truncated else str(problem)) from None
    if not isinstance(value, dict):
        raise error(wrong_type(value, "", "object"))
    return {key.lower(): item for key, item in value.items()}


def text(body: dict[str, Any], name: str) -> str:
    value = body.get(name.lower())
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RaftnomadError(wrong_type(value, f".{name}", "string"))
    return value


def wrong_type(value: Any, field: str, wanted: str) -> str:
    kinds = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    kind = kinds.get(type(value), "value")
    return f"json: cannot unmarshal {kind} into Go struct field {field} of type {wanted}"
