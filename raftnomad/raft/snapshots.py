"""Snapshots as files: a header that says where in the log they end, the machine's dump in chunks, and checksums.

A file is complete, verified and durable before it gets its name; while the next one is written the last is served.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgpack

from raftnomad import errors
from raftnomad.raft.disk import Disk, DiskFile
from raftnomad.raft.entries import pack_member, unpack_member
from raftnomad.raft.membership import Members

VERSION = 1
NAME = "snapshot"
WRITING = "snapshot.writing"
RECEIVING = "snapshot.receiving"
_MAGIC = b"RNSNAPSH"
_HEAD = struct.Struct("<8sII")  # magic, version, bytes of header
_CHUNK = struct.Struct("<II")  # bytes, crc; no bytes end the file, but for its sha256
_HEADER_BYTES_MAX = 1 << 20
_CHUNK_BYTES_MAX = 1 << 26
_READ_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class SnapshotHeader:
    """`index` and `term` are those of the last raft entry that the state holds; `members` those that it saw."""

    index: int
    term: int
    members: Members
    cluster_id: str


class SnapshotWriter:
    """Writes one snapshot; nobody sees it before `publish`."""

    def __init__(self, disk: Disk, directory: str, header: SnapshotHeader) -> None:
        self._disk = disk
        self._directory = directory
        self._file = disk.open(os.path.join(directory, WRITING), create=True)
        self._file.truncate(0)
        self._hash = hashlib.sha256()
        self.size = 0
        packed = msgpack.packb(
            [header.index, header.term, [pack_member(m) for m in header.members], header.cluster_id], use_bin_type=True
        )
        self._put(_HEAD.pack(_MAGIC, VERSION, len(packed)) + packed)

    def write(self, chunk: bytes) -> None:
        assert chunk, "an empty chunk would end the snapshot"
        self._put(_CHUNK.pack(len(chunk), zlib.crc32(chunk)) + chunk)

    def finish(self) -> None:
        self._put(_CHUNK.pack(0, 0))
        self._put(self._hash.digest())

    def sync(self) -> None:
        """Waits for the disk: not on the event loop."""
        self._file.sync()

    def publish(self) -> None:
        """Waits for the disk: not on the event loop."""
        self._file.close()
        publish(self._disk, self._directory, WRITING)

    def abandon(self) -> None:
        self._file.close()
        self._disk.remove(os.path.join(self._directory, WRITING))

    def _put(self, data: bytes) -> None:
        self._file.write(data, self.size)
        self._hash.update(data)
        self.size += len(data)


def publish(disk: Disk, directory: str, name: str) -> None:
    """Give a durable file the snapshot's name, durably."""
    disk.rename(os.path.join(directory, name), os.path.join(directory, NAME))
    disk.sync_directory(directory)


class SnapshotParser:
    """Takes a snapshot's bytes as they come, and gives the dump's chunks. Raises DataDirectoryError for a damaged one;
    only `complete` says that all of it was right."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._buffer = bytearray()
        self._hash = hashlib.sha256()
        self._ended = False
        self.header: SnapshotHeader | None = None
        self.complete = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self.complete and data:
            raise self._damaged("something follows its end")
        self._buffer += data
        if self.header is None and not self._take_header():
            return
        while not self._ended:
            chunk = self._take_chunk()
            if chunk is None:
                return
            if chunk:
                yield chunk
            else:
                self._ended = True
        self._take_digest()

    def _take_header(self) -> bool:
        if len(self._buffer) < _HEAD.size:
            return False
        magic, version, length = _HEAD.unpack_from(self._buffer)
        if magic != _MAGIC:
            raise self._damaged("it does not begin as a snapshot does")
        if version != VERSION:
            raise errors.DataDirectoryError(
                f"{self._origin} has version {version}, this raftnomad knows {VERSION}: run the newer version"
            )
        if length > _HEADER_BYTES_MAX:
            raise self._damaged("its header is too long")
        if len(self._buffer) < _HEAD.size + length:
            return False
        packed = self._take(_HEAD.size + length)[_HEAD.size :]
        try:
            self.header = _unpack_header(packed)
        except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
            raise self._damaged("its header can't be read") from error
        return True

    def _take_chunk(self) -> bytes | None:
        if len(self._buffer) < _CHUNK.size:
            return None
        length, crc = _CHUNK.unpack_from(self._buffer)
        if length > _CHUNK_BYTES_MAX:
            raise self._damaged("a chunk is too long")
        if len(self._buffer) < _CHUNK.size + length:
            return None
        chunk = self._take(_CHUNK.size + length)[_CHUNK.size :]
        if zlib.crc32(chunk) != crc:
            raise self._damaged("a chunk's checksum is wrong")
        return chunk

    def _take_digest(self) -> None:
        if len(self._buffer) < self._hash.digest_size:
            return
        if bytes(self._buffer) != self._hash.digest():
            raise self._damaged("its checksum is wrong")
        self._buffer.clear()
        self.complete = True

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._hash.update(taken)
        return taken

    def _damaged(self, what: str) -> errors.DataDirectoryError:
        return errors.DataDirectoryError(f"{self._origin} is damaged: {what}")


def _unpack_header(packed: bytes) -> SnapshotHeader:
    row: Any = msgpack.unpackb(packed, raw=False)
    index, term, members, cluster_id = row
    return SnapshotHeader(
        index=index, term=term, members=tuple(unpack_member(member) for member in members), cluster_id=cluster_id
    )


def read_header(file: DiskFile) -> SnapshotHeader:
    """Of a file that was written here. Raises DataDirectoryError."""
    parser = SnapshotParser(file.path)
    for _ in parser.feed(file.read(0, _HEAD.size + _HEADER_BYTES_MAX)):
        break
    if parser.header is None:
        raise errors.DataDirectoryError(f"{file.path} is damaged: it has no header")
    return parser.header


def read_file(file: DiskFile) -> Iterator[bytes]:
    offset = 0
    while data := file.read(offset, _READ_BYTES):
        yield data
        offset += len(data)
