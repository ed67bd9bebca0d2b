"""A journal segment as bytes: a header, then records, then zeros.

A record says how much of its segment was durable when it was written. So a damaged record can be told from one that
a power cut tore: if a later record knew it to be durable, the disk has lost it, and the server must not start; if
none did, it was never promised to anybody, and the rest is cut off.
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from raftnomad import errors

VERSION = 1
_MAGIC = b"RNJOURNL"
_HEADER = struct.Struct("<8sIQI")  # magic, version, segment number, crc of those
HEADER_BYTES = 32
_MARK = b"\xa7RN\xd1"
_FRAME = struct.Struct("<4sII")  # mark, length of body, crc of length and body
_BODY = struct.Struct("<BQQQ")  # kind, index, term, durable bytes of this segment
RECORD_OVERHEAD = _FRAME.size + _BODY.size
BODY_BYTES_MAX = 1 << 26


class Kind(enum.IntEnum):
    ENTRY = 1  # index, term, command
    TRUNCATE = 2  # entries from index on are gone
    HARD_STATE = 3  # term, payload: whom this server voted for; empty for nobody
    COMMIT = 4  # index: everything up to it is committed
    BASE = 5  # index, term: the log is empty, a snapshot ends here
    SEAL = 6  # the segment ends here, the next one goes on


@dataclass(frozen=True, slots=True)
class Record:
    offset: int
    end: int
    kind: Kind
    index: int
    term: int
    durable: int
    payload: bytes


def encode_header(number: int) -> bytes:
    head = _HEADER.pack(_MAGIC, VERSION, number, 0)[:-4]
    return (head + struct.pack("<I", zlib.crc32(head))).ljust(HEADER_BYTES, b"\0")


def header_is_whole(data: bytes, number: int, path: str) -> bool:
    """False for a header that a crash left half written. Raises DataDirectoryError for another version's."""
    if len(data) < HEADER_BYTES:
        return False
    magic, version, found, crc = _HEADER.unpack_from(data)
    if crc != zlib.crc32(data[: _HEADER.size - 4]) or magic != _MAGIC:
        return False
    if version != VERSION:
        raise errors.DataDirectoryError(f"{path} has version {version}, this raftnomad knows {VERSION}: run the newer")
    if found != number:
        raise errors.DataDirectoryError(f"{path} says that it is segment {found}: the file was moved or copied")
    return True


def encode_record(kind: Kind, index: int, term: int, durable: int, payload: bytes = b"") -> bytes:
    body = _BODY.pack(kind, index, term, durable)
    length = len(body) + len(payload)
    crc = zlib.crc32(payload, zlib.crc32(body, zlib.crc32(length.to_bytes(4, "little"))))
    return b"".join((_FRAME.pack(_MARK, length, crc), body, payload))


def decode_record(data: bytes, offset: int) -> Record | None:
    """None when no whole record stands at `offset`."""
    if offset + RECORD_OVERHEAD > len(data):
        return None
    mark, length, crc = _FRAME.unpack_from(data, offset)
    start = offset + _FRAME.size
    if mark != _MARK or not _BODY.size <= length <= BODY_BYTES_MAX or start + length > len(data):
        return None
    body = memoryview(data)[start : start + length]
    if zlib.crc32(body, zlib.crc32(length.to_bytes(4, "little"))) != crc:
        return None
    kind, index, term, durable = _BODY.unpack_from(body)
    if not Kind.ENTRY <= kind <= Kind.SEAL:
        return None
    return Record(offset, start + length, Kind(kind), index, term, durable, bytes(body[_BODY.size :]))


def read_records(data: bytes, path: str) -> Iterator[Record]:
    """The records of one segment, up to its end or to where a crash tore it. Raises DataDirectoryError for a record
    that is damaged though it had been durable."""
    offset = HEADER_BYTES
    while True:
        record = decode_record(data, offset)
        if record is None:
            break
        yield record
        offset = record.end
    witness = _find_witness(data, offset)
    if witness is not None:
        raise errors.DataDirectoryError(
            f"{path} is damaged at offset {offset}: the record at {witness} was written after it was durable. "
            "Restore this server's disk, or remove it from the cluster and let it join again with an empty directory"
        )


def _find_witness(data: bytes, damaged: int) -> int | None:
    """The offset of a whole record after `damaged` that was written when the bytes there were already durable."""
    position = data.find(_MARK, damaged + 1)
    while position != -1:
        record = decode_record(data, position)
        if record is not None and record.durable > damaged:
            return position
        position = data.find(_MARK, position + 1)
    return None
