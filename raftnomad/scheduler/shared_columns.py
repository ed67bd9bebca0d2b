"""The layout of the memory that a server and its scheduler process share: two halves, each one generation of columns.

A half: generation (u64), total[slot, 4] and used[slot, 4] (f64), alloc_count[slot] (i32), ready[slot] (u8); the
columns are in the order that keeps each of them aligned.
"""

from __future__ import annotations

import mmap

import numpy as np

from raftnomad.fsm.node_columns import NodeColumns

HALVES = 2
_HEADER = 64


def bytes_of(slots: int) -> int:
    """The size of one half."""
    size = _HEADER + slots * (2 * 4 * 8 + 4 + 1)
    return -(-size // 64) * 64


def write_half(memory: mmap.mmap, half: int, generation: int, nodes: NodeColumns) -> None:
    view = _View(memory, half, nodes.slots)
    view.generation[0] = 0
    view.total[:] = nodes.total
    view.used[:] = nodes.used
    view.alloc_count[:] = nodes.alloc_count
    view.ready[:] = nodes.ready
    view.generation[0] = generation


def read_half(memory: mmap.mmap, half: int, generation: int, nodes: NodeColumns) -> None:
    """Copy the columns into `nodes`; asserts that they are of the generation that was asked for."""
    view = _View(memory, half, nodes.slots)
    assert int(view.generation[0]) == generation
    nodes.total, nodes.used = view.total.copy(), view.used.copy()
    nodes.alloc_count, nodes.ready = view.alloc_count.copy(), view.ready.copy()
    assert int(view.generation[0]) == generation, "the columns were written while they were read"


class _View:
    def __init__(self, memory: mmap.mmap, half: int, slots: int) -> None:
        at = half * bytes_of(slots)
        self.generation = np.frombuffer(memory, np.uint64, 1, at)
        at += _HEADER
        self.total = np.frombuffer(memory, np.float64, slots * 4, at).reshape(slots, 4)
        at += slots * 4 * 8
        self.used = np.frombuffer(memory, np.float64, slots * 4, at).reshape(slots, 4)
        at += slots * 4 * 8
        self.alloc_count = np.frombuffer(memory, np.int32, slots, at)
        at += slots * 4
        self.ready = np.frombuffer(memory, np.bool_, slots, at)
