"""Goal: the gap in writes when the leader is killed -9 is no longer than etcd's, three servers each, in one run.

One loop in a process of its own sends one write after the other to the two that live, in turn, and gives each 100 ms:
to ours job registrations over HTTP, to etcd puts over its JSON gateway. The gap is from the kill to the first
acknowledgement of a write that began after it. After each kill the server comes back and the next leader is killed.
Prints medians, and as its last line ours / etcd. Needs etcd: apt-get install -y etcd-server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from benchmarks.etcd_cluster import EtcdCluster, available
from tests.cluster.processes import Agent, Cluster, a_sleeping_job, wait_until

PATIENCE_S = 0.1
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

    gap_s = await gap(write, leader.kill)
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
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        numbers = itertools.count()
        acknowledged = 0
        begun = time.monotonic()
        while time.monotonic() - begun < SETTLE_S or acknowledged < 20:
            acknowledged += await attempt(write, session, next(numbers))
            if time.monotonic() - begun > GAP_MAX_S:
                raise RuntimeError("no writes before the kill")
        killed = time.monotonic()
        await asyncio.to_thread(kill)
        while time.monotonic() - killed < GAP_MAX_S:
            if await attempt(write, session, next(numbers)):
                return time.monotonic() - killed
        raise RuntimeError(f"no write within {GAP_MAX_S:g} s of the kill")


async def attempt(write: Write, session: aiohttp.ClientSession, number: int) -> bool:
    begun = time.monotonic()
    with contextlib.suppress(aiohttp.ClientError, RuntimeError, TimeoutError):
        await write(session, number % 2, number)
        return True
    # A refusal at once shall not become a storm.
    await asyncio.sleep(max(0.0, 0.01 - (time.monotonic() - begun)))
    return False


if __name__ == "__main__":
    main()
