"""What a server and its scheduler process say to each other: a u32 length, then MessagePack."""

from __future__ import annotations

import msgspec

from raftnomad.fsm.node_columns import TableDelta
from raftnomad.scheduler.input import SchedulerInput, SchedulerOutput

LENGTH_BYTES = 4
FRAME_MAX = 1 << 30


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Either a part of a delta, which is not answered, or an input with the columns that it means."""

    reset: bool = False
    """Forget all nodes: the server has another state."""
    delta: TableDelta | None = None
    asked: SchedulerInput | None = None
    slots: int = 0
    half: int = 0
    generation: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    output: SchedulerOutput | None = None
    error: str = ""


def frame(message: Request | Answer) -> bytes:
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def length_of(header: bytes) -> int:
    """Raises ValueError for what can't be a frame."""
    length = int.from_bytes(header, "big")
    if length > FRAME_MAX:
        raise ValueError(f"a frame of {length} bytes is too long")
    return length
