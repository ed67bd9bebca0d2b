import random

import pytest

from raftnomad import errors
from raftnomad.raft.records import HEADER_BYTES, Kind, decode_record, encode_header, encode_record, header_is_whole
from raftnomad.raft.records import read_records as read


def a_segment(*records: bytes, size: int = 4096) -> bytes:
    return (encode_header(1) + b"".join(records)).ljust(size, b"\0")


def test_what_was_written_is_read() -> None:
    data = a_segment(encode_record(Kind.ENTRY, 2, 1, 32, b"abc"), encode_record(Kind.TRUNCATE, 2, 0, 32))
    records = list(read(data, "x"))
    assert [(r.kind, r.index, r.term, r.payload) for r in records] == [
        (Kind.ENTRY, 2, 1, b"abc"),
        (Kind.TRUNCATE, 2, 0, b""),
    ]


def test_a_record_that_was_torn_and_never_durable_ends_the_segment() -> None:
    first, second = (
        encode_record(Kind.ENTRY, 2, 1, HEADER_BYTES, b"a"),
        encode_record(Kind.ENTRY, 3, 1, HEADER_BYTES, b"b"),
    )
    torn = a_segment(first, second[:-1] + b"\xff")
    assert [record.index for record in read(torn, "x")] == [2]


def test_a_torn_record_before_a_whole_one_that_knew_nothing_durable_there_ends_the_segment() -> None:
    """The disk may write two records of one batch in any order."""
    first = encode_record(Kind.ENTRY, 2, 1, HEADER_BYTES, b"aaaa")
    second = encode_record(Kind.ENTRY, 3, 1, HEADER_BYTES, b"bbbb")
    assert list(read(a_segment(first[:-2] + b"xx", second), "x")) == []


def test_a_damaged_record_that_was_durable_is_named_with_its_file_and_offset() -> None:
    first = encode_record(Kind.ENTRY, 2, 1, HEADER_BYTES, b"aaaa")
    second = encode_record(Kind.ENTRY, 3, 1, HEADER_BYTES + len(first), b"bbbb")
    with pytest.raises(errors.DataDirectoryError, match=f"the-file is damaged at offset {HEADER_BYTES}"):
        list(read(a_segment(first[:-2] + b"xx", second), "the-file"))


def test_every_flipped_bit_of_a_durable_record_is_found() -> None:
    first = encode_record(Kind.ENTRY, 2, 1, HEADER_BYTES, b"some command")
    second = encode_record(Kind.COMMIT, 2, 0, HEADER_BYTES + len(first))
    whole = a_segment(first, second)
    for bit in range(len(first) * 8):
        damaged = bytearray(whole)
        damaged[HEADER_BYTES + bit // 8] ^= 1 << bit % 8
        with pytest.raises(errors.DataDirectoryError):
            list(read(bytes(damaged), "x"))


def test_garbage_is_no_record() -> None:
    chance = random.Random(1)
    for _ in range(2000):
        assert decode_record(chance.randbytes(chance.randrange(200)), 0) is None


def test_a_newer_segment_is_refused_by_its_version() -> None:
    header = bytearray(encode_header(1))
    header[8] = 9
    assert not header_is_whole(bytes(header), 1, "x")  # Without its checksum it is only a torn one.
    import zlib

    header[20:24] = zlib.crc32(header[:20]).to_bytes(4, "little")
    with pytest.raises(errors.DataDirectoryError, match="version 9"):
        header_is_whole(bytes(header), 1, "x")


def test_a_segment_under_another_number_is_refused() -> None:
    with pytest.raises(errors.DataDirectoryError, match="segment 1"):
        header_is_whole(encode_header(1), 2, "x")
