"""Three etcd members on loopback, to measure beside: Debian's etcd-server, its data beside ours on the same disk."""

from __future__ import annotations

import asyncio
import base64
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp


def available() -> str:
    """The path of etcd; empty when it is not installed (`apt-get install -y etcd-server`)."""
    return shutil.which("etcd") or ""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class EtcdCluster:
    def __init__(self, directory: Path, members: int = 3) -> None:
        ports = free_ports(2 * members)
        self.client_ports, peer_ports = ports[:members], ports[members:]
        cluster = ",".join(f"m{i}=http://127.0.0.1:{port}" for i, port in enumerate(peer_ports))
        self._commands = [
            [
                available(),
                f"--name=m{i}",
                f"--data-dir={directory / f'etcd-{i}'}",
                f"--listen-client-urls=http://127.0.0.1:{self.client_ports[i]}",
                f"--advertise-client-urls=http://127.0.0.1:{self.client_ports[i]}",
                f"--listen-peer-urls=http://127.0.0.1:{peer_ports[i]}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{peer_ports[i]}",
                f"--initial-cluster={cluster}",
                "--initial-cluster-state=new",
                "--log-level=error",
            ]
            for i in range(members)
        ]
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * members

    async def start(self) -> None:
        for i in range(len(self._commands)):
            self.launch(i)
        await self.leader()

    def launch(self, member: int) -> None:
        self._processes[member] = subprocess.Popen(
            self._commands[member], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self, member: int) -> None:
        process = self._processes[member]
        assert process is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
        self._processes[member] = None

    def stop(self) -> None:
        for i, process in enumerate(self._processes):
            if process is not None:
                self.kill(i)

    async def leader(self, timeout_s: float = 30) -> int:
        """The member that leads; waits until one does."""
        deadline = time.monotonic() + timeout_s
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while time.monotonic() < deadline:
                for i, process in enumerate(self._processes):
                    if process is None:
                        continue
                    try:
                        url = f"http://127.0.0.1:{self.client_ports[i]}/v3/maintenance/status"
                        async with session.post(url, json={}) as answer:
                            status = await answer.json(content_type=None)
                    except (aiohttp.ClientError, TimeoutError):
                        continue
                    if status.get("leader", "0") != "0" and status["leader"] == status["header"]["member_id"]:
                        return i
                await asyncio.sleep(0.05)
        raise RuntimeError("etcd elected no leader")

    async def put(self, session: aiohttp.ClientSession, member: int, key: str, value: bytes) -> None:
        """One committed write through the member's JSON gateway; raises when it was not acknowledged."""
        body = {"key": base64.b64encode(key.encode()).decode(), "value": base64.b64encode(value).decode()}
        async with session.post(f"http://127.0.0.1:{self.client_ports[member]}/v3/kv/put", json=body) as answer:
            if answer.status != 200:
                raise RuntimeError(f"etcd answered {answer.status}")
            await answer.read()


async def throughput(write: Callable[[int], Awaitable[None]], in_flight: int, seconds: float) -> float:
    """Committed writes a second, with `in_flight` of them waiting at any time."""
    deadline = time.monotonic() + seconds
    done = 0

    async def loop(worker: int) -> None:
        nonlocal done
        number = worker
        while time.monotonic() < deadline:
            await write(number)
            number += in_flight
            done += 1

    started = time.monotonic()
    await asyncio.gather(*(loop(worker) for worker in range(in_flight)))
    return done / (time.monotonic() - started)
