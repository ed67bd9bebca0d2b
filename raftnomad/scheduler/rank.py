"""Where the allocations of one task group go: exact greedy placement.

Each allocation goes to the node that scores best at that moment, ties to the lowest slot. One pass over all nodes
scores them; then a placement changes the score of one node only, so that a heap needs to rescore just that one. With
`spread` blocks it also changes what all nodes of one value are worth alike: then there is a heap for each value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace

import numpy as np
from numpy.typing import NDArray

from raftnomad.fsm.node_columns import CPU, MEMORY, BoolColumn, FloatColumns
from raftnomad.scheduler.ask import Ask, Given
from raftnomad.scheduler.room import Room
from raftnomad.scheduler.spread import DistinctProperty, SpreadCounts

LN10 = 2.302585092994046
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """Per slot: each score, what they mean together (`final`), and where there is room (`fits`)."""

    binpack: Scores
    anti_affinity: Scores
    penalty: Scores
    affinity: Scores | None
    spread: Scores | None
    final: Scores
    fits: BoolColumn


@dataclass
class GroupRank:
    """`mask` are the nodes that may run the group; `collisions[slot]` its allocations that are (to be) there.

    `refusals` gathers the slots that had room and could not give what was asked for by name, and why.
    """

    room: Room
    ask: Ask
    mask: BoolColumn
    collisions: NDArray[np.int64]
    count: int
    spread_algorithm: bool = False
    affinity: Scores | None = None
    spreads: list[SpreadCounts] = field(default_factory=list)
    distinct: list[DistinctProperty] = field(default_factory=list)
    distinct_hosts: bool = False
    refusals: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.demand: FloatColumns = self.ask.demand_on(self.room.nodes)
        self.taken_hosts: BoolColumn = np.zeros(self.room.nodes.slots, np.bool_)
        """Nodes that may run the group and, with `distinct_hosts`, have an allocation already."""

    def components(self, penalized: Iterable[int] = ()) -> Components:
        """The scores of one more allocation on each node, as things are now."""
        nodes, used = self.room.nodes, self.room.used + self.demand
        binpack = self.binpack(used, nodes.total)
        collided = self.collisions > 0
        anti_affinity = np.where(collided, -(self.collisions + 1) / max(self.count, 1), 0.0)
        penalty = np.zeros(nodes.slots)
        penalty[list(penalized)] = -1.0
        number = 1 + collided + (penalty != 0)
        total = binpack + anti_affinity + penalty
        if self.affinity is not None:
            total = total + self.affinity
            number = number + 1
        spread = None
        if self.spreads:
            spread = np.zeros(nodes.slots)
            for one in self.spreads:
                spread = spread + one.boost()[one.codes]
            total = total + spread
            number = number + (spread != 0)
        fits = self.mask & (used <= nodes.total).all(axis=1) & (self.room.limits() >= 1)
        for distinct in self.distinct:
            fits &= distinct.mask()
        return Components(binpack, anti_affinity, penalty, self.affinity, spread, total / number, fits)

    def binpack(self, used: FloatColumns, total: FloatColumns) -> Scores:
        """0 to 1; the fuller a node would be, the better (or the emptier, with the spread algorithm)."""
        exponents = np.exp((1 - _share(used[..., CPU], total[..., CPU])) * LN10)
        exponents += np.exp((1 - _share(used[..., MEMORY], total[..., MEMORY])) * LN10)
        score = exponents - 2.0 if self.spread_algorithm else 20.0 - exponents
        found: Scores = np.clip(score, 0.0, 18.0) / 18.0
        return found

    def place_one(self, penalized: Iterable[int] = (), only: BoolColumn | None = None) -> tuple[int, Given] | None:
        """The best node for one allocation of its own: `penalized` slots count less, `only` others don't count."""
        scores = self.components(penalized)
        fits = scores.fits if only is None else scores.fits & only
        final = np.where(fits, scores.final, -np.inf)
        while final.size:
            slot = int(final.argmax())
            if final[slot] == -np.inf:
                return None
            given = self.room.give(slot, self.ask) if self.ask.by_name else Given()
            if not isinstance(given, str):
                self.take(slot)
                return slot, given
            self.refusals[slot] = given
            final[slot] = -np.inf
        return None

    def take(self, slot: int, number: int = 1) -> None:
        """`number` allocations (negative: fewer) are on the node; what they hold by name is taken already."""
        self.room.used[slot] += number * self.demand[slot]
        self.room.alloc_count[slot] += number
        self.count_peer(slot, number)

    def count_peer(self, slot: int, number: int = 1) -> None:
        """Allocations of the group that are, or are to be, on the node."""
        self.collisions[slot] += number
        for spread in self.spreads:
            spread.add(slot, number)
        for distinct in self.distinct:
            distinct.add(slot, number)
        if self.distinct_hosts and number > 0:
            self.take_hosts(np.array([slot]))

    def take_hosts(self, slots: NDArray[np.int64]) -> None:
        self.taken_hosts[slots] |= self.mask[slots]
        self.mask[slots] = False

    def reopen(self, slot: int) -> None:
        """With `distinct_hosts`: what was on the node leaves it."""
        if self.taken_hosts[slot] and self.collisions[slot] <= 0:
            self.taken_hosts[slot] = False
            self.mask[slot] = True

    def place_many(self, wanted: int) -> list[tuple[int, Given]]:
        """Up to `wanted` allocations that are alike, in the order of placing."""
        if wanted <= 0:
            return []
        return self._by_value(wanted) if self.spreads else self._by_node(wanted)

    def _by_node(self, wanted: int) -> list[tuple[int, Given]]:
        scores = self.components()
        slots = np.flatnonzero(scores.fits)
        keys = scores.final[slots]
        if len(slots) > wanted and not self.ask.by_name and not self.distinct:
            slots, keys = _best(slots, keys, wanted)
        state = _Candidates(self, slots)
        heap = list(zip((-keys).tolist(), state.slots, range(len(slots)), strict=True))
        heapify(heap)
        denominator = 2.0 if self.affinity is None else 3.0
        placed: list[tuple[int, Given]] = []
        nothing = Given()
        by_name, distinct = self.ask.by_name, self.distinct
        while heap and len(placed) < wanted:
            _, slot, k = heap[0]
            if distinct and not all(one.allows(slot) for one in distinct):
                heappop(heap)
                continue
            given = self.room.give(slot, self.ask) if by_name else nothing
            if isinstance(given, str):
                self.refusals[slot] = given
                heappop(heap)
                continue
            placed.append((slot, given))
            for one in distinct:
                one.add(slot)
            if state.place(k):
                heapreplace(heap, (-state.score(k) / denominator, slot, k))
            else:
                heappop(heap)
        state.commit()
        return placed

    def _by_value(self, wanted: int) -> list[tuple[int, Given]]:
        """Two heaps for each combination of spread values: nodes without and with a collision.

        All nodes of a heap share the spread's score and the number of scores, so the heap's order stays true.
        """
        scores = self.components()
        slots = np.flatnonzero(scores.fits)
        own = scores.binpack + scores.anti_affinity
        if self.affinity is not None:
            own = own + self.affinity
        state = _Candidates(self, slots)
        values = _Values(self, slots)
        for k, (slot, value) in enumerate(zip(state.slots, values.of_candidate, strict=True)):
            values.heaps[state.collisions[k] > 0][value].append((-own[slot], slot, k))
        values.settle()
        placed: list[tuple[int, Given]] = []
        while len(placed) < wanted and (best := values.best()) is not None:
            collided, value = best
            _, slot, k = heappop(values.heaps[collided][value])
            if all(one.allows(slot) for one in self.distinct):
                given = self.room.give(slot, self.ask) if self.ask.by_name else Given()
                if isinstance(given, str):
                    self.refusals[slot] = given
                else:
                    placed.append((slot, given))
                    for spread in self.spreads:
                        spread.add(slot)
                    for distinct in self.distinct:
                        distinct.add(slot)
                    if state.place(k):
                        heappush(values.heaps[1][value], (-state.score(k), slot, k))
            values.update(value)
        state.commit()
        return placed


class _Candidates:
    """The nodes of one run as Python numbers: a few of them are rescored, one at a time."""

    def __init__(self, rank: GroupRank, slots: NDArray[np.int64]) -> None:
        self._rank = rank
        self._index = slots
        nodes, room = rank.room.nodes, rank.room
        demand = rank.demand[slots]
        self.slots: list[int] = slots.tolist()
        self.collisions: list[int] = rank.collisions[slots].tolist()
        self._placed = [0] * len(slots)
        self._cpu_total: list[float] = nodes.total[slots, CPU].tolist()
        self._memory_total: list[float] = nodes.total[slots, MEMORY].tolist()
        self._cpu: list[float] = demand[:, CPU].tolist()
        self._memory: list[float] = demand[:, MEMORY].tolist()
        # Scores are of the node with one more on it.
        self._cpu_used: list[float] = (room.used[slots, CPU] + demand[:, CPU]).tolist()
        self._memory_used: list[float] = (room.used[slots, MEMORY] + demand[:, MEMORY]).tolist()
        self._left: list[float] = _how_many(
            nodes.total[slots] - room.used[slots], demand, room.limits()[slots]
        ).tolist()
        self._affinity = [0.0] * len(slots) if rank.affinity is None else rank.affinity[slots].tolist()
        self._count = float(max(rank.count, 1))
        self._once = rank.distinct_hosts
        self._spread_algorithm = rank.spread_algorithm

    def place(self, k: int) -> bool:
        """One allocation goes to candidate k; whether it could take another."""
        self._placed[k] += 1
        self.collisions[k] += 1
        self._cpu_used[k] += self._cpu[k]
        self._memory_used[k] += self._memory[k]
        return not self._once and self._placed[k] < self._left[k]

    def score(self, k: int) -> float:
        """The sum of the scores of one more on candidate k, which has at least one; the spreads' apart."""
        cpu, memory = self._cpu_total[k], self._memory_total[k]
        free_cpu = 1 - self._cpu_used[k] / cpu if cpu else 0.0
        free_memory = 1 - self._memory_used[k] / memory if memory else 0.0
        both = 10.0**free_cpu + 10.0**free_memory
        score = both - 2.0 if self._spread_algorithm else 20.0 - both
        binpack = 1.0 if score > 18.0 else (0.0 if score < 0.0 else score / 18.0)
        return binpack - (self.collisions[k] + 1) / self._count + self._affinity[k]

    def commit(self) -> None:
        """Write what was placed back to the columns."""
        rank, placed = self._rank, np.array(self._placed, np.int64)
        rank.room.used[self._index] += placed[:, None] * rank.demand[self._index]
        rank.room.alloc_count[self._index] += placed
        rank.collisions[self._index] += placed
        if rank.distinct_hosts:
            rank.take_hosts(self._index[placed > 0])


class _Values:
    """The heads of the heaps, by value, as columns: the best of them is found in one pass."""

    def __init__(self, rank: GroupRank, slots: NDArray[np.int64]) -> None:
        self._rank = rank
        codes = np.stack([spread.codes[slots] for spread in rank.spreads], axis=1)
        combinations, of_candidate = np.unique(codes, axis=0, return_inverse=True)
        self._combinations = combinations
        self.of_candidate: list[int] = of_candidate.reshape(-1).tolist()
        self.heaps: tuple[list[list[tuple[float, int, int]]], ...] = (
            [[] for _ in combinations],
            [[] for _ in combinations],
        )
        self._heads = np.full((2, len(combinations)), -np.inf)
        self._head_slots = np.zeros((2, len(combinations)), np.int64)
        self._numbers = np.array([[1.0], [2.0]]) + (rank.affinity is not None)

    def settle(self) -> None:
        for value in range(len(self._combinations)):
            for collided in (0, 1):
                heapify(self.heaps[collided][value])
            self.update(value)

    def update(self, value: int) -> None:
        for collided in (0, 1):
            heap = self.heaps[collided][value]
            self._heads[collided, value] = -heap[0][0] if heap else -np.inf
            self._head_slots[collided, value] = heap[0][1] if heap else 0

    def best(self) -> tuple[int, int] | None:
        """(with a collision, value) of the heap whose head scores best now."""
        if not self._heads.size:
            return None
        boost = np.zeros(len(self._combinations))
        for column, spread in enumerate(self._rank.spreads):
            boost = boost + spread.boost()[self._combinations[:, column]]
        final = (self._heads + boost) / (self._numbers + (boost != 0))
        top = final.max()
        if top == -np.inf:
            return None
        collided, values = np.nonzero(final == top)
        first = int(self._head_slots[collided, values].argmin())
        return int(collided[first]), int(values[first])


def _share(used: Scores, total: Scores) -> Scores:
    return np.divide(used, total, out=np.ones_like(used), where=total > 0)


def _how_many(free: FloatColumns, demand: FloatColumns, limit: Scores) -> Scores:
    """How many allocations each node takes before one dimension is exhausted."""
    each = np.full(free.shape, np.inf)
    np.floor_divide(free, demand, out=each, where=demand > 0)
    found: Scores = np.minimum(each.min(axis=1), limit)
    return found


def _best(slots: NDArray[np.int64], keys: Scores, wanted: int) -> tuple[NDArray[np.int64], Scores]:
    """The `wanted` best, ties to the lowest slot: no more than that many can win."""
    part = np.argpartition(-keys, wanted - 1)[:wanted]
    threshold = keys[part].min()
    above = np.flatnonzero(keys > threshold)
    equal = np.flatnonzero(keys == threshold)[: wanted - len(above)]
    chosen = np.concatenate((above, equal))
    return slots[chosen], keys[chosen]
