"""Data directories that are not what they should be, and disks that are full: said clearly, and nothing is lost."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftnomad.raft.records import HEADER_BYTES, Kind, Record, encode_record, read_records
from tests.cluster.processes import Agent, Cluster, a_sleeping_job, wait_until

pytestmark = pytest.mark.cluster

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is a tmpfs mount: needs root")


def journal(agent: Agent) -> Path:
    """The newest segment of a server's journal."""
    return max((agent.directory / "server" / "raft" / "journal").glob("*"))


def records(path: Path) -> list[Record]:
    return list(read_records(path.read_bytes(), str(path)))


def write_jobs(agent: Agent, prefix: str, count: int) -> list[str]:
    ids = [f"{prefix}-{number}" for number in range(count)]
    for job_id in ids:
        agent.request("PUT", "/v1/jobs", {"Job": a_sleeping_job(job_id, count=0)})
    return ids


def kept(agent: Agent) -> set[str]:
    return {stub["ID"] for stub in wait_until("an answer", lambda: agent.get("/v1/jobs"))}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """One server with thirty jobs."""
    cluster = Cluster(tmp_path, servers=1, clients=0)
    try:
        cluster.up()
        write_jobs(cluster.servers[0], "first", 30)
        yield cluster
    finally:
        cluster.down()


def test_a_directory_in_use_is_refused_by_name(cluster: Cluster, tmp_path: Path):
    (tmp_path / "other").mkdir()
    other = Cluster(tmp_path / "other", servers=1, clients=0).servers[0]
    server = cluster.servers[0]
    other.configure(data_dir=server.directory)
    said = other.start_refused()
    print(f"\n{said}")
    assert f"{server.directory}" in said and "in use by another agent" in said
    assert len(kept(server)) == 30


def test_a_client_directory_in_use_is_refused_by_name(cluster: Cluster, tmp_path: Path):
    (tmp_path / "other").mkdir()
    first, second = Cluster(tmp_path / "other", servers=1, clients=2).clients
    for client in (first, second):
        client.configure(servers=f"127.0.0.1:{cluster.servers[0].rpc}")
    second.configure(data_dir=first.directory)
    try:
        first.start()
        wait_until("a node", lambda: cluster.servers[0].get("/v1/nodes"))
        said = second.start_refused()
    finally:
        first.stop()
    print(f"\n{said}")
    assert f"another client agent is using {first.directory}" in said


def test_a_directory_of_a_newer_version_is_refused_by_name(cluster: Cluster):
    server = cluster.servers[0]
    server.kill()
    file = server.directory / "server" / "raft" / "server.json"
    before = file.read_text()
    file.write_text(json.dumps({**json.loads(before), "version": 99}))
    said = server.start_refused()
    print(f"\n{said}")
    assert "newer raftnomad" in said and "99" in said and str(file.parent) in said
    file.write_text(before)
    server.start()
    assert len(kept(server)) == 30


def test_a_directory_of_another_server_is_refused_by_name(cluster: Cluster, tmp_path: Path):
    """Its log is here and its name tag is another's: restored from the wrong backup, say."""
    (tmp_path / "other").mkdir()
    others = Cluster(tmp_path / "other", servers=1, clients=0)
    other, server = others.servers[0], cluster.servers[0]
    others.up()
    others.down()
    server.kill()
    tag = Path("server") / "raft" / "server.json"
    shutil.copy(server.directory / tag, tmp_path / "own.json")
    shutil.copy(other.directory / tag, server.directory / tag)
    said = server.start_refused()
    print(f"\n{said}")
    own_id = json.loads((tmp_path / "own.json").read_text())["server_id"]
    other_id = json.loads((other.directory / tag).read_text())["server_id"]
    assert str(server.directory) in said and own_id in said and other_id in said
    shutil.copy(tmp_path / "own.json", server.directory / tag)
    server.start()
    assert len(kept(server)) == 30


def test_a_copied_directory_is_no_second_server(tmp_path: Path):
    cluster = Cluster(tmp_path, servers=3, clients=0)
    try:
        cluster.up()
        ids = write_jobs(cluster.any_server(), "first", 10)
        leader = wait_until("a leader", cluster.leader)
        victim, copied = [server for server in cluster.servers if server is not leader]
        victim.kill()
        shutil.rmtree(victim.directory)
        shutil.copytree(copied.directory, victim.directory)
        victim.start()
        ids += write_jobs(leader, "second", 30)
        said = wait_until(
            "a word about the copy",
            lambda: [line for line in leader.log.read_text().splitlines() if "was a data directory copied" in line],
            30,
        )
        print(f"\n{said[0]}")
        assert copied.name in said[0]
        assert leader.get("/v1/status/leader") == f"127.0.0.1:{leader.rpc}"
        assert set(ids) <= kept(leader) and set(ids) <= kept(copied)
    finally:
        cluster.down()


def test_a_flipped_byte_stops_the_start_and_is_named_with_its_offset(cluster: Cluster):
    server = cluster.servers[0]
    server.kill()
    path = journal(server)
    entries = [record for record in records(path) if record.kind is Kind.ENTRY]
    victim = entries[len(entries) // 2]
    data = bytearray(path.read_bytes())
    data[victim.end - 10] ^= 0x01
    path.write_bytes(data)
    said = server.start_refused()
    print(f"\n{said}")
    assert f"{path} is damaged at offset {victim.offset}" in said
    data[victim.end - 10] ^= 0x01
    path.write_bytes(data)
    server.start()
    assert len(kept(server)) == 30


@pytest.mark.parametrize("torn", ["half a record", "noise"])
def test_a_torn_tail_is_cut_off_and_nothing_acknowledged_is_lost(cluster: Cluster, torn: str):
    """What the power cut left of a write that nobody had been promised."""
    server = cluster.servers[0]
    server.kill()
    path = journal(server)
    last = records(path)[-1]
    half = encode_record(Kind.ENTRY, 1 << 20, 1, last.end, b"x" * 400)[:300]
    data = bytearray(path.read_bytes())
    data[last.end : last.end + 300] = half if torn == "half a record" else os.urandom(300)
    path.write_bytes(data)
    server.start()
    assert len(kept(server)) == 30
    assert f"torn record at offset {last.end}" in server.log.read_text()
    write_jobs(server, "second", 5)
    server.kill()
    server.start()
    assert len(kept(server)) == 35


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """64 MiB: three segments of the journal and something beside."""
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False, stderr=subprocess.DEVNULL)


def fill(disk: Path) -> Path:
    """All but 1 MiB."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - (1 << 20))
    return filler


def a_large_job(number: int) -> dict[str, object]:
    return {**a_sleeping_job(f"large-{number}", count=0), "Meta": {"text": f"{number}" + "x" * 200_000}}


@needs_root
def test_a_full_disk_refuses_writes_and_loses_nothing(tmp_path: Path, small_disk: Path):
    cluster = Cluster(tmp_path, servers=1, clients=0)
    server = cluster.servers[0]
    server.configure(data_dir=small_disk / "data")
    try:
        cluster.up()
        filler = fill(small_disk)
        acknowledged, refusal = [], ""
        for number in range(300):
            try:
                server.request("PUT", "/v1/jobs", {"Job": a_large_job(number)}, timeout_s=15)
                acknowledged.append(f"large-{number}")
            except urllib.error.HTTPError as error:
                refusal = f"{error.code} {error.read().decode()}"
                break
        print(f"\nafter {len(acknowledged)} writes of 200 kB on a full disk: {refusal}")
        assert "disk is full" in refusal and 10 < len(acknowledged) < 200
        assert server.process is not None and server.process.poll() is None, "it lives, and is read"
        assert kept(server) == set(acknowledged)
        filler.unlink()
        wait_until("writes again", lambda: server.request("PUT", "/v1/jobs", {"Job": a_large_job(1000)}), 20)
        server.kill()
        server.start()
        assert kept(server) == {*acknowledged, "large-1000"}
    finally:
        cluster.down()


@needs_root
def test_one_full_disk_of_three_stops_nobody_else(tmp_path: Path, small_disk: Path):
    cluster = Cluster(tmp_path, servers=3, clients=0)
    full = cluster.servers[2]
    full.configure(data_dir=small_disk / "data")
    try:
        cluster.up()
        filler = fill(small_disk)
        acknowledged: set[str] = set()
        for number in range(120):
            for server in cluster.servers[:2]:
                try:
                    server.request("PUT", "/v1/jobs", {"Job": a_large_job(number)}, timeout_s=15)
                except (OSError, http.client.HTTPException):
                    time.sleep(0.2)
                    continue
                acknowledged.add(f"large-{number}")
                break
        lines = full.log.read_text().splitlines()
        said = [line for line in lines if "room" in line or "No space" in line or "full" in line]
        print(f"\n{len(acknowledged)} of 120 writes acknowledged; the full server says: {said[:3]}")
        assert said
        assert len(acknowledged) >= 110
        assert acknowledged <= kept(cluster.servers[0])
        filler.unlink()
        if full.process is None or full.process.poll() is not None:
            full.start()
        wait_until("the full server to catch up", lambda: acknowledged <= {s["ID"] for s in full.get("/v1/jobs?stale")})
    finally:
        cluster.down()


def test_records_begin_after_the_header(cluster: Cluster):
    """The tests above flip and tear real records: these are what the journal reads."""
    found = records(journal(cluster.servers[0]))
    assert found[0].offset == HEADER_BYTES
    assert sum(record.kind is Kind.ENTRY for record in found) >= 30
