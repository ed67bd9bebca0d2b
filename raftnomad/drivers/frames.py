"""Messages between an agent, the zygote and executors: four bytes of length (big-endian), then JSON.

The zygote imports this, so it stays small. Every request carries `protocol`; an executor of another version answers
with an error instead of guessing, because executors outlive the agent that started them, upgrades included.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

PROTOCOL = 1

FRAME_BYTES_MAX = 16 << 20

Message = dict[str, Any]


class BrokenFrame(Exception):
    """The other side does not speak this protocol."""


def encode(message: Mapping[str, Any]) -> bytes:
    body = json.dumps(message, separators=(",", ":")).encode()
    return struct.pack(">I", len(body)) + body


def decode(body: bytes) -> Message:
    message = json.loads(body)
    if not isinstance(message, dict):
        raise BrokenFrame("a message must be an object")
    return message


def body_length(head: bytes) -> int:
    length: int = struct.unpack(">I", head)[0]
    if length > FRAME_BYTES_MAX:
        raise BrokenFrame(f"a message of {length} bytes is too long")
    return length


class Frames:
    """Cuts what arrives on one connection into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        self._buffer += data
        messages = []
        while len(self._buffer) >= 4:
            end = 4 + body_length(bytes(self._buffer[:4]))
            if len(self._buffer) < end:
                break
            messages.append(decode(bytes(self._buffer[4:end])))
            del self._buffer[:end]
        return messages


def receive(connection: socket.socket) -> Message | None:
    """The next message of a blocking connection; None when the other side has closed it."""
    frames = Frames()
    while data := connection.recv(65536):
        if messages := frames.feed(data):
            return messages[0]
    return None
