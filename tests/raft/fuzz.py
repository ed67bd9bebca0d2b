"""Random faults from a seed over a cluster on virtual time, and what must hold all the same.

    python -m tests.raft.fuzz --servers 3 --seeds 0-500
    python -m tests.raft.fuzz --servers 3 --seeds 0-100 --stock     the same over unmodified pysyncobj

A seed replays exactly. What is checked: acknowledged writes are on every server in the end; no two servers ever
apply different things at one index; one leader in a term; reads and writes are linearizable and in real-time order;
what was refused as not written never appears; no server stops itself; and after the last fault all agree again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from raftnomad import errors
from raftnomad.fsm.outcome import Applied
from tests.raft.linearizability import NEVER, Operation, is_linearizable, register_step
from tests.raft.registers import key_and_input, swap, write
from tests.raft.simulated_cluster import SimulatedCluster, SimulatedServer
from tests.raft.virtual_time import VirtualLoop, run

T = TypeVar("T")

KEYS = 12
CLIENTS = 8
STORM_S = 30.0
CONVERGE_S = 20.0


@dataclass
class History:
    operations: dict[str, list[Operation]] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)
    """Identifier of a write -> index of its outcome."""
    refused: list[str] = field(default_factory=list)
    unknown: int = 0
    reads: int = 0
    order: list[tuple[float, float, int]] = field(default_factory=list)
    """Called, returned, index of the outcome or of the state that was read."""
    number: int = 0


@dataclass(frozen=True)
class Report:
    seed: int
    violations: dict[str, int]
    acknowledged: int
    unknown: int
    reads: int
    crashes: int
    messages: int
    terms: int
    changes: int
    fingerprint: int

    @property
    def figures(self) -> str:
        return (
            f"{self.acknowledged} acknowledged, {self.unknown} unknown, {self.reads} reads, "
            f"{self.crashes} crashes, {self.messages} messages, {self.terms} terms, "
            f"{self.changes} changes of members"
        )


# --- clients


async def client(cluster: SimulatedCluster, history: History, chance: random.Random, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await asyncio.sleep(chance.uniform(0, 0.3))
        servers = cluster.live()
        if servers:
            server = chance.choice(servers)
            await (read_once if chance.random() < 0.3 else write_once)(cluster, history, chance, server)


async def write_once(
    cluster: SimulatedCluster, history: History, chance: random.Random, server: SimulatedServer
) -> None:
    history.number += 1
    identifier, key = f"w{history.number}", f"k{chance.randrange(KEYS)}"
    value = history.number
    if chance.random() < 0.7:
        proposal = write(identifier, key, value)
    else:
        proposal = swap(identifier, key, server.machine.values.get(key, 0), value)
    _, given = key_and_input(proposal)
    called_s = cluster.loop.time()
    assert server.node is not None
    try:
        outcome = await _unless_killed(server, server.node.propose(proposal, timeout_s=chance.choice([0.5, 2.0, 5.0])))
    except (errors.NoLeader, errors.Overloaded):
        history.refused.append(identifier)
        return
    except errors.OutcomeUnknown:
        history.unknown += 1
        _note(history, key, Operation(called_s=called_s, returned_s=NEVER, input=given))
        return
    done = isinstance(outcome, Applied)
    returned_s = cluster.loop.time()
    history.acknowledged[identifier] = outcome.index
    history.order.append((called_s, returned_s, outcome.index))
    output = None if given[0] == "write" else done
    _note(history, key, Operation(called_s=called_s, returned_s=returned_s, input=given, output=output))
    if server.machine.index < outcome.index and server.node is not None:
        cluster.violations["a proposal returned before its own server had applied it"] += 1


async def read_once(
    cluster: SimulatedCluster, history: History, chance: random.Random, server: SimulatedServer
) -> None:
    key = f"k{chance.randrange(KEYS)}"
    called_s = cluster.loop.time()
    assert server.node is not None
    try:
        await _unless_killed(server, server.node.consistent_read(timeout_s=2.0))
    except (errors.NoLeader, errors.OutcomeUnknown):
        return
    returned_s, value = cluster.loop.time(), server.machine.values.get(key, 0)
    history.reads += 1
    history.order.append((called_s, returned_s, server.machine.index))
    _note(history, key, Operation(called_s=called_s, returned_s=returned_s, input=("read",), output=value))


async def _unless_killed(server: SimulatedServer, call: Awaitable[T]) -> T:
    """A killed process answers nobody: its caller sees the connection break."""
    node = server.node
    task = asyncio.ensure_future(call)
    while not task.done():
        await asyncio.wait([task], timeout=0.2)
        if server.node is not node and not task.done():
            task.cancel()
            raise errors.OutcomeUnknown("the server has died")
    return await task


def _note(history: History, key: str, operation: Operation) -> None:
    history.operations.setdefault(key, []).append(operation)


# --- faults


async def storm(cluster: SimulatedCluster, chance: random.Random, seconds: float) -> None:
    """Faults, one after another and over one another."""
    end_s = cluster.loop.time() + seconds
    paused: list[tuple[float, SimulatedServer]] = []
    faults = _faults(chance, paused, len(cluster.servers), cluster.changes_members)
    while cluster.loop.time() < end_s:
        await asyncio.sleep(chance.expovariate(1 / 0.7))
        await chance.choice(faults)(cluster)
        now_s = cluster.loop.time()
        for server in cluster.servers.values():
            if server.node is None and not server.starting and chance.random() < 0.6:
                await cluster.start(server.id)
        for until_s, server in list(paused):
            if now_s >= until_s:
                paused.remove((until_s, server))
                if server.node is not None and server.node.paused:
                    cluster.loop.call_soon(server.node.resume)
        if chance.random() < 0.3:
            cluster.network.break_links()


def _faults(
    chance: random.Random, paused: list[tuple[float, SimulatedServer]], servers: int, cluster_changes: bool
) -> list[Callable[[SimulatedCluster], Awaitable[None]]]:
    async def kill(cluster: SimulatedCluster) -> None:
        cluster.kill(chance.choice(list(cluster.servers)), power=chance.random() < 0.5)

    async def kill_leader(cluster: SimulatedCluster) -> None:
        leader = cluster.leader()
        if leader is not None:
            cluster.kill(leader.id, power=chance.random() < 0.5)

    async def power_cut(cluster: SimulatedCluster) -> None:
        for server_id in cluster.servers:
            cluster.kill(server_id, power=True)

    async def crash_inside(cluster: SimulatedCluster) -> None:
        live = cluster.live()
        if live:
            chance.choice(live).disk.crash_in = chance.randint(1, 60)

    async def pause(cluster: SimulatedCluster) -> None:
        live = [server for server in cluster.live() if server.node is not None and not server.node.paused]
        if live:
            server = chance.choice(live)
            assert server.node is not None
            server.node.pause()
            paused.append((cluster.loop.time() + chance.uniform(0, 4), server))

    async def cut(cluster: SimulatedCluster) -> None:
        cluster.network.cut.add(frozenset(chance.sample(list(cluster.servers), 2)))

    async def deafen(cluster: SimulatedCluster) -> None:
        first, second = chance.sample(list(cluster.servers), 2)
        cluster.network.deaf.add((first, second))

    async def isolate_leader(cluster: SimulatedCluster) -> None:
        leader = cluster.leader()
        for other in cluster.servers:
            if leader is not None and other != leader.id:
                cluster.network.cut.add(frozenset((leader.id, other)))

    async def slow(cluster: SimulatedCluster) -> None:
        first, second = chance.sample(list(cluster.servers), 2)
        cluster.network.delay_s[first, second] = chance.choice([0.001, 0.05, 0.3, 1.0])

    async def repeat(cluster: SimulatedCluster) -> None:
        cluster.network.duplicates = chance.choice([0.0, 0.05, 0.3])

    async def fill_disk(cluster: SimulatedCluster) -> None:
        server = cluster.servers[chance.choice(list(cluster.servers))]
        server.disk.full = not server.disk.full

    async def mend(cluster: SimulatedCluster) -> None:
        cluster.network.cut.clear()
        cluster.network.deaf.clear()
        cluster.network.delay_s.clear()

    async def change_members(cluster: SimulatedCluster) -> None:
        leader = cluster.leader()
        if leader is None or leader.node is None:
            return
        spare = [server_id for server_id in cluster.servers if server_id not in _member_ids(leader)]
        if len(leader.node.members) > servers or (spare and chance.random() < 0.3):
            change = leader.node.remove_server(chance.choice(list(_member_ids(leader))))
        else:
            server = cluster.add_machine() if len(cluster.servers) < servers + 3 else cluster.servers[spare[0]]
            if server.node is None and not server.starting:
                await cluster.start(server.id)
            change = leader.node.add_server(cluster.member(server.id))
        cluster.changes.append(asyncio.ensure_future(_quietly(cluster, change)))

    processes = [
        kill,
        kill,
        kill_leader,
        power_cut,
        power_cut,
        crash_inside,
        crash_inside,
        crash_inside,
        pause,
        fill_disk,
    ]
    links = [cut, deafen, isolate_leader, slow, repeat, repeat, mend, mend, mend]
    members = [change_members] * 3 if cluster_changes else []
    return [*processes, *members, *links] if servers > 1 else [*processes, *members]


def _member_ids(server: SimulatedServer) -> list[str]:
    return [] if server.node is None else [member.id for member in server.node.members]


async def _quietly(cluster: SimulatedCluster, change: Awaitable[None]) -> None:
    """It may fail in any way that is told to the caller."""
    with contextlib.suppress(errors.RaftnomadError, asyncio.CancelledError):
        await change
        cluster.members_changed += 1


# --- checks


def check(cluster: SimulatedCluster, history: History) -> None:
    violations = cluster.violations
    for server in cluster.live():
        lost = [i for i, index in history.acknowledged.items() if _index(server, i) != index]
        if lost:
            violations["acknowledged writes lost"] += len(lost)
        if any(identifier in server.machine.outcomes for identifier in history.refused):
            violations["a write that was refused as not written is there"] += 1
    if len({server.machine.dump() for server in cluster.live()}) > 1:
        violations["states differ in the end"] += 1
    for leaders in cluster.leaders.values():
        if len(leaders) > 1:
            violations["two leaders in one term"] += 1
    newest, done = 0, sorted(history.order, key=lambda entry: entry[1])
    position = 0
    for called_s, _, index in sorted(history.order):
        while position < len(done) and done[position][1] < called_s:
            newest = max(newest, done[position][2])
            position += 1
        if index < newest:
            violations["something acknowledged was not seen by what came after it"] += 1
    for operations in history.operations.values():
        if is_linearizable(operations, 0, register_step) is False:
            violations["a register is not linearizable"] += 1


def _index(server: SimulatedServer, identifier: str) -> int:
    outcome = server.machine.outcomes.get(identifier)
    return outcome.index if outcome is not None else 0


async def retire(cluster: SimulatedCluster) -> None:
    """Whoever is no member, as the leader and a majority have it, is switched off for good."""
    leader = cluster.leader()
    if not cluster.changes_members or leader is None or leader.node is None:
        return
    try:
        await leader.node.consistent_read(timeout_s=1.0)
    except errors.NoLeader:
        return
    for server_id in list(cluster.servers):
        if server_id not in _member_ids(leader):
            cluster.kill(server_id)
            del cluster.servers[server_id]


async def story(cluster: SimulatedCluster, seed: int, storm_s: float) -> Report:
    chance = random.Random(seed + 2)
    history, stop = History(), asyncio.Event()
    background = [asyncio.ensure_future(cluster.watch())]
    for server_id in cluster.servers:
        await cluster.start(server_id)
    clients = [
        asyncio.ensure_future(client(cluster, history, random.Random(chance.random()), stop)) for _ in range(CLIENTS)
    ]
    await storm(cluster, chance, storm_s)
    cluster.heal()
    for change in cluster.changes:
        change.cancel()
    healed_s = cluster.loop.time()
    await asyncio.sleep(1.0)
    stop.set()
    while not cluster.has_converged():
        await retire(cluster)
        for server in cluster.servers.values():
            if server.node is None and not server.starting:
                await cluster.start(server.id)
        if cluster.loop.time() - healed_s > CONVERGE_S:
            cluster.violations[f"no agreement {CONVERGE_S:.0f} s after the last fault"] += 1
            break
        await asyncio.sleep(0.1)
    await asyncio.gather(*clients)
    await cluster.until(cluster.has_converged, 5)
    check(cluster, history)
    for task in background:
        task.cancel()
    for server in cluster.live():
        cluster.kill(server.id)
    return Report(
        seed=seed,
        violations=dict(cluster.violations),
        acknowledged=len(history.acknowledged),
        unknown=history.unknown,
        reads=history.reads,
        crashes=cluster.crashes,
        messages=cluster.network.delivered,
        terms=len(cluster.leaders),
        changes=cluster.members_changed,
        fingerprint=hash((cluster.network.delivered, cluster.loop.time(), len(history.acknowledged))),
    )


def run_seed(seed: int, servers: int, storm_s: float = STORM_S, changes_members: bool = False) -> Report:
    chance = random.Random(seed)
    loop = VirtualLoop()
    cluster = SimulatedCluster(
        loop,
        seed,
        servers,
        sync_s=chance.choice([(0.0002, 0.005), (0.005, 0.05), (0.05, 0.3)]),
        snapshot_entries=chance.choice([15, 60, 10**9]),
        trailing_entries=chance.choice([0, 5, 40]),
        segment_bytes=chance.choice([16384, 65536, 1 << 18]),
        snapshot_chunk_bytes=chance.choice([200, 1000, 1 << 18]),
        entry_bytes_aim=chance.choice([60, 400, 1 << 18]),
        append_bytes_max=chance.choice([100, 1000, 1 << 22]),
        append_window_bytes=chance.choice([300, 1 << 24]),
        apply_slice_entries=chance.choice([1, 3, 64]),
    )
    cluster.changes_members = changes_members
    return run(story(cluster, seed, storm_s), loop)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--seeds", default="0-40", help="first-last, or one")
    parser.add_argument("--members", action="store_true", help="servers join and leave meanwhile")
    parser.add_argument("--stock", action="store_true", help="drive unmodified pysyncobj instead")
    parser.add_argument("--storm-s", type=float, default=STORM_S, help="virtual seconds of faults a seed")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.CRITICAL + 1)
    first, _, last = arguments.seeds.partition("-")
    one = functools.partial(run_seed, changes_members=arguments.members)
    if arguments.stock:
        from tests.raft.stock import run_seed as one  # type: ignore[no-redef]
    started_s, bad, found, totals = time.monotonic(), 0, Counter[str](), Counter[str]()
    for seed in range(int(first), int(last or first) + 1):
        report = one(seed, arguments.servers, arguments.storm_s)
        bad += bool(report.violations)
        found.update(report.violations.keys())
        totals.update(acknowledged=report.acknowledged, reads=report.reads, crashes=report.crashes)
        totals.update(member_changes=report.changes)
        if report.violations or arguments.verbose:
            print(f"seed {seed}: {report.violations} ({report.figures})", flush=True)
    seconds = time.monotonic() - started_s
    print(f"{bad} seeds of {int(last or first) - int(first) + 1} with a violation, {dict(totals)}, {seconds:.0f} s")
    for violation, seeds in found.most_common():
        print(f"  {seeds} seeds: {violation}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
