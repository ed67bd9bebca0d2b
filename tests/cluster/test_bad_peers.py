"""Certificates that are wrong, and noise at the ports of servers: refused by name, and the cluster goes on."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from raftnomad.certificates.authority import create_certificate
from raftnomad.clock import SystemClock
from raftnomad.raft import frames
from raftnomad.raft.hello import Hello, Purpose
from tests.cluster.processes import ENVIRONMENT, RAFTNOMAD, Agent, Cluster, a_sleeping_job, wait_until

pytestmark = pytest.mark.cluster


def tls(directory: Path, *arguments: str) -> None:
    directory.mkdir(exist_ok=True)
    subprocess.run(
        [*RAFTNOMAD, "tls", *arguments], cwd=directory, env=ENVIRONMENT, check=True, capture_output=True, timeout=30
    )


def block(directory: Path, name: str) -> str:
    return (
        f'tls {{\n  rpc = true\n  ca_file = "{directory}/nomad-agent-ca.pem"\n'
        f'  cert_file = "{directory}/{name}.pem"\n  key_file = "{directory}/{name}-key.pem"\n}}\n'
    )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `raftnomad tls` makes: a CA, a server and a client of the region, a server of another."""
    directory = tmp_path_factory.mktemp("tls")
    tls(directory, "ca", "create")
    tls(directory, "cert", "create", "-server")
    tls(directory, "cert", "create", "-client")
    tls(directory, "cert", "create", "-server", "-region", "eu")
    return directory


class LongAgo(SystemClock):
    def now_ns(self) -> int:
        return super().now_ns() - 400 * 86_400 * 1_000_000_000


def test_certificates_that_cannot_serve_are_refused_at_the_start_by_name(authority: Path, tmp_path: Path):
    expired = tmp_path / "expired"
    expired.mkdir()
    for name in ("nomad-agent-ca.pem", "nomad-agent-ca-key.pem"):
        (expired / name).write_bytes((authority / name).read_bytes())
    create_certificate(expired, "server", days=30, clock=LongAgo())
    tls(tmp_path / "other", "ca", "create")
    foreign = block(authority, "global-server-nomad").replace(
        f"{authority}/nomad-agent-ca", f"{tmp_path}/other/nomad-agent-ca"
    )
    server = Cluster(tmp_path, servers=1, clients=0).servers[0]
    for wrong, expected in (
        (block(authority, "global-client-nomad"), "its certificate is for client.global.nomad"),
        (block(authority, "eu-server-nomad"), "its certificate is for server.eu.nomad"),
        (block(authority, "nowhere"), f"open {authority}/nowhere.pem: no such file or directory"),
        (block(expired, "global-server-nomad"), f"{expired}/global-server-nomad.pem expired on "),
        (foreign, f"{authority}/global-server-nomad.pem was not made by the CA of {tmp_path}/other/"),
        (
            block(authority, "global-server-nomad").replace("global-server-nomad-key", "global-client-nomad-key"),
            "global-client-nomad-key.pem is not the key of",
        ),
    ):
        server.configure(instead=wrong)
        said = server.start_refused()
        print(f"\n{said.splitlines()[-1]}")
        assert expected in said


def test_a_peer_with_certificates_of_another_ca_is_refused_by_name(authority: Path, tmp_path: Path):
    """Two servers of the real CA go on; the third and a client of another CA are kept out, and both sides say so."""
    other = tmp_path / "other"
    tls(other, "ca", "create")
    tls(other, "cert", "create", "-server")
    tls(other, "cert", "create", "-client")
    cluster = Cluster(tmp_path, servers=3, clients=2)
    honest, stranger = cluster.servers[:2], cluster.servers[2]
    for agent in cluster.agents:
        kind = "server" if agent in cluster.servers else "client"
        agent.configure(more=block(authority, f"global-{kind}-nomad"))
    try:
        cluster.up()
        stranger.kill()
        stranger.configure(instead=block(other, "global-server-nomad"))
        lost = cluster.clients[1]
        lost.kill()
        lost.configure(instead=block(other, "global-client-nomad"))
        before = lost.log.stat().st_size
        stranger.start()
        lost.start()
        said = wait_until(
            "both sides' complaint",
            lambda: (
                (a := complaint(honest[0]))
                and (b := complaint(stranger))
                and (c := complaint(lost, before))
                and [a, b, c]
            ),
        )
        print("\n" + "\n".join(said))
        honest[0].request("PUT", "/v1/jobs", {"Job": a_sleeping_job("kept", count=0)})
        assert [job["ID"] for job in honest[1].get("/v1/jobs")] == ["kept"]
        assert not stranger_sees(stranger)
    finally:
        cluster.down()


def complaint(agent: Agent, after: int = 0) -> str:
    lines = agent.log.read_bytes()[after:].decode().splitlines()
    return next((line for line in lines if "certificate" in line and "WARNING" not in line), "")


def stranger_sees(stranger: Agent) -> bool:
    with contextlib.suppress(OSError):
        return any(job["ID"] == "kept" for job in stranger.get("/v1/jobs?stale", timeout_s=2))
    return False


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, servers=3, clients=0)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()


def noises(chance: random.Random) -> list[bytes]:
    hello = Hello(
        purpose=Purpose.RAFT, cluster_id="no such cluster", server_id="x", name="mallory", region="global"
    ).to_message()
    return [
        chance.randbytes(1000),
        b"\0" + chance.randbytes(1000),
        struct.pack(">I", 0xFFFFFFFF) + b"x" * 1000,
        struct.pack(">I", 3000) + b"short",
        struct.pack(">I", 4) + b"\xc1\xc1\xc1\xc1",
        frames.BEAT * 1000,
        frames.encode(hello),
        frames.encode({**hello, "version": 999}),
        frames.encode({**hello, "server_id": "y" * 3000}),
        frames.encode({"type": "append_entries", "term": 1 << 60, "entries": []}),
        frames.encode({"type": "hello", **{f"key {i}": [[[[[[]]]]]] for i in range(20)}}),
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 100_000,
        b"POST /v1/jobs HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(300),
        b"",
    ]


def test_noise_at_the_ports_of_servers_changes_nothing(cluster: Cluster):
    server, chance = cluster.any_server(), random.Random(7)
    leader = wait_until("a leader", cluster.leader)
    term = server.get("/v1/agent/self")["stats"]["raft"]["term"]
    processes = [psutil.Process(agent.process.pid) for agent in cluster.servers if agent.process]
    before_mb = [process.memory_info().rss / 1e6 for process in processes]
    acknowledged, connections, open_ones = [], 0, []
    deadline, number = time.monotonic() + 8, 0
    while time.monotonic() < deadline:
        for agent in cluster.servers:
            for port in (agent.rpc, agent.serf):
                for noise in chance.sample(noises(chance), 4):
                    connections += 1
                    with contextlib.suppress(OSError):
                        one = socket.create_connection(("127.0.0.1", port), timeout=1)
                        open_ones.append(one)
                        one.sendall(noise)
        for one in open_ones[:-60]:
            one.close()
        del open_ones[:-60]
        cluster.any_server().request("PUT", "/v1/jobs", {"Job": a_sleeping_job(f"written-{number}", count=0)})
        acknowledged.append(f"written-{number}")
        number += 1
    for one in open_ones:
        one.close()
    grown_mb = [process.memory_info().rss / 1e6 - before for process, before in zip(processes, before_mb, strict=True)]
    print(f"\n{connections} connections of noise, {number} writes meanwhile; memory grew by {max(grown_mb):.1f} MB")
    assert max(grown_mb) < 64
    for agent in cluster.servers:
        assert agent.process is not None and agent.process.poll() is None
        assert set(acknowledged) <= {job["ID"] for job in agent.get("/v1/jobs")}
        assert "Traceback" not in agent.log.read_text()
    assert cluster.leader() is leader
    assert server.get("/v1/agent/self")["stats"]["raft"]["term"] == term
    assert number > 20
