"""What users get wrong, through the real command line and over HTTP: each is told clearly, and nothing is lost."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.processes import Cluster, a_sleeping_job, cli, wait_until

pytestmark = pytest.mark.cluster

JOB = """job "web" {
  group "web" {
    task "page" {
      driver = "raw_exec"
      config {
        command = "/bin/sleep"
        args    = ["60"]
      }
    }
  }
}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("bad-input"), servers=1, clients=1)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()


def written(directory: Path, text: str) -> str:
    path = directory / "web.nomad.hcl"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("command", ["run", "plan", "validate"])
def test_a_broken_job_file_is_told_with_position_and_reason(cluster: Cluster, tmp_path: Path, command: str):
    file = written(tmp_path, JOB.replace('driver = "raw_exec"', "driver = "))
    ran = cli(cluster.servers[0], "job", command, file)
    said = ran.stdout + ran.stderr
    print(f"\n{said}")
    assert ran.returncode in (1, 255)
    assert "web.nomad.hcl:4,16" in said
    assert "Invalid expression" in said
    assert "Traceback" not in said
    assert cluster.servers[0].get("/v1/jobs") == []


def test_an_unknown_key_is_told_with_its_position(cluster: Cluster, tmp_path: Path):
    file = written(tmp_path, JOB.replace("driver =", "driverr ="))
    ran = cli(cluster.servers[0], "job", "run", file)
    said = ran.stdout + ran.stderr
    print(f"\n{said}")
    assert ran.returncode == 1
    assert "web.nomad.hcl:4,7-14" in said and "driverr" in said


def test_an_unknown_driver_is_named(cluster: Cluster, tmp_path: Path):
    ran = cli(cluster.servers[0], "job", "plan", written(tmp_path, JOB.replace("raw_exec", "raw_exce")))
    said = ran.stdout + ran.stderr
    print(f"\n{said}")
    assert 'Task Group "web" (failed to place 1 allocation)' in said
    assert "missing drivers" in said and "1 nodes excluded by filter" in said


def test_an_impossible_constraint_is_named(cluster: Cluster, tmp_path: Path):
    constraint = (
        'group "web" {\n    constraint {\n      attribute = "${attr.kernel.name}"\n      value = "plan9"\n    }\n'
    )
    file = written(tmp_path, JOB.replace('group "web" {\n', constraint))
    reason = 'Constraint "${attr.kernel.name} = plan9": 1 nodes excluded by filter'
    planned = cli(cluster.servers[0], "job", "plan", file)
    assert reason in planned.stdout, planned.stdout + planned.stderr
    cli(cluster.servers[0], "job", "run", "-detach", file)
    status = wait_until(
        "the reason in job status",
        lambda: (ran := cli(cluster.servers[0], "job", "status", "web")) and "Placement Failure" in ran.stdout and ran,
    )
    print(f"\n{status.stdout}")
    assert reason in status.stdout
    cluster.servers[0].request("DELETE", "/v1/job/web?purge=true")


@pytest.mark.parametrize("port", ["http", "rpc", "serf"])
def test_a_port_in_use_is_named(tmp_path: Path, port: str):
    cluster = Cluster(tmp_path, servers=1, clients=0)
    agent = cluster.servers[0]
    with socket.create_server(("127.0.0.1", getattr(agent, port))):
        said = agent.start_refused()
    print(f"\n{said}")
    assert f"127.0.0.1:{getattr(agent, port)}" in said and port in said
    assert "in use" in said
    cluster.down()


def test_a_body_of_100_mb_is_refused_and_not_kept(cluster: Cluster):
    server = cluster.servers[0]
    server.request("PUT", "/v1/jobs", {"Job": a_sleeping_job("kept", count=0)})
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    before_mb = process.memory_info().rss / 1e6
    most_mb, chunk = before_mb, b"x" * 1_000_000
    for chunked in (False, True):
        connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=30)
        connection.putrequest("PUT", "/v1/jobs")
        connection.putheader(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "100000000")))
        connection.endheaders()
        try:
            for _ in range(100):
                connection.send(b"%x\r\n%s\r\n" % (len(chunk), chunk) if chunked else chunk)
                most_mb = max(most_mb, process.memory_info().rss / 1e6)
            if chunked:
                connection.send(b"0\r\n\r\n")
        except ConnectionError:
            pass
        answer = connection.getresponse()
        text = answer.read().decode()
        print(f"\n{'chunked' if chunked else 'with its length'}: {answer.status} {text}")
        assert answer.status == 413 and "large" in text
        connection.close()
    print(f"memory of the server: {before_mb:.0f} MB before, at most {most_mb:.0f} MB")
    assert most_mb - before_mb < 48
    assert [job["ID"] for job in server.get("/v1/jobs")] == ["kept"]
