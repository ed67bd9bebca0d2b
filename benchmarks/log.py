"""Goal: at least twice as many committed small writes a second as etcd, three servers each, in one run on one disk.

A write is 16 bytes of key and 100 of value; 64 are in flight; a majority has called fdatasync before one is
acknowledged; TLS on neither side. A process of its own writes (`log_loader.py`). Prints a table, and as its last line
the ratio. Needs etcd: apt-get install -y etcd-server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.etcd_cluster import EtcdCluster, available, free_ports

ROOT = Path(__file__).parents[1]
SERVERS = 3


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=5, help="of each measurement")
    options.add_argument("--rounds", type=int, default=3, help="ours and etcd in turn; medians count")
    options.add_argument("--in-flight", type=int, nargs="*", default=[64, 1, 1000], help="the first is the goal's")
    options.add_argument("--directory", type=Path, help="on the disk to measure; by default the current folder")
    chosen = options.parse_args()
    if not available():
        print("etcd is not installed, so there is nothing to compare with: apt-get install -y etcd-server")
    with tempfile.TemporaryDirectory(prefix="log-benchmark-", dir=chosen.directory or Path.cwd()) as directory:
        rows = asyncio.run(measure(Path(directory), chosen.in_flight, chosen.rounds, chosen.seconds))
    print(f"{'':<26}{'in flight':>10}{'writes/s':>11}{'median ms':>11}{'p99 ms':>9}{'loader busy':>13}")
    for (name, in_flight), figures in rows.items():
        print(f"{name:<26}{in_flight:>10}{figures['rate']:>11,.0f}", end="")
        if "median_ms" in figures:
            print(f"{figures['median_ms']:>11.2f}{figures['p99_ms']:>9.2f}{figures['loader_busy']:>12.0%}", end="")
        print()
    if available():
        goal = chosen.in_flight[0]
        print(f"ratio: {rows['ours', goal]['rate'] / rows['etcd', goal]['rate']:.2f}")


class OurCluster:
    """Three processes of `log_server.py`."""

    def __init__(self, directory: Path) -> None:
        names = [f"server-{i + 1}" for i in range(SERVERS)]
        self.addresses = {name: f"127.0.0.1:{port}" for name, port in zip(names, free_ports(SERVERS), strict=True)}
        pairs = [f"{name}={address}" for name, address in self.addresses.items()]
        self._processes = {
            name: subprocess.Popen(
                [sys.executable, "-m", "benchmarks.log_server", str(directory / name), name, *pairs],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            for name in names
        }

    def ask(self, name: str, line: str) -> object:
        process = self._processes[name]
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def leader(self) -> str:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for name in self._processes:
                if self.ask(name, "leads"):
                    return name
            time.sleep(0.05)
        raise RuntimeError("no leader within 20 s")

    def check(self, acknowledged: float) -> None:
        """All three hold the same in the end, and no less than was acknowledged."""
        deadline = time.monotonic() + 20
        while True:
            applied = {self.ask(name, "count") for name in self._processes}
            if len(applied) == 1 and float(str(*applied)) >= acknowledged:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the servers hold {applied} writes, {acknowledged:.0f} were acknowledged")
            time.sleep(0.1)

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()


def load(*arguments: object) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.log_loader", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    figures: dict[str, float] = json.loads(ran.stdout)
    return figures


async def measure(
    directory: Path, in_flight: list[int], rounds: int, seconds: float
) -> dict[tuple[str, int], dict[str, float]]:
    cluster, etcd = OurCluster(directory), EtcdCluster(directory) if available() else None
    try:
        leader = cluster.leader()
        sides: dict[str, Callable[[int], dict[str, float]]] = {
            "ours": lambda n: load("ours", n, seconds, leader, cluster.addresses[leader]),
            "ours, from the leader": lambda n: {"rate": float(str(cluster.ask(leader, f"load {n} {seconds}")))},
        }
        if etcd is not None:
            await etcd.start()
            port = etcd.client_ports[await etcd.leader()]
            sides["etcd"] = lambda n: load("etcd", n, seconds, port)
        for side in sides.values():
            side(in_flight[0])
        rows, acknowledged = {}, 0.0
        for number in in_flight:
            taken: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
            for _ in range(rounds):
                for name, side in sides.items():
                    taken[name].append(side(number))
            acknowledged += sum(one["writes"] for one in taken["ours"])
            for name, figures in taken.items():
                rows[name, number] = {key: statistics.median(one[key] for one in figures) for key in figures[0]}
        cluster.check(acknowledged)
        return rows
    finally:
        cluster.stop()
        if etcd is not None:
            etcd.stop()


if __name__ == "__main__":
    main()
