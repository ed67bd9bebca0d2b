from __future__ import annotations

import random
import struct

import msgpack
import pytest

from raftnomad.errors import PeerError
from raftnomad.raft.frames import BEAT, FrameReader, decode, encode


def frames_of(stream: bytes, chunk: int, limit: int = 1 << 20) -> list[bytes]:
    reader = FrameReader(limit)
    found = []
    for start in range(0, len(stream), chunk):
        reader.add(stream[start : start + chunk])
        while (frame := reader.next_frame()) is not None:
            found.append(frame)
    return found


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 64, 1000, 1 << 20])
def test_a_stream_is_cut_into_the_same_frames_however_it_arrives(chunk: int) -> None:
    messages = [{"type": "m", "number": number, "body": b"x" * number} for number in range(50)]
    stream = b"".join(encode(message) + BEAT for message in messages)
    found = frames_of(stream, chunk)
    assert [decode(frame) for frame in found if frame] == messages
    assert found.count(b"") == 50


def test_a_length_over_the_limit_is_refused_before_the_frame_arrives() -> None:
    reader = FrameReader(100)
    reader.add(struct.pack(">I", 101))
    with pytest.raises(PeerError, match="a frame of 101 bytes is over the limit of 100"):
        reader.next_frame()


def test_an_incomplete_frame_is_not_handed_out() -> None:
    assert frames_of(encode({"type": "m"})[:-1], 3) == []


@pytest.mark.parametrize(
    "payload",
    [
        b"\xc1",
        b"{}",
        msgpack.packb([1]),
        msgpack.packb({"no": "type"}),
        msgpack.packb({"type": 1}),
        msgpack.packb({1: 2, "type": "m"}),
        msgpack.packb({"type": "m"}) + b"\0",
        msgpack.packb({"type": "m", "extension": msgpack.ExtType(5, b"x")}),
        msgpack.packb({"type": "m", "time": msgpack.Timestamp(1, 0)}),
        b"\x81\xa4type\xdb\xff\xff\xff\xff",
        b"\x82\xa4type\xa1m\xa1x\xdd\xff\xff\xff\xff",
        b"\x82\xa4type\xa1m\xa1x" + b"\x91" * 100_000 + b"\x90",
        b"\x82\xa4type\xa1m\xa1x" + b"\x91" * 50 + b"\x90",
        b"\x81\xa4type\xa2\xff\xfe",
    ],
)
def test_what_is_not_a_message_is_refused(payload: bytes) -> None:
    with pytest.raises(PeerError):
        decode(payload)


def test_random_bytes_are_refused_or_are_messages() -> None:
    chance = random.Random(1)
    base = msgpack.packb({"type": "m", "entries": [[1, b"x" * 20, {"a": None}]] * 5, "term": 3})
    for _ in range(5000):
        payload = bytearray(base if chance.random() < 0.5 else chance.randbytes(chance.randrange(1, 60)))
        for _ in range(chance.randrange(4)):
            payload[chance.randrange(len(payload))] = chance.randrange(256)
        try:
            assert isinstance(decode(bytes(payload))["type"], str)
        except PeerError:
            continue
