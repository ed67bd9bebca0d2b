"""A cluster of real agent processes on loopback, for the tests that kill them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

RAFTNOMAD = [sys.executable, "-m", "raftnomad"]
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def wait_until(what: str, condition: Callable[[], Any], timeout_s: float = 60) -> Any:
    """The condition's first true value; fails naming `what` when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if value := condition():
                return value
        except (OSError, http.client.HTTPException, json.JSONDecodeError, KeyError, IndexError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen within {timeout_s:g} s")


class Agent:
    """One agent: its configuration, its data, its log, and the process while it has one."""

    def __init__(
        self,
        directory: Path,
        name: str,
        ports: list[int],
        arguments: list[str],
        configuration: str,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self._environment = {**ENVIRONMENT, **(environment or {})}
        self.http, self.rpc, self.serf = ports
        self.directory = directory / name
        self.directory.mkdir()
        self.log = directory / f"{name}.log"
        self._file = directory / f"{name}.hcl"
        self._configuration = configuration
        self._arguments = arguments
        self.configure()
        self.process: subprocess.Popen[bytes] | None = None

    def configure(
        self, *, data_dir: Path | None = None, servers: str | None = None, more: str = "", instead: str | None = None
    ) -> None:
        """Write its configuration: another data directory, other servers, something more or instead."""
        if data_dir is not None:
            self.directory = data_dir
        self._configuration = (self._configuration if instead is None else instead) + more
        if servers is not None:
            self._arguments = ["client", "--servers", servers]
        self._file.write_text(
            f'name = "{self.name}"\nbind_addr = "127.0.0.1"\ndata_dir = "{self.directory}"\n'
            f"ports {{\n  http = {self.http}\n  rpc = {self.rpc}\n  serf = {self.serf}\n}}\n{self._configuration}"
        )

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*RAFTNOMAD, *self._arguments, "-config", str(self._file)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=self._environment,
            )

    def start_refused(self, timeout_s: float = 30) -> str:
        """What an agent says that can't start: in order, without a traceback, and with exit code 1."""
        before = self.log.stat().st_size if self.log.exists() else 0
        self.start()
        assert self.process is not None
        code = self.process.wait(timeout_s)
        said = self.log.read_bytes()[before:].decode()
        assert code == 1, f"exit code {code}: {said}"
        assert "Traceback" not in said
        return said

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a power cut of this process alone: no chance to say goodbye."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 20) -> int:
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def request(self, method: str, path: str, body: Any = None, timeout_s: float = 10) -> Any:
        """The decoded answer; urllib.error.HTTPError for an error status, OSError when nobody answers."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            text = answer.read()
        return json.loads(text) if text.strip() else None

    def get(self, path: str, timeout_s: float = 10) -> Any:
        return self.request("GET", path, timeout_s=timeout_s)


class Cluster:
    """`servers` and `clients` by number; started with `up`, ended with `down`, tasks included."""

    def __init__(self, directory: Path, servers: int = 3, clients: int = 2, client_configuration: str = "") -> None:
        self.directory = directory
        names = [f"server-{i + 1}" for i in range(servers)] + [f"client-{i + 1}" for i in range(clients)]
        ports = free_ports(3 * len(names))
        triples = {name: ports[3 * i : 3 * i + 3] for i, name in enumerate(names)}
        peers = ",".join(f"127.0.0.1:{triples[name][2]}" for name in names[:servers])
        rpc = ",".join(f"127.0.0.1:{triples[name][1]}" for name in names[:servers])
        raw_exec = 'plugin "raw_exec" {\n  config {\n    enabled = true\n  }\n}\n' + client_configuration
        self.servers = [
            Agent(directory, name, triples[name], ["server", "--peers", peers], "") for name in names[:servers]
        ]
        self.clients = [
            Agent(directory, name, triples[name], ["client", "--servers", rpc], raw_exec) for name in names[servers:]
        ]

    @property
    def agents(self) -> list[Agent]:
        return [*self.servers, *self.clients]

    def up(self) -> None:
        for agent in self.agents:
            agent.start()
        wait_until("the election of a leader", self.leader)
        ready = len(self.clients)
        wait_until(
            "the registration of the clients",
            lambda: sum(node["Status"] == "ready" for node in self.any_server().get("/v1/nodes")) >= ready,
        )

    def down(self) -> None:
        for agent in reversed(self.agents):
            if agent.process is not None and agent.process.poll() is None:
                agent.process.send_signal(signal.SIGCONT)
                agent.kill()
        end_leftovers(self.directory)
        assert not leftovers(self.directory)

    def running_servers(self) -> list[Agent]:
        return [agent for agent in self.servers if agent.process is not None and agent.process.poll() is None]

    def any_server(self) -> Agent:
        return self.running_servers()[0]

    def leader(self) -> Agent | None:
        """The server that all running ones hold for the leader."""
        address = None
        for agent in self.running_servers():
            told = agent.get("/v1/status/leader", timeout_s=2)
            if not told or (address is not None and told != address):
                return None
            address = told
        return next((agent for agent in self.running_servers() if address == f"127.0.0.1:{agent.rpc}"), None)

    def allocations(self, job_id: str, status: str = "running") -> list[dict[str, Any]]:
        stubs = self.any_server().get(f"/v1/job/{job_id}/allocations")
        return [s for s in stubs if s["ClientStatus"] == status and s["DesiredStatus"] == "run"]


def leftovers(directory: Path) -> list[int]:
    """Processes that were started below a directory: agents, executors and tasks, which name it or were told of it."""
    found = []
    needle = str(directory).encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if needle in (entry / "cmdline").read_bytes() or needle in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def end_leftovers(directory: Path) -> None:
    """Executors and their tasks outlive a killed client on purpose, and secrets are mounts; all end with the test."""
    deadline = time.monotonic() + 10
    while (pids := leftovers(directory)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{directory}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], check=False)


def cli(agent: Agent, *arguments: str, directory: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The real command line, as a user of this agent runs it."""
    return subprocess.run(
        [*RAFTNOMAD, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=directory,
        env={**ENVIRONMENT, "NOMAD_ADDR": f"http://127.0.0.1:{agent.http}"},
    )


def a_sleeping_job(job_id: str, count: int = 2, command: str = "sleep 3600") -> dict[str, Any]:
    """A service of raw_exec tasks, each of which writes its process id into its task directory."""
    script = f"echo $$ >> local/pids; {command}"
    return {
        "ID": job_id,
        "Name": job_id,
        "Type": "service",
        "TaskGroups": [
            {
                "Name": "sleepers",
                "Count": count,
                "Update": {"MinHealthyTime": 100_000_000, "HealthyDeadline": 60_000_000_000},
                "Tasks": [
                    {
                        "Name": "sleep",
                        "Driver": "raw_exec",
                        "Config": {"command": "/bin/sh", "args": ["-c", script]},
                        "Resources": {"CPU": 20, "MemoryMB": 16},
                    }
                ],
            }
        ],
    }


def task_pids(cluster: Cluster, job_id: str) -> dict[str, list[int]]:
    """Allocation id -> the process ids that its task has written, one for each start."""
    pids = {}
    for client in cluster.clients:
        for file in client.directory.glob("**/sleep/local/pids"):
            pids[file.parents[2].name] = [int(word) for word in file.read_text().split()]
    return {stub["ID"]: pids.get(stub["ID"], []) for stub in cluster.allocations(job_id)}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
