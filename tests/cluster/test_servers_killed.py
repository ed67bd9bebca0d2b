"""Servers are killed -9 while a writer writes and tasks run: nothing acknowledged is lost, nothing is restarted."""

from __future__ import annotations

import http.client
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.processes import Agent, Cluster, a_sleeping_job, alive, task_pids, wait_until

pytestmark = pytest.mark.cluster


class Writer:
    """Registers one small job after the other at any server; keeps the ids that were acknowledged."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.acknowledged: list[str] = []
        self.longest_gap_s = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(60)

    def _write(self) -> None:
        number, last = 0, time.monotonic()
        while not self._ended.is_set() and number < 20_000:
            job = a_sleeping_job(f"written-{number}", count=0)
            for server in self._cluster.running_servers():
                try:
                    server.request("PUT", "/v1/jobs", {"Job": job}, timeout_s=5)
                except (OSError, http.client.HTTPException):
                    continue
                self.acknowledged.append(job["ID"])
                self.longest_gap_s = max(self.longest_gap_s, time.monotonic() - last)
                last = time.monotonic()
                break
            number += 1
            self._ended.wait(0.02)


@pytest.fixture
def cluster(tmp_path: Path):
    cluster = Cluster(tmp_path)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()


def victims(cluster: Cluster, kind: str) -> list[Agent]:
    leader = wait_until("the election of a leader", cluster.leader)
    if kind == "leader":
        return [leader]
    if kind == "follower":
        return [next(server for server in cluster.servers if server is not leader)]
    return list(cluster.servers)


def test_nothing_acknowledged_is_lost_and_no_task_is_touched(cluster: Cluster):
    """20 kills in all, of each kind in turn, with a writer and tasks running throughout."""
    cluster.any_server().request("PUT", "/v1/jobs", {"Job": a_sleeping_job("sleepers", count=4)})
    wait_until("four running tasks", lambda: len(cluster.allocations("sleepers")) == 4)
    before = wait_until("their process ids", lambda: (p := task_pids(cluster, "sleepers")) and all(p.values()) and p)
    gaps = []
    kills = 0
    with Writer(cluster) as writer:
        for kind in ["leader", "follower", "all"] * 5:
            if kills >= 20:
                break
            time.sleep(0.5)
            writer.longest_gap_s = 0.0
            killed = victims(cluster, kind)
            for agent in killed:
                agent.kill()
                kills += 1
            time.sleep(0.5)
            for agent in killed:
                agent.start()
            wait_until("a leader again", cluster.leader)
            known = len(writer.acknowledged)
            wait_until("writes again", lambda known=known: len(writer.acknowledged) > known)
            gaps.append((kind, round(writer.longest_gap_s, 2)))
    print(f"\n{kills} kills, {len(writer.acknowledged)} acknowledged writes; longest gap in writes of each: {gaps}")
    assert kills >= 20
    for server in cluster.servers:
        for path in ["/v1/jobs", "/v1/jobs?stale"]:
            wait_until(f"every write at {server.name}{path}", partial(holds, server, path, writer))
    assert task_pids(cluster, "sleepers") == before
    assert all(len(pids) == 1 and alive(pids[0]) for pids in before.values())


def holds(server: Agent, path: str, writer: Writer) -> bool:
    """A stale read may be a moment behind, a consistent one not at all."""
    missing = set(writer.acknowledged) - {stub["ID"] for stub in server.get(path)}
    assert not missing or "stale" in path, f"{server.name} has lost {sorted(missing)[:5]}"
    return not missing
