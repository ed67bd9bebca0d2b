"""A job is changed and deployed again while its page is fetched: plan says before what history says afterwards."""

from __future__ import annotations

import http.client
import re
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from tests.cluster.processes import ROOT, Agent, Cluster, cli, wait_until

pytestmark = pytest.mark.cluster

EXAMPLE = ROOT / "examples" / "01-web" / "web.nomad.hcl"


@pytest.fixture
def cluster(tmp_path: Path):
    cluster = Cluster(tmp_path, servers=3, clients=2)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()


class Visitor:
    """Fetches every copy of the page that the servers name, round after round, as a load balancer's checks do.

    failures: fetches from copies that were told to run and did not answer; between a copy's end and the servers'
    hearing of it there may be some. serving: how many copies answered in each round.
    """

    def __init__(self, server: Agent) -> None:
        self._server = server
        self._addresses: dict[str, str] = {}
        self.fetches = 0
        self.failures = 0
        self.serving: list[int] = []
        self.pages: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._visit)

    def __enter__(self) -> Visitor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _visit(self) -> None:
        while not self._ended.wait(0.05):
            pages = [page for page in map(self._fetch, self._places()) if page]
            self.pages.update(pages)
            self.serving.append(len(pages))

    def _places(self) -> list[str]:
        stubs = self._server.get("/v1/job/web/allocations")
        running = [s["ID"] for s in stubs if s["ClientStatus"] == "running" and s["DesiredStatus"] == "run"]
        for alloc_id in running:
            if alloc_id not in self._addresses:
                (port,) = self._server.get(f"/v1/allocation/{alloc_id}")["AllocatedResources"]["Shared"]["Ports"]
                self._addresses[alloc_id] = f"http://{port['HostIP']}:{port['Value']}/"
        return [self._addresses[alloc_id] for alloc_id in running]

    def _fetch(self, url: str) -> str:
        self.fetches += 1
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return str(answer.read().decode()).partition(",")[0]
        except (OSError, http.client.HTTPException):
            self.failures += 1
            return ""


def test_a_change_is_planned_rolled_out_and_remembered_while_the_page_is_served(cluster: Cluster, tmp_path: Path):
    server = cluster.any_server()
    first, second = tmp_path / "first.nomad.hcl", tmp_path / "second.nomad.hcl"
    text = EXAMPLE.read_text()
    first.write_text(text)
    changed = text.replace("count = 3", "count = 4").replace("exec python3 -m", "exec python3 -u -m")
    changed = changed.replace("GREETING = var.greeting", 'GREETING = "Good evening"\n        SEASON   = "winter"')
    second.write_text(changed)

    ran = cli(server, "job", "run", str(first))
    assert ran.returncode == 0, ran.stdout + ran.stderr

    planned = cli(server, "job", "plan", str(second))
    assert planned.returncode == 1, planned.stdout + planned.stderr
    for said in (
        # One at a time: with the fourth copy under way, the three old ones have to wait.
        r'Task Group: "web" \(1 create, 3 ignore\)',
        r'Count: "3" => "4" \(forces create\)',
        r'Task: "page" \(forces create/destroy update\)',
        r"python3 -u -m",
        r'Env\[GREETING\]: +"Hello from raftnomad" => "Good evening"',
        r'Env\[SEASON\]: +"winter"',
        r"All tasks successfully allocated",
    ):
        assert re.search(said, planned.stdout), f"{said} is not in the plan:\n{planned.stdout}"
    assert server.get("/v1/job/web")["Version"] == 0, "a plan changes nothing"

    index = re.search(r"job run -check-index (\d+)", planned.stdout)
    assert index, planned.stdout
    with Visitor(server) as visitor:
        wait_until("some rounds before", lambda: len(visitor.serving) > 10)
        started = time.monotonic()
        ran = cli(server, "job", "run", "-check-index", index.group(1), str(second))
        took_s = time.monotonic() - started
        rounds = len(visitor.serving)
        wait_until("some rounds after", lambda: len(visitor.serving) > rounds + 10)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    print(
        f"\ndeployed in {took_s:.1f} s; {visitor.fetches} fetches, {visitor.failures} failed; copies serving: "
        f"least {min(visitor.serving)}, at the end {visitor.serving[-1]}; pages seen: {sorted(visitor.pages)}"
    )
    assert min(visitor.serving) >= 2, "one at a time: two of three are always there"
    assert visitor.serving[-1] == 4
    assert visitor.pages == {"Hello from raftnomad", "Good evening"}

    newest = server.get("/v1/job/web/deployment")
    assert (newest["Status"], newest["JobVersion"]) == ("successful", 1)
    group = newest["TaskGroups"]["web"]
    assert (group["DesiredTotal"], group["PlacedAllocs"], group["HealthyAllocs"], group["UnhealthyAllocs"]) == (
        4,
        4,
        4,
        0,
    )

    history = cli(server, "job", "history", "-p", "web")
    assert history.returncode == 0, history.stderr
    for said in (r"Version += 1", r"Version += 0", r'Count: "3" => "4"', r"GREETING.*Good evening", r"SEASON.*winter"):
        assert re.search(said, history.stdout), f"{said} is not in the history:\n{history.stdout}"

    stale = cli(server, "job", "run", "-check-index", index.group(1), str(first))
    assert stale.returncode == 1
    assert "job modify index" in (stale.stdout + stale.stderr).lower()
