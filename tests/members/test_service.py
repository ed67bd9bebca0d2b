"""Real sockets on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from raftnomad.errors import ConfigurationError
from raftnomad.members.joining import Retry
from raftnomad.members.record import Identity
from raftnomad.members.service import Existing, Founding, Members, Pace
from raftnomad.members.table import Event, Status
from raftnomad.raft.log import Member

PACE = Pace(hurried_s=0.02, usual_s=0.05, gather_s=0.001, failed_after_s=0.5)


class World:
    """Servers and their directories; all are stopped at the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.running: list[Members] = []
        self.events: dict[str, list[Event]] = {}

    async def start(
        self, name: str, *, expect: int = 0, retry: Retry | None = None, port: int = 0, **fields: str
    ) -> Members:
        events = self.events.setdefault(name, [])
        identity = Identity(
            id=fields.pop("id", f"id-{name}"),
            name=fields.pop("called", name),
            region=fields.pop("region", "global"),
            expect=expect,
            rpc_address="127.0.0.1:1",
            http_address="127.0.0.1:2",
        )
        members = Members(
            identity, "127.0.0.1", port, self.directory / name, retry=retry, on_event=events.append, pace=PACE
        )
        await members.start()
        self.running.append(members)
        return members

    async def stop(self, members: Members) -> None:
        self.running.remove(members)
        await members.stop()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    for members in list(world.running):
        await world.stop(members)


async def until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


def statuses(members: Members) -> dict[str, Status]:
    return {entry.record.name: entry.status for entry in members.entries()}


async def test_three_servers_that_know_one_address_agree_on_one_cluster(world: World) -> None:
    a = await world.start("a", expect=3)
    b = await world.start("b", expect=3, retry=Retry(addresses=(a.address,), hurried_s=0.05))
    c = await world.start("c", expect=3, retry=Retry(addresses=(a.address,), hurried_s=0.05))
    results = await asyncio.wait_for(asyncio.gather(*(members.bootstrap() for members in (a, b, c))), 10)
    assert all(isinstance(result, Founding) for result in results)
    assert len(set(results)) == 1
    founding = results[0]
    assert isinstance(founding, Founding)
    assert [member.name for member in founding.first_members] == ["a", "b", "c"]
    for members in (a, b, c):
        await until(lambda members=members: list(statuses(members).values()) == [Status.ALIVE] * 2)


async def test_two_of_three_found_nothing(world: World) -> None:
    a = await world.start("a", expect=3)
    b = await world.start("b", expect=3)
    assert (await a.join([b.address])).count == 1
    await until(lambda: a.waiting_for.startswith("3 servers without a cluster; there are 2"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(a.bootstrap(), 0.3)


async def test_one_server_founds_at_once_and_remembers_it(world: World) -> None:
    a = await world.start("a", expect=1)
    first = await asyncio.wait_for(a.bootstrap(), 5)
    await world.stop(a)
    again = await world.start("a", expect=3)
    assert await asyncio.wait_for(again.bootstrap(), 5) == first


async def test_a_server_joins_an_existing_cluster_and_the_leader_is_told(world: World) -> None:
    a = await world.start("a", expect=1)
    founding = await a.bootstrap()
    await a.publish_cluster([Member(id="id-a", name="a", rpc_address="127.0.0.1:1")], 1)
    b = await world.start("b", expect=3, retry=Retry(addresses=(a.address,), hurried_s=0.05))
    existing = await asyncio.wait_for(b.bootstrap(), 10)
    assert isinstance(existing, Existing)
    assert existing.cluster_id == founding.cluster_id
    assert [member.id for member in existing.members] == ["id-a"]
    await until(lambda: [member.id for member in a.servers_to_add()] == ["id-b"])
    await a.publish_cluster([*existing.members, *a.servers_to_add()], 2)
    assert a.servers_to_add() == []


async def test_a_server_that_dies_is_failed_and_one_that_comes_back_is_alive(world: World) -> None:
    a = await world.start("a", expect=3)
    b = await world.start("b", expect=3)
    await a.join([b.address])
    await until(lambda: statuses(a) == {"b": Status.ALIVE} and statuses(b) == {"a": Status.ALIVE})
    await world.stop(b)
    await until(lambda: statuses(a) == {"b": Status.FAILED})
    b = await world.start("b", expect=3)
    await b.join([a.address])
    await until(lambda: statuses(a) == {"b": Status.ALIVE})
    assert [str(event.happening) for event in world.events["a"] if event.happening != "updated"] == [
        "joined",
        "failed",
        "joined",
    ]


async def test_servers_that_were_all_stopped_find_each_other_again(world: World) -> None:
    a, b = await world.start("a", expect=2), await world.start("b", expect=2)
    await a.join([b.address])
    founding = await asyncio.wait_for(a.bootstrap(), 10)
    await until(lambda: (world.directory / "a" / "serf-peers.json").exists())
    (_, port) = b.address.split(":")
    await world.stop(a)
    await world.stop(b)
    b = await world.start("b", expect=2, port=int(port))
    a = await world.start("a", expect=2)
    await until(lambda: statuses(a) == {"b": Status.ALIVE} and statuses(b) == {"a": Status.ALIVE})
    assert await a.bootstrap() == await b.bootstrap() == founding


async def test_a_server_that_leaves_is_left_at_once(world: World) -> None:
    a = await world.start("a", expect=3)
    b = await world.start("b", expect=3)
    await a.join([b.address])
    await until(lambda: statuses(b) == {"a": Status.ALIVE})
    await b.leave()
    assert statuses(a) == {"b": Status.LEFT}
    await world.stop(b)


async def test_force_leave_reaches_all_and_a_living_server_contradicts(world: World) -> None:
    a, b, c = [await world.start(name, expect=5) for name in "abc"]
    await a.join([b.address, c.address])
    await until(lambda: statuses(b) == {"a": Status.ALIVE, "c": Status.ALIVE})
    await world.stop(c)
    await until(lambda: statuses(a)["c"] == Status.FAILED)
    await a.force_leave("c.global")
    await until(lambda: statuses(b)["c"] == Status.LEFT)
    await a.force_leave("c", prune=True)
    await until(lambda: "c" not in statuses(a) and "c" not in statuses(b))
    await a.force_leave("nobody")
    await a.force_leave("b")
    await until(lambda: statuses(a) == {"b": Status.ALIVE})


async def test_a_name_that_a_living_server_has_is_refused_and_one_of_a_dead_server_is_not(world: World) -> None:
    a = await world.start("a", expect=3)
    b = await world.start("b", expect=3)
    await a.join([b.address])
    await until(lambda: statuses(a) == {"b": Status.ALIVE} and statuses(b) == {"a": Status.ALIVE})
    other = await world.start("other", called="b", expect=3)
    joined = await other.join([a.address])
    assert joined.count == 0
    assert "is alive under the name 'b': give every server its own name" in joined.error
    assert "this server is called 'b' too" in (await other.join([b.address])).error
    await world.stop(b)
    await until(lambda: statuses(a) == {"b": Status.FAILED})
    assert (await other.join([a.address])).count == 1
    await until(lambda: statuses(a) == {"b": Status.ALIVE})
    assert [entry.record.id for entry in a.entries()] == ["id-other"]


async def test_a_server_of_another_region_is_refused_by_name(world: World) -> None:
    a = await world.start("a", expect=3)
    b = await world.start("b", region="eu", expect=3)
    joined = await b.join([a.address])
    assert joined.count == 0
    assert "server 'b' (id-b) is of region 'eu'; 'a' is of region 'global'" in joined.error
    assert a.entries() == [] and b.entries() == []


async def test_servers_of_two_clusters_refuse_each_other(world: World) -> None:
    a, b = [await world.start(name, expect=1) for name in "ab"]
    await a.bootstrap()
    await b.bootstrap()
    joined = await a.join([b.address])
    assert joined.count == 0 and "is of another cluster" in joined.error
    assert a.entries() == [] and b.entries() == []


async def test_joining_itself_is_harmless_and_joining_nobody_is_told_in_nomads_words(world: World) -> None:
    a = await world.start("a", expect=3)
    assert (await a.join([a.address])).count == 1
    assert a.entries() == []
    joined = await a.join(["127.0.0.1:1"])
    assert joined.count == 0
    assert joined.error == (
        "1 error occurred:\n\t* failed to join 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused\n\n"
    )
    assert (await a.join(["not an address"])).count == 0


async def test_retries_in_vain_come_to_an_end(world: World) -> None:
    exhausted = asyncio.Event()
    members = Members(
        Identity(id="id-a", name="a", expect=3, rpc_address="127.0.0.1:1"),
        "127.0.0.1",
        0,
        world.directory / "a",
        retry=Retry(addresses=("127.0.0.1:1",), attempts_max=2, hurried_s=0.01),
        on_retries_exhausted=exhausted.set,
        pace=PACE,
    )
    await members.start()
    world.running.append(members)
    await asyncio.wait_for(exhausted.wait(), 5)


async def test_a_peer_beyond_loopback_needs_certificates_and_an_address_alone_does_not(world: World) -> None:
    with pytest.raises(ConfigurationError, match=r"raftnomad tls ca create.*raftnomad tls cert create"):
        await world.start("a", expect=3, retry=Retry(addresses=("192.0.2.1",)))
    b = await world.start("b", expect=1, retry=Retry(addresses=("127.0.0.2", "localhost:4648")))
    await b.bootstrap()
    assert "raftnomad tls ca create" in (await b.join(["192.0.2.1"])).error


async def test_members_are_shown_as_nomad_shows_them(world: World) -> None:
    a = await world.start("a", expect=1)
    (row,) = a.server_members()
    assert (row.name, row.addr, row.status) == ("a.global", "127.0.0.1", "alive")
    assert row.tags is not None
    assert row.tags["port"] == "1" and row.tags["rpc_addr"] == "127.0.0.1" and row.tags["bootstrap"] == "1"
    assert (row.protocol_min, row.protocol_max, row.protocol_cur) == (1, 5, 2)


async def test_what_is_no_members_message_closes_the_connection(world: World) -> None:
    a = await world.start("a", expect=3)
    b = await world.start("b", expect=3)
    await a.join([b.address])
    host, _, port = a.address.rpartition(":")
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\4abcd", b"\xff\xff\xff\xff", b"\0\0\0\1\x80"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(garbage)
        with contextlib.suppress(ConnectionError):
            assert len(await asyncio.wait_for(reader.read(), 5)) < 200
        writer.close()
    await until(lambda: statuses(a) == {"b": Status.ALIVE})


async def test_five_servers_started_at_once_with_all_addresses_found_one_cluster(world: World) -> None:
    servers = [await world.start(name, expect=5) for name in "abcde"]
    addresses = [members.address for members in servers]
    await asyncio.gather(*(members.join(addresses) for members in servers))
    results = await asyncio.wait_for(asyncio.gather(*(members.bootstrap() for members in servers)), 15)
    assert len(set(results)) == 1
