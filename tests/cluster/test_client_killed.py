"""A client agent is killed -9 while its tasks run: the tasks go on, and what ended meanwhile is known."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.processes import Agent, Cluster, a_sleeping_job, alive, task_pids, wait_until

pytestmark = pytest.mark.cluster

KILLS = 3


@pytest.fixture
def cluster(tmp_path: Path):
    cluster = Cluster(tmp_path, servers=1, clients=1)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()


@pytest.fixture
def docker_cluster(tmp_path: Path, docker_engine: str):
    plugin = f'plugin "docker" {{\n  config {{\n    endpoint = "{docker_engine}"\n  }}\n}}\n'
    cluster = Cluster(tmp_path, servers=1, clients=1, client_configuration=plugin)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()
        ids = docker(docker_engine, "ps", "-aq").split()
        if ids:
            docker(docker_engine, "rm", "-f", *ids)


def kill_and_start(cluster: Cluster, pause_s: float) -> float:
    """Seconds from the start to the agent's answer."""
    server, client = cluster.servers[0], cluster.clients[0]
    client.kill()
    time.sleep(pause_s)
    started = time.monotonic()
    client.start()
    wait_until("the agent's answer", lambda: client.get("/v1/agent/self"))
    took_s = time.monotonic() - started
    wait_until("a ready node", lambda: server.get("/v1/nodes")[0]["Status"] == "ready")
    return took_s


def test_tasks_go_on_with_the_same_processes(cluster: Cluster):
    server = cluster.servers[0]
    server.request("PUT", "/v1/jobs", {"Job": a_sleeping_job("sleepers", count=3)})
    wait_until("three running tasks", lambda: len(cluster.allocations("sleepers")) == 3)
    before = wait_until("process ids", lambda: (p := task_pids(cluster, "sleepers")) and all(p.values()) and p)
    took = [round(kill_and_start(cluster, 0.5), 2) for _ in range(KILLS)]
    time.sleep(1)
    print(f"\nraw_exec: {KILLS} kills, tasks of {len(before)} allocations untouched; answers again after {took} s")
    assert task_pids(cluster, "sleepers") == before
    assert all(len(pids) == 1 and alive(pids[0]) for pids in before.values())
    stop(server, "sleepers")
    wait_until("the end of the tasks", lambda: not any(alive(pid) for pids in before.values() for pid in pids))


def test_the_exit_code_of_a_task_that_ended_meanwhile_is_known(cluster: Cluster):
    cluster.servers[0].request("PUT", "/v1/jobs", {"Job": ends_once("ends", "sleep 2; exit 7")})
    wait_until("the task to run", lambda: len(cluster.allocations("ends")) == 1)
    kill_and_start(cluster, 3)
    assert exit_codes(cluster, "ends") == [7]


@pytest.mark.docker
def test_containers_go_on_and_an_exit_code_is_known(docker_cluster: Cluster, docker_engine: str):
    cluster, server = docker_cluster, docker_cluster.servers[0]
    wait_until("a healthy docker driver", lambda: healthy_docker(server))
    server.request("PUT", "/v1/jobs", {"Job": in_docker(a_sleeping_job("sleepers", count=2))})
    server.request("PUT", "/v1/jobs", {"Job": in_docker(ends_once("ends", "sleep 4; exit 7"))})
    wait_until("three running tasks", lambda: sum(len(cluster.allocations(job)) for job in ("sleepers", "ends")) == 3)
    running = "{{.ID}} {{.State.StartedAt}}"
    before = docker(docker_engine, "ps", "-q", "--filter", "name=sleep-", "--no-trunc").split()
    kill_and_start(cluster, 5)
    for _ in range(KILLS - 1):
        kill_and_start(cluster, 0.5)
    assert exit_codes(cluster, "ends") == [7]
    kept = [one["ID"] for one in cluster.allocations("sleepers")]
    assert len(kept) == 2
    after = docker(docker_engine, "ps", "--format", "{{.Names}}").split()
    print(f"\ndocker: {KILLS} kills, containers of {len(kept)} allocations untouched: {after}")
    assert sorted(after) == sorted(f"sleep-{alloc_id}" for alloc_id in kept)
    for alloc_id in kept:
        container, started_at = docker(docker_engine, "inspect", "-f", running, f"sleep-{alloc_id}").split()
        assert container in before
        assert docker(docker_engine, "inspect", "-f", "{{.RestartCount}} {{.State.StartedAt}}", container).split() == [
            "0",
            started_at,
        ]
    stop(server, "sleepers")
    wait_until("the end of the containers", lambda: not docker(docker_engine, "ps", "-q").split())


def ends_once(job_id: str, command: str) -> dict[str, Any]:
    job = a_sleeping_job(job_id, count=1, command=command)
    job["Type"] = "batch"
    group = job["TaskGroups"][0]
    del group["Update"]
    group["RestartPolicy"] = {"Attempts": 0, "Mode": "fail"}
    group["ReschedulePolicy"] = {"Attempts": 0, "Unlimited": False}
    return job


def exit_codes(cluster: Cluster, job_id: str) -> list[int]:
    failed = wait_until("the end to be told", lambda: cluster.allocations(job_id, status="failed"))
    events = failed[0]["TaskStates"]["sleep"]["Events"]
    return [event["ExitCode"] for event in events if event["Type"] == "Terminated"]


def in_docker(job: dict[str, Any]) -> dict[str, Any]:
    task = job["TaskGroups"][0]["Tasks"][0]
    task["Driver"] = "docker"
    arguments = task["Config"]["args"]
    task["Config"] = {"image": "box:1", "command": "sh", "args": arguments, "network_mode": "none"}
    return job


def healthy_docker(server: Agent) -> bool:
    node = server.get("/v1/node/" + server.get("/v1/nodes")[0]["ID"])
    return bool(node["Drivers"]["docker"]["Healthy"])


def stop(server: Agent, job_id: str) -> None:
    server.request("DELETE", f"/v1/job/{job_id}")


def docker(host: str, *arguments: str) -> str:
    ran = subprocess.run(["docker", "-H", host, *arguments], capture_output=True, text=True, timeout=60, check=True)
    return ran.stdout
