"""The scheduler process: reads requests from its standard input and answers on its standard output.

Started by `process.SchedulerProcess` alone, as `python -m raftnomad.scheduler.child FD`; FD is the shared memory. It
ends with its parent: the input ends then.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
import time
import traceback
from typing import BinaryIO

import msgspec

from raftnomad.fsm.node_columns import NodeColumns
from raftnomad.scheduler.frames import LENGTH_BYTES, Answer, Request, frame, length_of
from raftnomad.scheduler.schedule import schedule
from raftnomad.scheduler.shared_columns import HALVES, bytes_of, read_half
from raftnomad.scheduler.timing import timed


def main() -> None:
    # A person's Ctrl-C reaches the whole group; the parent decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(int(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)


def serve(memory_fd: int, requests: BinaryIO, answers: BinaryIO) -> None:
    nodes = NodeColumns(0)
    memory: mmap.mmap | None = None
    decoder = msgspec.msgpack.Decoder(Request)
    while (body := _read(requests)) is not None:
        request = decoder.decode(body)
        if request.reset:
            nodes = NodeColumns(0)
        if request.delta is not None:
            nodes.absorb(request.delta)
        if request.asked is None:
            continue
        nodes.grow(request.slots)
        size = HALVES * bytes_of(request.slots)
        if memory is None or len(memory) != size:
            memory = mmap.mmap(memory_fd, size)
        answers.write(frame(_answer(request, nodes, memory)))
        answers.flush()


def _answer(request: Request, nodes: NodeColumns, memory: mmap.mmap) -> Answer:
    assert request.asked is not None
    try:
        read_half(memory, request.half, request.generation, nodes)
        started_ns = time.perf_counter_ns()
        output = schedule(request.asked, nodes)
        return Answer(output=timed(output, time.perf_counter_ns() - started_ns))
    except Exception as error:  # The parent fails the evaluation; the process is fit for the next one.
        traceback.print_exc(file=sys.stderr)
        return Answer(error=f"{type(error).__name__}: {error}")


def _read(requests: BinaryIO) -> bytes | None:
    header = requests.read(LENGTH_BYTES)
    if len(header) < LENGTH_BYTES:
        return None
    length = length_of(header)
    body = requests.read(length)
    return body if len(body) == length else None


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        os._exit(0)
