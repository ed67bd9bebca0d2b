"""The whole state as a stream of chunks, and back.

A dump is read in slices while the log goes on being applied: it sees each table as it was when the dump was opened.
Rows are by position, as in the log. What many rows share (jobs, resources, metrics) is written once, when it is first
referred to, so that a restored state shares it too: two servers of which one has restored dump the same bytes.

A chunk is a checksum, its number, whether its frame goes on in the next chunk, and a part of a frame. A frame is items,
each with its length. The last item counts the items and repeats the checksum of all.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

import msgspec

from raftnomad.errors import DataDirectoryError
from raftnomad.fsm.dump_rows import AllocationRows, PlainRows, Pool, PoolReader
from raftnomad.fsm.outcomes import Kept, Proposer
from raftnomad.fsm.state import State
from raftnomad.model.allocation import AllocMetric
from raftnomad.model.deployment import Deployment
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.job import Job, JobSubmission, JobSummary
from raftnomad.model.launch import PeriodicLaunch
from raftnomad.model.namespace import Namespace
from raftnomad.model.node import Node, NodePool
from raftnomad.model.resources import AllocatedResources
from raftnomad.model.scaling import JobScalingEvents
from raftnomad.model.scheduler_configuration import SchedulerConfiguration

FORMAT = 1
CHUNK_BYTES_MAX = 1024 * 1024
FRAME_BYTES = 64 * 1024
"""A frame ends when it has reached this size: about two milliseconds of work."""

_HEAD = struct.Struct(">IIB")
_LENGTH = struct.Struct(">I")

HEADER, FOOTER = 0, 1
POOL_TAGS = {"jobs": 2, "resources": 3, "metrics": 4}
TABLE_TAGS = {
    "namespaces": 10,
    "node_pools": 11,
    "scheduler_configuration": 12,
    "nodes": 13,
    "job_versions": 14,
    "jobs": 15,
    "job_submissions": 16,
    "summaries": 17,
    "deployments": 18,
    "evaluations": 19,
    "allocations": 20,
    "outcomes": 21,
    "scaling_events": 22,
    "periodic_launches": 23,
}
_PLAIN = {
    "namespaces": PlainRows(Namespace),
    "node_pools": PlainRows(NodePool),
    "scheduler_configuration": PlainRows(SchedulerConfiguration),
    "nodes": PlainRows(Node),
    "job_submissions": PlainRows(JobSubmission),
    "summaries": PlainRows(JobSummary),
    "scaling_events": PlainRows(JobScalingEvents),
    "periodic_launches": PlainRows(PeriodicLaunch),
    "deployments": PlainRows(Deployment),
    "evaluations": PlainRows(Evaluation),
}


class _Header(msgspec.Struct, array_like=True, frozen=True):
    format: int
    index: int
    epoch: int
    leader_id: str
    time_ns: int
    table_indexes: dict[str, int]
    proposers: list[tuple[str, Proposer]]


class Dump:
    """The state as of its opening. Close it, or later writes go on being noted for it."""

    def __init__(self, state: State) -> None:
        header = _Header(
            FORMAT,
            state.index,
            state.epoch,
            state.leader_id,
            state.time_ns,
            dict(sorted(state.table_indexes.items())),
            list(state.outcomes.proposers.items()),
        )
        self._header = msgspec.msgpack.encode(header)
        self._views = [(table.name, table.open_view()) for table in (*state.tables(), state.outcomes.table)]
        self._items = self._all_items()
        self._pending: list[bytes] = []
        self._number = 0
        self._is_done = False

    def next_chunk(self) -> bytes | None:
        if not self._pending:
            frame = self._next_frame()
            if frame is None:
                self.close()
                return None
            size = CHUNK_BYTES_MAX - _HEAD.size
            self._pending = [frame[start : start + size] for start in range(0, len(frame), size)]
        part = self._pending.pop(0)
        rest = struct.pack(">IB", self._number, bool(self._pending)) + part
        self._number += 1
        return _LENGTH.pack(crc32(rest)) + rest

    def close(self) -> None:
        for _, view in self._views:
            view.close()
        self._views = []
        self._items = iter(())

    def _next_frame(self) -> bytes | None:
        frame = bytearray()
        for item in self._items:
            frame += _LENGTH.pack(len(item))
            frame += item
            if len(frame) >= FRAME_BYTES:
                break
        return bytes(frame) or None

    def _all_items(self) -> Iterator[bytes]:
        count, checksum = 0, 0
        for item in self._content():
            count += 1
            checksum = crc32(item, checksum)
            yield item
        yield bytes((FOOTER,)) + msgspec.msgpack.encode((count, checksum))

    def _content(self) -> Iterator[bytes]:
        yield bytes((HEADER,)) + self._header
        pools = {
            "jobs": Pool(POOL_TAGS["jobs"]),
            "resources": Pool(POOL_TAGS["resources"]),
            "metrics": Pool(POOL_TAGS["metrics"]),
        }
        rows_of_allocations = AllocationRows()
        for name, view in self._views:
            tag = bytes((TABLE_TAGS[name],))
            for key in view.keys:
                row = view.row(key)
                if name == "allocations":
                    numbers = {}
                    for field, pool in (("job", "jobs"), ("allocated_resources", "resources"), ("metrics", "metrics")):
                        numbers[field], fresh = pools[pool].number(getattr(row, field))
                        if fresh is not None:
                            yield fresh
                    yield tag + rows_of_allocations.encode(row, numbers)
                elif name in ("jobs", "job_versions"):
                    jobs = row if name == "job_versions" else (row,)
                    refs = []
                    for job in jobs:
                        number, fresh = pools["jobs"].number(job)
                        refs.append(number)
                        if fresh is not None:
                            yield fresh
                    yield tag + msgspec.msgpack.encode((key, refs))
                elif name == "outcomes":
                    yield tag + msgspec.msgpack.encode((key, row))
                else:
                    yield tag + _PLAIN[name].encode(key, row)


class Restore:
    """Builds another state aside; `adopt` gets it when the dump has proved complete."""

    def __init__(self, adopt: Callable[[State], None]) -> None:
        self._adopt = adopt
        self._state = State()
        for table in self._state.tables():
            table.clear()
        self._pools = {
            POOL_TAGS["jobs"]: PoolReader(Job),
            POOL_TAGS["resources"]: PoolReader(AllocatedResources),
            POOL_TAGS["metrics"]: PoolReader(AllocMetric),
        }
        self._tables = {tag: name for name, tag in TABLE_TAGS.items()}
        self._allocations = AllocationRows()
        self._frame = bytearray()
        self._number = 0
        self._count = 0
        self._checksum = 0
        self._is_complete = False

    def feed(self, chunk: bytes) -> None:
        if len(chunk) < _HEAD.size:
            raise DataDirectoryError("a snapshot's chunk is cut off")
        checksum, number, goes_on = _HEAD.unpack_from(chunk)
        if crc32(chunk[_LENGTH.size :]) != checksum:
            raise DataDirectoryError(f"chunk {number} of a snapshot is damaged")
        if number != self._number:
            raise DataDirectoryError(f"a snapshot's chunk {self._number} is missing (chunk {number} came)")
        self._number += 1
        self._frame += chunk[_HEAD.size :]
        if goes_on:
            return
        frame, self._frame = bytes(self._frame), bytearray()
        try:
            self._read_frame(frame)
        except (msgspec.MsgspecError, IndexError, KeyError, ValueError, struct.error) as error:
            raise DataDirectoryError(f"a snapshot can't be read: {error}") from error

    def finish(self) -> None:
        if not self._is_complete or self._frame:
            raise DataDirectoryError("a snapshot is incomplete")
        outcomes = self._state.outcomes
        outcomes.order.extend(outcomes.table)
        self._adopt(self._state)

    def _read_frame(self, frame: bytes) -> None:
        position = 0
        while position < len(frame):
            (length,) = _LENGTH.unpack_from(frame, position)
            start = position + _LENGTH.size
            self._read_item(frame[start : start + length])
            position = start + length

    def _read_item(self, item: bytes) -> None:
        tag, body = item[0], item[1:]
        if tag == FOOTER:
            if msgspec.msgpack.decode(body) != [self._count, self._checksum]:
                raise DataDirectoryError("a snapshot's checksum does not match its content")
            self._is_complete = True
            return
        self._count += 1
        self._checksum = crc32(item, self._checksum)
        if tag == HEADER:
            self._read_header(body)
        elif tag in self._pools:
            self._pools[tag].add(body)
        elif tag in self._tables:
            self._read_row(self._tables[tag], body)
        else:
            raise DataDirectoryError(f"a snapshot holds items of kind {tag}, which a newer raftnomad has written")

    def _read_header(self, body: bytes) -> None:
        header = msgspec.msgpack.decode(body, type=_Header)
        if header.format != FORMAT:
            raise DataDirectoryError(f"a snapshot has format {header.format}; this raftnomad reads {FORMAT}")
        state = self._state
        state.index = header.index
        state.epoch = header.epoch
        state.leader_id = header.leader_id
        state.time_ns = header.time_ns
        state.table_indexes = dict(header.table_indexes)
        state.outcomes.proposers = dict(header.proposers)

    def _read_row(self, name: str, body: bytes) -> None:
        state = self._state
        jobs = self._pools[POOL_TAGS["jobs"]].rows
        if name == "allocations":
            pools = {
                "job": jobs,
                "allocated_resources": self._pools[POOL_TAGS["resources"]].rows,
                "metrics": self._pools[POOL_TAGS["metrics"]].rows,
            }
            state.store_allocation(self._allocations.decode(body, pools))
        elif name in ("jobs", "job_versions"):
            key, refs = msgspec.msgpack.decode(body, type=tuple[tuple[str, str], list[int]])
            if name == "jobs":
                state.jobs.put(key, jobs[refs[0]])
            else:
                state.job_versions.put(key, tuple(jobs[ref] for ref in refs))
        elif name == "outcomes":
            attempt, kept = msgspec.msgpack.decode(body, type=tuple[tuple[str, int], Kept])
            state.outcomes.table.put(attempt, kept)
        else:
            key, row = _PLAIN[name].decode(body)
            if isinstance(row, Node):
                state.store_node(row)
            else:
                self._table(name).put(key, row)

    def _table(self, name: str) -> Any:
        return next(table for table in self._state.tables() if table.name == name)


def state_bytes(state: State) -> bytes:
    """The state's dump as one value: equal states give equal bytes."""
    dumped = Dump(state)
    chunks = []
    while (chunk := dumped.next_chunk()) is not None:
        chunks.append(chunk)
    return b"".join(chunks)
