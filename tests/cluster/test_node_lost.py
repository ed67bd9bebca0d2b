"""A machine is lost, agent and tasks at once: its node is down within 25 s and its allocations live on another."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cluster.processes import Agent, Cluster, a_sleeping_job, alive, end_leftovers, task_pids, wait_until

pytestmark = pytest.mark.cluster

DOWN_WITHIN_S = 25


@pytest.fixture
def cluster(tmp_path: Path):
    cluster = Cluster(tmp_path)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()


def test_the_allocations_of_a_lost_node_are_replaced_on_the_other(cluster: Cluster):
    server = cluster.any_server()
    job = a_sleeping_job("sleepers", count=4)
    job["Spreads"] = [{"Attribute": "${node.unique.id}", "Weight": 100}]
    server.request("PUT", "/v1/jobs", {"Job": job})
    before = wait_until("four running tasks", lambda: len(r := cluster.allocations("sleepers")) == 4 and r)
    pids = wait_until("process ids", lambda: (p := task_pids(cluster, "sleepers")) and all(p.values()) and p)
    lost = cluster.clients[0]
    node_id = next(node["ID"] for node in server.get("/v1/nodes") if node["Name"] == lost.name)
    gone = {stub["ID"] for stub in before if stub["NodeID"] == node_id}
    assert 1 <= len(gone) <= 3, "the job is spread over both nodes"

    began = time.monotonic()
    lost.kill()
    end_leftovers(lost.directory)
    wait_until("the node's end to be seen", lambda: node_status(server, node_id) == "down", DOWN_WITHIN_S)
    down_s = time.monotonic() - began
    wait_until("replacements", lambda: len(replacements(cluster, node_id)) == 4, 30)
    replaced_s = time.monotonic() - began
    print(f"\nnode down after {down_s:.1f} s, all {len(gone)} allocations replaced after {replaced_s:.1f} s")

    stubs = {stub["ID"]: stub for stub in server.get("/v1/job/sleepers/allocations")}
    for alloc_id in gone:
        assert (stubs[alloc_id]["ClientStatus"], stubs[alloc_id]["DesiredStatus"]) == ("lost", "stop")
    new = [stub for stub in stubs.values() if stub["ID"] not in {one["ID"] for one in before}]
    assert sorted(stub["Name"] for stub in new) == sorted(stubs[alloc_id]["Name"] for alloc_id in gone)
    now = task_pids(cluster, "sleepers")
    for alloc_id in pids.keys() - gone:
        assert now[alloc_id] == pids[alloc_id] and alive(pids[alloc_id][0]), "who was well is left alone"

    lost.start()
    wait_until("the node's return", lambda: node_status(server, node_id) == "ready")
    time.sleep(1)
    assert len(cluster.allocations("sleepers")) == 4, "a node that comes back takes nothing back"


def node_status(server: Agent, node_id: str) -> str:
    return str(server.get(f"/v1/node/{node_id}")["Status"])


def replacements(cluster: Cluster, node_id: str) -> list[str]:
    return [stub["ID"] for stub in cluster.allocations("sleepers") if stub["NodeID"] != node_id]
