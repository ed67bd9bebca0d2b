"""The heaps place exactly as recomputing every score for every placement would."""

from __future__ import annotations

import random

import numpy as np
import pytest

from raftnomad.fsm.capacity import NodeTable
from raftnomad.model.resources import Spread, SpreadTarget
from raftnomad.scheduler.ask import Ask
from raftnomad.scheduler.chance import Chance
from raftnomad.scheduler.rank import GroupRank
from raftnomad.scheduler.room import Room
from raftnomad.scheduler.spread import DistinctProperty, spreads_of
from tests.scheduler.cluster import a_group, a_node


def a_rank(seed: int) -> tuple[GroupRank, int]:
    """A random cluster and a group with some of: affinities, spreads, distinct hosts, distinct property."""
    chance = random.Random(seed)
    size = chance.choice([1, 5, 40])
    table = NodeTable(4)
    for number in range(size):
        shape = chance.choice([(4000, 8000), (1000, 1000), (2500, 3000)])
        table.upsert_node(
            a_node(f"n{number}", *shape, meta={"rack": f"r{chance.randrange(6)}", "zone": f"z{number % 3}"})
        )
    for slot in range(size):
        table.used[slot, :2] = table.total[slot, :2] * chance.choice([0, 0, 0.25, 0.5, 0.9])
    count = chance.choice([1, 3, 30, 200])
    group = a_group(count=count, cpu=chance.choice([100, 250]), memory=chance.choice([50, 300]))
    collisions = np.zeros(table.slots, np.int64)
    rank = GroupRank(
        room=Room(table, Chance(b"x")),
        ask=Ask(group, False),
        mask=np.array([facts is not None and chance.random() < 0.9 for facts in table.facts]),
        collisions=collisions,
        count=count,
        spread_algorithm=chance.random() < 0.3,
        distinct_hosts=chance.random() < 0.2,
    )
    if chance.random() < 0.4:
        rank.affinity = np.array([chance.choice([0.0, 0.5, -0.5, 1.0]) for _ in range(table.slots)])
    if chance.random() < 0.5:
        spreads = [Spread(attribute="rack", weight=50)]
        if chance.random() < 0.5:
            targets = (SpreadTarget(value="z0", percent=50), SpreadTarget(value="z1", percent=30))
            spreads.append(Spread(attribute="zone", weight=100, spread_target=targets))
        pairs = [(one, table.column(f"meta.{one.attribute}")) for one in spreads]
        rank.spreads = spreads_of(pairs, count)
    if chance.random() < 0.2:
        rank.distinct = [DistinctProperty(table.column("meta.rack"), "${meta.rack}", chance.choice([1, 4]))]
    for slot in range(size):
        if chance.random() < 0.1:
            rank.count_peer(slot)
    return rank, chance.choice([count, max(count // 2, 1)])


def naively(rank: GroupRank, wanted: int) -> list[int]:
    placed: list[int] = []
    for _ in range(wanted):
        scores = rank.components()
        final = np.where(scores.fits, scores.final, -np.inf)
        best = int(final.argmax())
        if final[best] == -np.inf:
            break
        placed.append(best)
        rank.take(best)
    return placed


@pytest.mark.parametrize("seed", range(300))
def test_exactly_as_the_naive_argmax(seed: int) -> None:
    rank, wanted = a_rank(seed)
    expected = naively(a_rank(seed)[0], wanted)
    assert [slot for slot, _ in rank.place_many(wanted)] == expected


@pytest.mark.parametrize("seed", range(40))
def test_the_columns_are_left_as_the_naive_argmax_leaves_them(seed: int) -> None:
    (rank, wanted), (other, _) = a_rank(seed), a_rank(seed)
    rank.place_many(wanted)
    naively(other, wanted)
    assert np.array_equal(rank.room.used, other.room.used)
    assert np.array_equal(rank.collisions, other.collisions)
    assert np.array_equal(rank.mask, other.mask)
    assert np.array_equal(rank.components().fits, other.components().fits)


def test_ties_go_to_the_lowest_slot() -> None:
    table = NodeTable()
    for number in range(5):
        table.upsert_node(a_node(f"n{number}"))
    mask = np.array([facts is not None for facts in table.facts])
    rank = GroupRank(Room(table, Chance(b"x")), Ask(a_group(count=2), False), mask, np.zeros(table.slots, np.int64), 2)
    assert rank.place_many(2)[0][0] == 0
