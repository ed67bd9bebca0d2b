from __future__ import annotations

from raftnomad.client.garbage import Finished, Limits, Usage, choose

LIMITS = Limits(max_allocs=3, disk_percent=80.0, inode_percent=70.0)
FINISHED = [Finished(id="new", finished_ns=9), Finished(id="old", finished_ns=1), Finished(id="mid", finished_ns=5)]


def test_nothing_is_removed_below_the_limits() -> None:
    assert choose(FINISHED, Usage(allocs=3, disk_percent=10.0, inode_percent=10.0), LIMITS) == ()


def test_the_oldest_go_first_and_only_those_over_the_count() -> None:
    assert choose(FINISHED, Usage(allocs=5, disk_percent=10.0, inode_percent=10.0), LIMITS) == ("old", "mid")


def test_a_full_disk_costs_one_at_a_time() -> None:
    assert choose(FINISHED, Usage(allocs=1, disk_percent=81.0, inode_percent=0.0), LIMITS) == ("old",)
    assert choose(FINISHED, Usage(allocs=1, disk_percent=0.0, inode_percent=71.0), LIMITS) == ("old",)
