"""The process answers as the direct call does, over many states, and is replaced when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from raftnomad.fsm.state import State
from raftnomad.scheduler.process import SchedulerFailed, SchedulerProcess
from raftnomad.scheduler.schedule import schedule
from raftnomad.scheduler.timing import timed
from tests.scheduler.cluster import Cluster, a_cluster, a_group, a_job, a_node, a_version_after


def state_of(cluster: Cluster, table: Any = None) -> State:
    return cast("State", SimpleNamespace(node_table=table or cluster.table()))


async def test_it_answers_as_the_direct_call_does() -> None:
    cluster = a_cluster(nodes=3)
    process = SchedulerProcess()
    job = a_job(a_group(count=4))
    table = cluster.table()
    try:
        for version in range(4):
            asked = cluster.input(job)
            output = await process.schedule(state_of(cluster, table), asked)
            assert timed(output, 0) == timed(schedule(asked, table), 0)
            known = set(cluster.allocations)
            cluster.apply(output)
            for alloc_id in cluster.allocations.keys() - known:
                table.add_allocation(cluster.allocations[alloc_id])
            job = a_version_after(job, a_group(count=4 + 3 * version))
            for number in range(3 * version):
                node = a_node(f"new{number}", meta={"rack": str(version)})
                cluster.nodes[node.id] = node
                table.upsert_node(node)
    finally:
        await process.close()


async def test_another_state_is_read_anew() -> None:
    process = SchedulerProcess()
    try:
        for nodes in (1, 70, 2):
            cluster = a_cluster(nodes=nodes)
            asked = cluster.input(a_job(a_group(count=12)))
            output = await process.schedule(state_of(cluster), asked)
            assert timed(output, 0) == timed(schedule(asked, cluster.table()), 0)
    finally:
        await process.close()


async def test_small_requests_do_not_wait_for_the_process_to_start() -> None:
    process = SchedulerProcess()
    cluster = a_cluster()
    asked = cluster.input(a_job(a_group(count=2)))
    try:
        starting = asyncio.ensure_future(process.schedule(state_of(cluster), asked))
        await asyncio.sleep(0)
        output = await process.schedule(state_of(cluster), asked)
        assert not starting.done()
        assert timed(output, 0) == timed(schedule(asked, cluster.table()), 0)
        assert timed(await starting, 0) == timed(output, 0)
    finally:
        await process.close()


async def test_it_is_started_again_after_it_died() -> None:
    process = SchedulerProcess()
    cluster = a_cluster()
    asked = cluster.input(a_job())
    try:
        await process.schedule(state_of(cluster), asked)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(SchedulerFailed):
            await process.schedule(state_of(cluster), asked)
        assert (await process.schedule(state_of(cluster), asked)).plan.placements
    finally:
        await process.close()


async def test_no_process_is_started_before_it_is_needed() -> None:
    process = SchedulerProcess()
    assert process.pid is None
    await process.close()
