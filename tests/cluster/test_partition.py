"""`scripts/cluster.sh up --namespaces`: machines of their own, certificates, and a leader that is cut off and back."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.processes import ROOT, a_sleeping_job, end_leftovers, leftovers, wait_until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("nft") is None,
        reason="network namespaces need root, iproute2 and nftables",
    ),
]

ADDRESSES = {f"server-{i + 1}": f"10.211.46.{10 + i}" for i in range(3)}


class Namespaces:
    """The script's cluster; its agents have the same ports at addresses of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "cluster"
        # The environment that these tests run in stands in for the script's own, which it would have to make.
        venv = Path(os.environ.get("VIRTUAL_ENV", str(ROOT / ".venv")))
        self._environment = {**os.environ, "RAFTNOMAD_CLUSTER_DIR": str(self.directory), "RAFTNOMAD_VENV": str(venv)}

    def run(self, *arguments: str) -> str:
        ran = subprocess.run(
            [ROOT / "scripts" / "cluster.sh", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def request(self, server: str, method: str, path: str, body: Any = None, timeout_s: float = 10) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        url = f"http://{ADDRESSES[server]}:4646{path}"
        with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=timeout_s) as answer:
            return json.loads(answer.read() or b"null")

    def leader(self, asked: str = "server-1") -> str | None:
        address = self.request(asked, "GET", "/v1/status/leader").partition(":")[0]
        return next((name for name, own in ADDRESSES.items() if own == address), None)

    def job_ids(self, server: str, query: str = "", timeout_s: float = 10) -> set[str]:
        return {stub["ID"] for stub in self.request(server, "GET", f"/v1/jobs{query}", timeout_s=timeout_s)}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Namespaces]:
    existing = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    if "rn-server-1" in existing:
        pytest.skip("a cluster with namespaces runs already: scripts/cluster.sh down")
    cluster = Namespaces(tmp_path)
    try:
        yield cluster
    finally:
        cluster.run("down")
        end_leftovers(tmp_path)


def register(cluster: Namespaces, server: str, job_id: str, timeout_s: float = 10) -> bool:
    try:
        cluster.request(server, "PUT", "/v1/jobs", {"Job": a_sleeping_job(job_id, count=0)}, timeout_s)
    except (OSError, http.client.HTTPException):
        return False
    return True


def refusal(attempt: Callable[[], object]) -> str:
    with pytest.raises(urllib.error.HTTPError) as refused:
        attempt()
    return f"{refused.value.code} {refused.value.read().decode()}"


def test_a_leader_that_is_cut_off_steps_down_and_comes_back(cluster: Namespaces):
    told = cluster.run("up", "--namespaces")
    assert told.count("http://10.211.46.") == 3, f"the page of the example has three addresses:\n{told}"
    old = cluster.leader()
    assert old is not None
    other = next(name for name in ADDRESSES if name != old)
    assert register(cluster, other, "before")

    cluster.run("partition", old)
    began = time.monotonic()
    wait_until("a write by the majority", lambda: register(cluster, other, "during", 0.5), 20)
    writes_s = time.monotonic() - began
    wait_until("the old leader to step down", lambda: raft_state(cluster, old) != "Leader", 5)
    stepped_down_s = time.monotonic() - began
    assert "No cluster leader" in refusal(lambda: cluster.request(old, "GET", "/v1/jobs"))
    body = {"Job": a_sleeping_job("minority", count=0)}
    assert "No cluster leader" in refusal(lambda: cluster.request(old, "PUT", "/v1/jobs", body))
    stale = cluster.job_ids(old, "?stale")
    assert "before" in stale and not stale & {"during", "minority"}

    cluster.run("heal")
    began = time.monotonic()
    wait_until("the old leader to catch up", lambda: {"before", "during"} <= cluster.job_ids(old, timeout_s=2), 20)
    healed_s = time.monotonic() - began
    print(
        f"\nthe majority writes after {writes_s:.2f} s; the old leader stepped down within {stepped_down_s:.2f} s "
        f"and has caught up {healed_s:.2f} s after the partition healed"
    )
    assert all("minority" not in cluster.job_ids(server) for server in ADDRESSES)
    assert len({cluster.leader(server) for server in ADDRESSES}) == 1


def test_the_leader_is_killed_and_comes_back(cluster: Namespaces):
    cluster.run("up", "--namespaces")
    old = cluster.leader()
    assert old is not None
    other = next(name for name in ADDRESSES if name != old)
    assert f"Killed {old}" in cluster.run("kill-leader")
    began = time.monotonic()
    wait_until("a write by those that live", lambda: register(cluster, other, "during", 0.5), 20)
    print(f"\nwrites go on {time.monotonic() - began:.2f} s after the leader was killed")
    cluster.run("restart", old)
    wait_until("the old leader to catch up", lambda: "during" in cluster.job_ids(old, timeout_s=2), 30)
    cluster.run("down")
    assert not cluster.directory.exists()
    assert not leftovers(cluster.directory)
    assert "rn-server" not in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout


def raft_state(cluster: Namespaces, server: str) -> str:
    return str(cluster.request(server, "GET", "/v1/agent/self?stale", timeout_s=1)["stats"]["raft"]["state"])
