"""The log on disk: segments that only grow, allocated before they are written, and a copy of the entries in memory.

Nothing here waits for the disk but what must: `write` puts bytes into the file, `sync` is the caller's to run in a
thread, and what may be promised to others follows from `durable_index` and `synced`. An error of the disk while
writing or syncing is handed to `fail` and never retried; only the allocation of a new segment may fail and be tried
again, since nothing is lost by that.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, overload

from raftnomad import errors
from raftnomad.raft.disk import Disk, DiskFile
from raftnomad.raft.entries import NO_OP, Entry
from raftnomad.raft.records import (
    HEADER_BYTES,
    RECORD_OVERHEAD,
    Kind,
    Record,
    encode_header,
    encode_record,
    header_is_whole,
    read_records,
)

logger = logging.getLogger(__name__)

_ENTRY_OVERHEAD = 32  # Of an entry in a message, beside its command.
_RESERVE_BYTES_MAX = 64 * 1024
_SUFFIX = ".journal"
SENTINEL = bytes((NO_OP,))


@dataclass(slots=True)
class Segment:
    number: int
    file: DiskFile
    size: int
    """Bytes allocated."""
    written: int = 0
    durable: int = 0
    first_index: int | None = None
    """Of the first entry in it that is still alive."""


@dataclass(frozen=True, slots=True)
class SyncPoint:
    """What one group sync covers: everything written before it was taken."""

    segment: Segment
    written: int
    position: int
    last_index: int


@dataclass(slots=True)
class _Replay:
    """What the records said so far."""

    segments: list[Segment]
    entries: list[Entry] = field(default_factory=list)
    term: int = 0
    voted_for: str | None = None
    commit_index: int = 0
    is_sealed: bool = True
    """The last segment takes nothing more, or there is none."""

    def take(self, record: Record, segment: Segment) -> None:
        match record.kind:
            case Kind.ENTRY:
                self._take_entry(record, segment)
            case Kind.TRUNCATE:
                self._cut(record.index)
                forget_from(self.segments, record.index)
            case Kind.HARD_STATE:
                self.term, self.voted_for = record.term, record.payload.decode() or None
            case Kind.COMMIT:
                self.commit_index = record.index
            case Kind.BASE:
                self.entries = [(SENTINEL, record.index, record.term)]
                forget_from(self.segments, 0)
            case Kind.SEAL:
                pass

    def _take_entry(self, record: Record, segment: Segment) -> None:
        if self.entries and record.index != self.entries[-1][1] + 1:
            raise errors.DataDirectoryError(
                f"{segment.file.path} at offset {record.offset}: entry {record.index} follows {self.entries[-1][1]}"
            )
        if segment.first_index is None:
            segment.first_index = record.index
        self.entries.append((record.payload, record.index, record.term))

    def _cut(self, first_index: int) -> None:
        if self.entries:
            del self.entries[max(0, first_index - self.entries[0][1]) :]


class Journal:
    """Also what pysyncobj calls its journal: the methods with its names, at the end, are those that it calls."""

    def __init__(self, directory: str, disk: Disk, segment_bytes: int, fail: Callable[[str], NoReturn]) -> None:
        """`fail` does not return: it ends the process, or raises."""
        self._directory = directory
        self._disk = disk
        self._segment_bytes = segment_bytes
        # The end of each segment is kept for votes, commits and cuts: a full disk stops entries, not elections.
        self._reserve_bytes = min(_RESERVE_BYTES_MAX, segment_bytes // 4)
        self._fail = fail
        self._segments: list[Segment] = []
        self._entries: list[Entry] = []
        self._bytes = 0
        self._term = 0
        self._voted_for: str | None = None
        self._commit_index = 0
        self._commit_recorded = 0
        self._position = 0
        self._is_full = False
        self._synced = 0
        self._durable_index = 0
        self._cuts: list[tuple[int, int]] = []
        self._retired: list[Segment] = []
        self.on_append: Callable[[int, bytes], None] = lambda index, command: None
        self.on_truncate: Callable[[int], None] = lambda index: None
        self.is_alone = False
        """The only voter: its own copy is the majority, so nothing is committed before it is durable."""
        self.syncs = 0

    # --- opening

    def open(self, base: tuple[int, int]) -> None:
        """Read what is there; `base` (index, term) begins an empty log. Raises DataDirectoryError."""
        self._disk.make_directory(self._directory)
        replay = _Replay(self._segments)
        numbers = self._usable_segments()
        for number in numbers:
            self._read_segment(number, last=number == numbers[-1], replay=replay)
        self._entries = replay.entries or [(SENTINEL, *base)]
        self._bytes = sum(len(entry[0]) for entry in self._entries)
        self._term, self._voted_for = replay.term, replay.voted_for
        self._commit_index = max(self._entries[0][1], min(replay.commit_index, self._entries[-1][1]))
        if replay.is_sealed:
            self._begin_segment(self._segments[-1].number + 1 if self._segments else 1)
        if not replay.entries:
            self._write(Kind.BASE, *base)
        self.sync_now()
        self._durable_index = self.last_index

    def _usable_segments(self) -> list[int]:
        """Those that follow one another up to the last. What stands before a gap was being deleted when the power
        went: if it was still needed, the snapshot will not reach the log's first entry and says so."""
        numbers = segment_numbers(self._disk, self._directory)
        if numbers and not self._has_header(numbers[-1]):
            # A crash while the segment was being made: nothing can have been promised from it.
            self._disk.remove(self._path(numbers.pop()))
            self._disk.sync_directory(self._directory)
        start = next((i for i in range(len(numbers) - 1, 0, -1) if numbers[i - 1] != numbers[i] - 1), 0)
        return numbers[start:]

    def _has_header(self, number: int) -> bool:
        file = self._disk.open(self._path(number))
        try:
            return header_is_whole(file.read(0, HEADER_BYTES), number, file.path)
        finally:
            file.close()

    def _read_segment(self, number: int, last: bool, replay: _Replay) -> None:
        path = self._path(number)
        if not self._has_header(number):
            raise errors.DataDirectoryError(f"{path} is damaged at offset 0: it has no header")
        file = self._disk.open(path)
        data = file.read(0, file.size())
        segment = Segment(number=number, file=file, size=len(data), written=HEADER_BYTES)
        self._segments.append(segment)
        replay.is_sealed = False
        for record in read_records(data, path):
            replay.take(record, segment)
            segment.written = record.end
            replay.is_sealed = record.kind is Kind.SEAL
        if not last and not replay.is_sealed:
            raise errors.DataDirectoryError(f"{path} is damaged at offset {segment.written}: its end is missing")
        segment.durable = segment.written
        if last:
            self._cut_torn_tail(segment, data)

    def _cut_torn_tail(self, segment: Segment, data: bytes) -> None:
        tail = data[segment.written :]
        if tail.strip(b"\0"):
            logger.warning("%s ends in a torn record at offset %d: cut off", segment.file.path, segment.written)
            segment.file.write(b"\0" * len(tail), segment.written)
        # What was read may be in the machine's memory alone: the last process may have died before it synced.
        segment.file.sync()

    # --- what may be promised

    @property
    def durable_index(self) -> int:
        """Of the last entry that a power cut would leave."""
        return min(self._durable_index, self.last_index)

    @property
    def position(self) -> int:
        """Grows with every byte written; a promise made now is good when `synced` has reached it."""
        return self._position

    @property
    def synced(self) -> int:
        return self._synced

    @property
    def first_index(self) -> int:
        """Of the entry that stands before all others: known by its term, perhaps not by its command."""
        return self._entries[0][1]

    @property
    def last_index(self) -> int:
        return self._entries[-1][1]

    @property
    def last_term(self) -> int:
        return self._entries[-1][2]

    @property
    def entry_bytes(self) -> int:
        """Of the commands held in memory."""
        return self._bytes

    @property
    def disk_bytes(self) -> int:
        return sum(segment.size for segment in self._segments)

    def term_at(self, index: int) -> int | None:
        """None for an index that the log does not hold."""
        offset = index - self._entries[0][1]
        return self._entries[offset][2] if 0 <= offset < len(self._entries) else None

    def entry(self, index: int) -> Entry:
        offset = index - self._entries[0][1]
        assert offset >= 0, f"entry {index} is older than the log, which starts at {self.first_index}"
        return self._entries[offset]

    def batch(self, index: int, bytes_max: int) -> list[Entry]:
        """Entries from `index` on, as many as fit, and at least one if there is one."""
        batch: list[Entry] = []
        room = bytes_max
        for offset in range(index - self._entries[0][1], len(self._entries)):
            entry = self._entries[offset]
            room -= len(entry[0]) + _ENTRY_OVERHEAD
            if room < 0 and batch:
                break
            batch.append(entry)
        return batch

    # --- making it durable

    def sync_point(self) -> SyncPoint | None:
        """None when nothing waits to be made durable."""
        if self._synced == self._position:
            return None
        segment = self._segments[-1]
        return SyncPoint(segment, segment.written, self._position, self.last_index)

    def synced_to(self, point: SyncPoint) -> None:
        """The caller has synced the point's file, after it was taken."""
        self.syncs += 1
        point.segment.durable = max(point.segment.durable, point.written)
        for segment in self._retired:
            segment.file.close()
        self._retired.clear()
        if point.position > self._synced:
            # Entries that were cut off after the point was taken may have successors that it does not cover.
            self._cuts = [cut for cut in self._cuts if cut[0] > point.position]
            self._synced = point.position
            self._durable_index = min([point.last_index, *(index - 1 for _, index in self._cuts)])

    def sync_now(self) -> None:
        """Wait for the disk: at start, and where a promise can't be held back."""
        point = self.sync_point()
        if point is not None:
            try:
                point.segment.file.sync()
            except OSError as error:
                self._fail(f"{point.segment.file.path} can't be made durable: {error}")
            self.synced_to(point)

    # --- writing

    def reserve(self, commands: list[int]) -> bool:
        """Make room for entries of these sizes. False when the disk is full: nothing was written, try again later."""
        needed = sum(commands) + RECORD_OVERHEAD * len(commands)
        segment = self._segments[-1]
        if segment.written + needed + self._reserve_bytes <= segment.size:
            return True
        try:
            self._rotate(needed)
        except OSError as error:
            if not self._is_full:
                logger.error("no room for the log in %s: %s", self._directory, error)
            self._is_full = True
            return False
        self._is_full = False
        return True

    def _rotate(self, needed: int) -> None:
        """End the last segment and begin another; the old one is durable before the new one holds anything."""
        old = self._segments[-1]
        file = self._allocate_segment(old.number + 1, needed)
        self._write(Kind.SEAL, 0, 0)
        self.sync_now()
        self._adopt_segment(old.number + 1, file)

    def _begin_segment(self, number: int) -> None:
        try:
            file = self._allocate_segment(number, 0)
        except OSError as error:
            raise errors.DataDirectoryError(f"no room for the log in {self._directory}: {error}") from error
        self._adopt_segment(number, file)

    def _allocate_segment(self, number: int, needed: int) -> DiskFile:
        path = self._path(number)
        file = self._disk.open(path, create=True)
        try:
            file.allocate(max(self._segment_bytes, needed + 2 * self._reserve_bytes))
        except OSError:
            file.close()
            self._disk.remove(path)
            raise
        return file

    def _adopt_segment(self, number: int, file: DiskFile) -> None:
        segment = Segment(number=number, file=file, size=file.size())
        try:
            file.write(encode_header(number), 0)
            file.sync()
            self._disk.sync_directory(self._directory)
        except OSError as error:
            self._fail(f"{file.path} can't be written: {error}")
        segment.written = segment.durable = HEADER_BYTES
        self._segments.append(segment)
        # Each segment says what it needs to be the first one: whoever went before may be deleted.
        self._write(Kind.HARD_STATE, 0, self._term, (self._voted_for or "").encode())
        self._write(Kind.COMMIT, self._commit_index, 0)

    def _write(self, kind: Kind, index: int, term: int, payload: bytes = b"") -> None:
        segment = self._segments[-1]
        record = encode_record(kind, index, term, segment.durable, payload)
        if segment.written + len(record) > segment.size:
            self._fail(f"{segment.file.path} is full and the disk too: free some space and start again")
        try:
            segment.file.write(record, segment.written)
        except OSError as error:
            self._fail(f"{segment.file.path} can't be written: {error}")
        segment.written += len(record)
        self._position += len(record)

    def reset(self, index: int, term: int) -> None:
        """Empty the log: a snapshot that ends at `index` stands for everything. Durable when this returns."""
        if not self.reserve([0]):
            self._fail(f"no room in {self._directory} to begin the log after a snapshot: free some space")
        self._write(Kind.BASE, index, term)
        self._entries = [(SENTINEL, index, term)]
        self._bytes = 0
        self._commit_index = index
        forget_from(self._segments, 0)
        self._cuts.append((self._position, index + 1))
        self._write(Kind.COMMIT, index, 0)
        self.sync_now()

    def compact(self, index: int) -> None:
        """Forget entries before `index`, which a durable snapshot covers. On disk, whole segments go."""
        drop = index - self._entries[0][1]
        if drop > 0:
            self._bytes -= sum(len(entry[0]) for entry in self._entries[:drop])
            del self._entries[:drop]
        while len(self._segments) > 1:
            following = next((s.first_index for s in self._segments[1:] if s.first_index is not None), None)
            if following is None or following > index:
                break
            # Closed when no sync can be using it.
            self._retired.append(self._segments.pop(0))
            self._disk.remove(self._retired[-1].file.path)

    def record_commit(self) -> None:
        """Once a second: how far the log is committed, and (to whoever reads it after a crash) how far durable."""
        if self._commit_recorded != self._commit_index and self._room_left() > self._reserve_bytes // 2:
            self._write(Kind.COMMIT, self._commit_index, 0)
            self._commit_recorded = self._commit_index

    def _make_room_for_mark(self) -> None:
        if self._room_left() < self._reserve_bytes:
            self.reserve([0])

    def _room_left(self) -> int:
        return self._segments[-1].size - self._segments[-1].written

    def _path(self, number: int) -> str:
        return os.path.join(self._directory, f"{number:016d}{_SUFFIX}")

    def close(self) -> None:
        self.sync_now()
        for segment in [*self._retired, *self._segments]:
            segment.file.close()

    # --- pysyncobj's names

    def add(self, command: bytes, index: int, term: int) -> None:
        assert index == self.last_index + 1, f"entry {index} after {self.last_index}"
        # Half of the reserve may go: to the entry that begins a term, and to marks since room was made for this one.
        fits = self._room_left() >= len(command) + RECORD_OVERHEAD + self._reserve_bytes // 2
        if not fits and not self.reserve([len(command)]):
            self._fail(f"no room in {self._directory} for an entry that was taken: free some space and start again")
        self._write(Kind.ENTRY, index, term, command)
        segment = self._segments[-1]
        if segment.first_index is None:
            segment.first_index = index
        self._entries.append((command, index, term))
        self._bytes += len(command)
        self.on_append(index, command)

    def deleteEntriesFrom(self, offset: int) -> None:
        if offset >= len(self._entries):
            return
        index = self._entries[offset][1]
        assert index > self._commit_index, f"entry {index} is committed (up to {self._commit_index}) and can't be cut"
        self.on_truncate(index)
        self._make_room_for_mark()
        self._write(Kind.TRUNCATE, index, 0)
        self._bytes -= sum(len(entry[0]) for entry in self._entries[offset:])
        del self._entries[offset:]
        self._durable_index = min(self._durable_index, index - 1)
        self._cuts.append((self._position, index))
        forget_from(self._segments, index)

    @overload
    def __getitem__(self, item: int) -> Entry: ...
    @overload
    def __getitem__(self, item: slice) -> list[Entry]: ...
    def __getitem__(self, item: int | slice) -> Entry | list[Entry]:
        return self._entries[item]

    def __len__(self) -> int:
        return len(self._entries)

    def _destroy(self) -> None:
        """pysyncobj's end; ours is `close`."""

    def setRaftCommitIndex(self, index: int) -> None:
        if index > self._commit_index:
            if self.is_alone and index > self.durable_index:
                self.sync_now()
            self._commit_index = index

    def getRaftCommitIndex(self) -> int:
        return self._commit_index

    def setCurrentTerm(self, term: int, voted_for: str | None) -> None:
        self._make_room_for_mark()
        self._write(Kind.HARD_STATE, 0, term, (voted_for or "").encode())
        self._term, self._voted_for = term, voted_for

    def getCurrentTerm(self) -> int:
        return self._term

    def getVotedForNodeId(self) -> str | None:
        return self._voted_for

    def onOneSecondTimer(self) -> None:
        self.record_commit()


def segment_numbers(disk: Disk, directory: str) -> list[int]:
    if not disk.exists(directory):
        return []
    return sorted(int(name[: -len(_SUFFIX)]) for name in disk.names(directory) if name.endswith(_SUFFIX))


def forget_from(segments: list[Segment], index: int) -> None:
    """Entries from `index` on live in these segments no more."""
    for segment in segments:
        if segment.first_index is not None and segment.first_index >= index:
            segment.first_index = None
