"""Goal: the gap in writes when the leader is killed -9 is no longer than etcd's, three servers each, in one run.

One loop begins a write every 20 ms at the two that live, in turn, whether earlier ones were answered or not: at ours
a job registration over HTTP, at etcd a put over its JSON gateway. The gap is from the kill to the first
acknowledgement of a write that began after it. After each kill the server comes back and the next leader is killed.
Prints medians, and as its last line ours / etcd. Needs etcd: apt-get install -y etcd-server.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from benchmarks.etcd_cluster import EtcdCluster, available
from raftnomad.tasks import Tasks
from tests.cluster.processes import Agent, Cluster, a_sleeping_job, wait_until

PACE_S = 0.02
PATIENCE_S = 10.0
SETTLE_S = 2.0
GAP_MAX_S = 60.0

Write = Callable[[aiohttp.ClientSession, int, int], Awaitable[None]]
"""session, which server, number of the write. Raises when it was not acknowledged."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=20)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="failover-benchmark-") as directory:
        ours, etcd = asyncio.run(measure(Path(directory), chosen.kills))
    rows = [("ours", ours), *([("etcd", etcd)] if etcd else [])]
    print(f"{'gap in writes, s':<20}{'kills':>7}{'median':>9}{'mean':>9}{'least':>9}{'most':>9}")
    for name, gaps in rows:
        middle, mean = statistics.median(gaps), statistics.mean(gaps)
        print(f"{name:<20}{len(gaps):>7}{middle:>9.2f}{mean:>9.2f}{min(gaps):>9.2f}{max(gaps):>9.2f}")
    if etcd:
        print(f"ratio: {statistics.median(ours) / statistics.median(etcd):.2f}")
    else:
        print("etcd is not installed, so there is nothing to compare with: apt-get install -y etcd-server")


async def measure(directory: Path, kills: int) -> tuple[list[float], list[float]]:
    """In turn, so that whatever else the machine does strikes both alike."""
    cluster, etcd = Cluster(directory, servers=3, clients=0), EtcdCluster(directory)
    ours: list[float] = []
    theirs: list[float] = []
    try:
        await asyncio.to_thread(cluster.up)
        if available():
            await etcd.start()
        for _ in range(kills):
            ours.append(await kill_our_leader(cluster))
            if available():
                theirs.append(await kill_their_leader(etcd))
    finally:
        await asyncio.to_thread(cluster.down)
        etcd.stop()
    return ours, theirs


async def kill_our_leader(cluster: Cluster) -> float:
    leader: Agent = await asyncio.to_thread(wait_until, "a leader", cluster.leader)
    survivors = [server for server in cluster.servers if server is not leader]

    async def write(session: aiohttp.ClientSession, server: int, number: int) -> None:
        body = {"Job": a_sleeping_job(f"written-{number % 100}", count=0)}
        async with session.put(f"http://127.0.0.1:{survivors[server].http}/v1/jobs", json=body) as answer:
            await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"status {answer.status}")

    try:
        gap_s = await gap(write, leader.kill)
    except RuntimeError as error:
        ends = [f"{server.name}:\n{server.log.read_text()[-3000:]}" for server in cluster.servers]
        raise RuntimeError(f"{error}; the logs end with\n" + "\n".join(ends)) from error
    leader.start()
    return gap_s


async def kill_their_leader(etcd: EtcdCluster) -> float:
    leader = await etcd.leader()
    survivors = [member for member in range(3) if member != leader]

    async def write(session: aiohttp.ClientSession, server: int, number: int) -> None:
        await etcd.put(session, survivors[server], f"written-{number % 100}", b"v" * 100)

    gap_s = await gap(write, lambda: etcd.kill(leader))
    etcd.launch(leader)
    return gap_s


async def gap(write: Write, kill: Callable[[], None]) -> float:
    """Seconds from the kill to the first acknowledgement of a write that began after it."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as session:
        writer = Writer(write, session)
        try:
            while len(writer.acknowledged) < SETTLE_S / PACE_S:
                await writer.begin_one()
            killed = time.monotonic()
            await asyncio.to_thread(kill)
            while not any(begun > killed for begun in writer.acknowledged):
                await writer.begin_one()
                if time.monotonic() - killed > GAP_MAX_S:
                    raise RuntimeError(f"no write within {GAP_MAX_S:g} s; the last error: {writer.last_error}")
        finally:
            await writer.stop()
    return min(end for begun, end in writer.acknowledged.items() if begun > killed) - killed


class Writer:
    """acknowledged: when each write began and when it was answered, seconds of the monotonic clock."""

    def __init__(self, write: Write, session: aiohttp.ClientSession) -> None:
        self._write, self._session = write, session
        self._tasks = Tasks("writer")
        self._numbers = itertools.count()
        self.acknowledged: dict[float, float] = {}
        self.last_error = ""

    async def begin_one(self) -> None:
        self._tasks.start(self._attempt(next(self._numbers)), "write")
        await asyncio.sleep(PACE_S)

    async def _attempt(self, number: int) -> None:
        begun = time.monotonic()
        try:
            await self._write(self._session, number % 2, number)
        except (aiohttp.ClientError, RuntimeError, TimeoutError) as error:
            self.last_error = repr(error)
        else:
            self.acknowledged[begun] = time.monotonic()

    async def stop(self) -> None:
        await self._tasks.cancel()


if __name__ == "__main__":
    main()
