"""Frames: a length of four bytes, most significant first, then one MessagePack map; a length of 0 is a beat.

Shared by the rpc and the serf port. It knows no sockets: bytes in, messages out, and never more memory than the
limit that it is given.
"""

from __future__ import annotations

import struct
from typing import Any

import msgpack

from raftnomad.errors import PeerError
from raftnomad.raft.network import Message

BEAT = b"\0\0\0\0"
"""An empty frame: "I am still here"."""

DEPTH_MAX = 8
"""Of the values of a message: an append of entries needs three."""

ITEMS_MAX = 131_072
"""Of one list or map."""

_HEADER = struct.Struct(">I")
_packer = msgpack.Packer(use_bin_type=True, autoreset=True)


def encode(message: Message) -> bytes:
    """One frame. Lists and tuples look the same to the receiver, who sees lists."""
    payload: bytes = _packer.pack(message)
    return _HEADER.pack(len(payload)) + payload


def decode(payload: bytes | bytearray | memoryview) -> Message:
    """The message of one frame's payload. Raises PeerError for anything that is not a map with a `type`."""
    size = len(payload)
    try:
        message = msgpack.unpackb(
            payload,
            raw=False,
            strict_map_key=True,
            ext_hook=_no_extension,
            max_str_len=size,
            max_bin_len=size,
            max_array_len=min(size, ITEMS_MAX),
            max_map_len=min(size, ITEMS_MAX),
            max_ext_len=0,
        )
    except Exception as error:
        # MessagePack's own errors have no common base, and fuzzing has found others; the answer is the same.
        raise PeerError(f"a frame is not MessagePack ({type(error).__name__})") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise PeerError("a frame is not a message with a type")
    if _deeper_than(message.values(), DEPTH_MAX - 1):
        raise PeerError(f"a message is nested deeper than {DEPTH_MAX}")
    return message


def _no_extension(code: int, data: bytes) -> Any:
    raise ValueError(f"extension type {code}")


def _deeper_than(values: Any, depth: int) -> bool:
    for value in values:
        kind = type(value)
        if kind is list or kind is dict:
            if depth == 0:
                return True
            if _deeper_than(value if kind is list else value.values(), depth - 1):
                return True
    return False


class FrameReader:
    """Cuts a stream into frames. `add` what arrived, then take `next_frame` until it is None."""

    def __init__(self, frame_bytes_max: int) -> None:
        self.frame_bytes_max = frame_bytes_max
        """May be raised between two frames: small until the peer is known."""
        self._data: bytes | bytearray = b""
        self._start = 0

    def add(self, data: bytes) -> None:
        if self._start == len(self._data):
            self._data = data
        elif isinstance(self._data, bytearray):
            del self._data[: self._start]
            self._data += data
        else:
            # Only a frame that did not arrive whole is ever copied.
            self._data = bytearray(memoryview(self._data)[self._start :])
            self._data += data
        self._start = 0

    def next_frame(self) -> bytes | None:
        """The next payload, b"" for a beat, None when the rest has not arrived.

        Raises PeerError as soon as a length is seen that is over the limit: nothing of it is kept.
        """
        begin = self._start + _HEADER.size
        if begin > len(self._data):
            return None
        (size,) = _HEADER.unpack_from(self._data, self._start)
        if size > self.frame_bytes_max:
            raise PeerError(f"a frame of {size} bytes is over the limit of {self.frame_bytes_max}")
        end = begin + size
        if end > len(self._data):
            return None
        self._start = end
        with memoryview(self._data) as view:
            return bytes(view[begin:end])
