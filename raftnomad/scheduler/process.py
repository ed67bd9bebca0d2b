"""The scheduler in a process of its own, so that a server's event loop stays free while it places.

The child is started on first need, and again after it died; it ends when its parent does, since its input ends then.
Requests are answered in order, one at a time. Room and use of the nodes lie in memory that both map; what nodes are
and what is held by name follows in deltas.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mmap
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

import raftnomad
from raftnomad.errors import RaftnomadError
from raftnomad.fsm.capacity import NodeTable
from raftnomad.fsm.node_columns import TableDelta
from raftnomad.fsm.state import State
from raftnomad.scheduler.frames import LENGTH_BYTES, Answer, Request, frame, length_of
from raftnomad.scheduler.input import SchedulerInput, SchedulerOutput
from raftnomad.scheduler.schedule import schedule
from raftnomad.scheduler.shared_columns import HALVES, bytes_of, write_half
from raftnomad.scheduler.timing import timed

logger = logging.getLogger(__name__)

SLICE_NODES = 200
"""A delta of more nodes is sent in parts: other work of the event loop comes between."""


DIRECT_NODES_MAX = 64
DIRECT_ALLOCATIONS_MAX = 100


class SchedulerFailed(RaftnomadError):
    """The scheduler process died, failed or took too long. Nothing was planned."""


class InlineScheduler:
    """The same answer by a direct call, for tests and the simulation."""

    async def schedule(self, state: State, asked: SchedulerInput) -> SchedulerOutput:
        return schedule(asked, state.node_table)

    async def close(self) -> None:
        return


class SchedulerProcess:
    """`timeout_s` bounds one request: a child that takes longer is killed."""

    def __init__(self, timeout_s: float = 60.0) -> None:
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()
        self._child: _Child | None = None
        self._ready = False
        """The child has answered once. Until then, most of a second, small requests are not made to wait for it."""

    @property
    def pid(self) -> int | None:
        """None when no process has been needed yet."""
        return None if self._child is None else self._child.pid

    async def schedule(self, state: State, asked: SchedulerInput) -> SchedulerOutput:
        """`asked` was read from `state` just now. Raises SchedulerFailed."""
        if not self._ready and self._lock.locked() and _is_small(state, asked):
            return _directly(state, asked)
        async with self._lock:
            try:
                async with asyncio.timeout(self._timeout_s):
                    if self._child is None:
                        self._child = await _Child.start()
                    answer = await self._child.ask(state.node_table, asked)
            except (OSError, EOFError, ValueError, msgspec.DecodeError) as error:
                await self._end()
                raise SchedulerFailed(f"the scheduler process failed: {error!r}") from error
            except BaseException:
                # An answer may still be on its way, which the next request must not take for its own.
                await self._end()
                raise
        self._ready = True
        if answer.output is None:
            raise SchedulerFailed(answer.error)
        return answer.output

    async def close(self) -> None:
        async with self._lock:
            await self._end()

    async def _end(self) -> None:
        child, self._child = self._child, None
        self._ready = False
        if child is not None:
            await child.end()


def _is_small(state: State, asked: SchedulerInput) -> bool:
    """Whether it takes so few milliseconds that the event loop can spare them."""
    wanted = sum(group.count for group in asked.job.task_groups or ()) if asked.job is not None else 0
    return state.node_table.slots <= DIRECT_NODES_MAX and wanted + len(asked.allocations) <= DIRECT_ALLOCATIONS_MAX


def _directly(state: State, asked: SchedulerInput) -> SchedulerOutput:
    started_ns = time.perf_counter_ns()
    try:
        output = schedule(asked, state.node_table)
    except Exception as error:
        logger.exception("scheduling evaluation %s failed", asked.evaluation.id)
        raise SchedulerFailed(f"{type(error).__name__}: {error}") from error
    return timed(output, time.perf_counter_ns() - started_ns)


class _Child:
    def __init__(self, process: asyncio.subprocess.Process, memory_fd: int) -> None:
        self._process = process
        self._memory_fd = memory_fd
        self._memory: mmap.mmap | None = None
        self._table: NodeTable | None = None
        self._version = 0
        self._generation = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    async def start(cls) -> _Child:
        memory_fd = os.memfd_create("raftnomad-nodes", os.MFD_CLOEXEC)
        root = str(Path(raftnomad.__file__).parents[1])
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "raftnomad.scheduler.child",
                str(memory_fd),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                pass_fds=(memory_fd,),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))},
            )
        except BaseException:
            os.close(memory_fd)
            raise
        logger.info("the scheduler runs as process %d", process.pid)
        return cls(process, memory_fd)

    async def ask(self, table: NodeTable, asked: SchedulerInput) -> Answer:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        # The columns are copied and the changes listed before the first wait: they belong together. What is held by
        # name is encoded as late as its part is sent, and may be newer; the check of the plan decides in the end.
        messages = list(self._changes(table))
        messages.append(self._request(table, asked))
        for message in messages:
            stdin.write(frame(message))
            await stdin.drain()
        length = length_of(await stdout.readexactly(LENGTH_BYTES))
        return msgspec.msgpack.decode(await stdout.readexactly(length), type=Answer)

    def _changes(self, table: NodeTable) -> Iterator[Request]:
        if table is not self._table:
            self._table, self._version = table, 0
            yield Request(reset=True)
        whole = table.delta_since(self._version)
        self._version = whole.version
        for start in range(0, len(whole.changed), SLICE_NODES):
            part = whole.changed[start : start + SLICE_NODES]
            yield Request(delta=TableDelta(whole.version, whole.slots, part))

    def _request(self, table: NodeTable, asked: SchedulerInput) -> Request:
        size = HALVES * bytes_of(table.slots)
        if self._memory is None or len(self._memory) != size:
            self._map(size)
        assert self._memory is not None
        self._generation += 1
        half = self._generation % HALVES
        write_half(self._memory, half, self._generation, table)
        return Request(asked=asked, slots=table.slots, half=half, generation=self._generation)

    def _map(self, size: int) -> None:
        if self._memory is not None:
            self._memory.close()
        # Only ever longer, so that the child's map of a smaller table stays valid until it makes its own.
        if os.fstat(self._memory_fd).st_size < size:
            os.ftruncate(self._memory_fd, size)
        self._memory = mmap.mmap(self._memory_fd, size)

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        os.close(self._memory_fd)
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()
