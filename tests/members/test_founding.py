"""The decisions alone, step by step, and then many servers in a random world."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest

from raftnomad.members.founding import Seen, decide
from raftnomad.members.record import Identity, Proposal, Record, Stage, member_of
from raftnomad.members.standing import Standing


def an_identity(name: str, expect: int = 3) -> Identity:
    return Identity(
        id=name, name=name, expect=expect, rpc_address=f"127.0.0.1:{ord(name[0])}", serf_address="127.0.0.1:1"
    )


def a_proposal(members: str, cluster_id: str = "x") -> Proposal:
    return Proposal(
        cluster_id=cluster_id,
        proposer=members[0],
        members=tuple(member_of(an_identity(name)) for name in members),
    )


def seen(name: str, alive: bool = True, expect: int = 3, **fields: object) -> Seen:
    record = Record(identity=an_identity(name, expect), version=1)
    return Seen(record=replace(record, **fields), alive=alive)  # type: ignore[arg-type]


def step(name: str, standing: Standing, *others: Seen, expect: int = 3) -> tuple[Standing, str]:
    decision = decide(an_identity(name, expect), standing, others, "fresh")
    return decision.standing, decision.waiting_for


EMPTY = Standing()


def test_the_lowest_of_exactly_the_expected_servers_proposes() -> None:
    standing, _ = step("a", EMPTY, seen("b"), seen("c"))
    assert standing.stage == Stage.PROPOSING
    assert standing.proposal is not None and standing.proposal.cluster_id == "fresh"
    assert [member.id for member in standing.proposal.members] == ["a", "b", "c"]


def test_the_others_wait_for_the_lowest() -> None:
    assert step("b", EMPTY, seen("a"), seen("c")) == (EMPTY, "'a' to propose a cluster")


def test_too_few_wait() -> None:
    standing, waiting_for = step("a", EMPTY, seen("b"), seen("c", alive=False))
    assert standing is EMPTY
    assert waiting_for == "3 servers without a cluster; there are 2: a, b"


def test_one_expected_server_founds_alone() -> None:
    proposing, _ = step("a", EMPTY, expect=1)
    founded, _ = step("a", proposing, expect=1)
    assert founded.stage == Stage.FOUNDED
    assert [member.id for member in founded.members] == ["a"]


def test_a_server_without_bootstrap_expect_never_founds() -> None:
    standing, waiting_for = step("a", EMPTY, seen("b"), seen("c"), expect=0)
    assert standing is EMPTY and "bootstrap_expect is not set" in waiting_for


def test_servers_that_expect_different_numbers_found_nothing() -> None:
    standing, waiting_for = step("a", EMPTY, seen("b"), seen("c"), seen("d", expect=5))
    assert standing is EMPTY
    assert waiting_for == "all servers to have the same bootstrap_expect: 'a' has 3, 'd' has 5"


def test_a_proposal_is_promised_to() -> None:
    offer = seen("a", stage=Stage.PROPOSING, proposal=a_proposal("abc"), version=7)
    standing, _ = step("b", EMPTY, offer, seen("c"))
    assert standing.stage == Stage.PROMISED
    assert standing.proposal == a_proposal("abc") and standing.promised_version == 7


def test_a_proposal_of_others_is_not_promised_to() -> None:
    offer = seen("a", stage=Stage.PROPOSING, proposal=a_proposal("ace"))
    assert step("b", EMPTY, offer, seen("c"))[0] is EMPTY


def test_a_second_proposal_is_not_promised_to() -> None:
    promised = Standing(stage=Stage.PROMISED, proposal=a_proposal("bcd"), promised_version=1)
    mine = seen("b", stage=Stage.PROPOSING, proposal=a_proposal("bcd"))
    other = seen("a", stage=Stage.PROPOSING, proposal=a_proposal("acd", "y"))
    assert step("c", promised, other, mine) == (promised, "'b' to decide")


PROPOSING = Standing(stage=Stage.PROPOSING, proposal=a_proposal("abc"))


def promise(name: str, cluster_id: str = "x", **fields: object) -> Seen:
    return seen(name, stage=Stage.PROMISED, proposal=a_proposal("abc", cluster_id), **fields)  # type: ignore[arg-type]


def test_the_proposer_decides_when_it_has_every_promise_even_of_one_that_is_away() -> None:
    assert step("a", PROPOSING, promise("b"), seen("c")) == (PROPOSING, "the promise of c")
    standing, _ = step("a", PROPOSING, promise("b"), promise("c", alive=False))
    assert standing.stage == Stage.FOUNDED and standing.cluster_id == "x"


def test_a_promise_to_another_proposal_does_not_count() -> None:
    assert step("a", PROPOSING, promise("b"), promise("c", "y"))[0] is PROPOSING


def test_a_proposer_gives_up_when_one_goes_away_without_a_promise() -> None:
    assert step("a", PROPOSING, promise("b"), seen("c", alive=False))[0].stage == Stage.EMPTY
    assert step("a", PROPOSING, promise("b"))[0].stage == Stage.EMPTY


def test_of_two_proposers_the_higher_gives_up() -> None:
    lower = seen("a", stage=Stage.PROPOSING, proposal=a_proposal("abd", "y"))
    standing = Standing(stage=Stage.PROPOSING, proposal=a_proposal("bcd"))
    assert step("b", standing, lower, seen("c"), seen("d"))[0].stage == Stage.EMPTY
    higher = seen("b", stage=Stage.PROPOSING, proposal=a_proposal("bcd", "y"))
    assert step("a", PROPOSING, higher, seen("c"))[0] is PROPOSING


PROMISED = Standing(stage=Stage.PROMISED, proposal=a_proposal("abc"), promised_version=5)


def test_a_promise_is_kept_until_the_proposers_own_later_word() -> None:
    stale = seen("a", version=4)
    assert step("b", PROMISED, stale)[0] is PROMISED
    later = seen("a", version=6, stage=Stage.PROPOSING, proposal=a_proposal("abc"))
    assert step("b", PROMISED, later)[0] is PROMISED
    assert step("b", PROMISED, seen("a", version=6))[0].stage == Stage.EMPTY
    another = seen("a", version=6, stage=Stage.PROPOSING, proposal=a_proposal("abd", "y"))
    assert step("b", PROMISED, another)[0].stage == Stage.EMPTY


def test_a_promise_becomes_a_cluster_by_the_word_of_any_founder() -> None:
    founded = seen("c", stage=Stage.FOUNDED, proposal=a_proposal("abc"), cluster_id="x")
    standing, _ = step("b", PROMISED, founded)
    assert standing.stage == Stage.FOUNDED and [member.id for member in standing.members] == ["a", "b", "c"]


def test_a_promised_server_whose_proposer_is_away_says_what_can_be_done() -> None:
    standing, waiting_for = step("b", PROMISED, seen("a", alive=False, version=5))
    assert standing is PROMISED
    assert "'a', which proposed the cluster and is away" in waiting_for and "standing.json" in waiting_for


CLUSTER = {"cluster_id": "z", "cluster_members": (member_of(an_identity("y")), member_of(an_identity("z")))}


def test_an_empty_server_joins_the_cluster_in_sight_with_its_newest_members() -> None:
    older = seen("y", **CLUSTER | {"cluster_index": 1})  # type: ignore[arg-type]
    newer = seen("z", cluster_id="z", cluster_members=(member_of(an_identity("z")),), cluster_index=2)
    standing, _ = step("a", EMPTY, older, newer, seen("b"), seen("c"))
    assert standing.stage == Stage.JOINED and standing.cluster_id == "z"
    assert [member.id for member in standing.members] == ["z"]


def test_two_clusters_in_sight_are_for_a_person_to_sort_out() -> None:
    standing, waiting_for = step("a", EMPTY, seen("y", **CLUSTER), seen("z", cluster_id="w"))  # type: ignore[arg-type]
    assert standing is EMPTY and "there are several clusters to join: w (server 'z'" in waiting_for


def test_a_proposer_gives_up_for_a_cluster_in_sight() -> None:
    assert step("a", PROPOSING, seen("y", **CLUSTER), promise("b"), promise("c"))[0].stage == Stage.EMPTY  # type: ignore[arg-type]


@pytest.mark.parametrize("stage", [Stage.FOUNDED, Stage.JOINED])
def test_a_server_of_a_cluster_takes_no_part_any_more(stage: Stage) -> None:
    standing = Standing(stage=stage, cluster_id="x")
    offer = seen("a", stage=Stage.PROPOSING, proposal=a_proposal("abc"))
    assert step("b", standing, offer, seen("y", **CLUSTER))[0] is standing  # type: ignore[arg-type]


# Many servers in a world where everything goes wrong but disks.


@dataclass
class SimulatedServer:
    name: str
    expect: int
    durable: Standing = field(default_factory=Standing)
    running: bool = False
    record: Record | None = None
    known: dict[str, Record] = field(default_factory=dict)
    alive: set[str] = field(default_factory=set)

    def speak(self, standing: Standing) -> None:
        self.durable = replace(standing, version=standing.version + 1)
        self.record = Record(
            identity=an_identity(self.name, self.expect),
            version=self.durable.version,
            stage=self.durable.stage,
            proposal=self.durable.proposal,
            cluster_id=self.durable.cluster_id,
            cluster_members=self.durable.members,
        )

    def start(self) -> None:
        self.running, self.known, self.alive = True, {}, set()
        self.speak(self.durable)

    def hear(self, sender: str, records: Iterable[Record]) -> None:
        self.alive.add(sender)
        for record in records:
            known = self.known.get(record.id)
            if record.id != self.name and (known is None or record.newer_than(known)):
                self.known[record.id] = record

    def decide(self, chance: random.Random) -> None:
        others = [Seen(record=record, alive=record.id in self.alive) for record in self.known.values()]
        fresh_id = f"{self.name}-{chance.getrandbits(64):x}"
        standing = decide(an_identity(self.name, self.expect), self.durable, others, fresh_id).standing
        if standing is not self.durable:
            self.speak(standing)


def live_through(chance: random.Random, count: int, expect: int, steps: int) -> list[SimulatedServer]:
    """Old messages, one-way contact, wrong beliefs about who is alive, crashes; and in the end all of them well."""
    servers = [SimulatedServer(name, expect) for name in "abcdefgh"[:count]]
    in_flight: list[tuple[SimulatedServer, str, list[Record]]] = []
    for number in range(steps + 40 * count):
        calm = number >= steps
        server = servers[number % count] if calm else chance.choice(servers)
        if not server.running:
            server.start()
        assert server.record is not None
        if calm or chance.random() < 0.5:
            words = [server.record, *server.known.values()]
            in_flight += [(other, server.name, words) for other in servers if other is not server]
        if calm:
            server.alive = {other.name for other in servers if other.running and other.name != server.name}
            for other, sender, words in in_flight:
                if other.running:
                    other.hear(sender, words)
            in_flight = []
            server.decide(chance)
            continue
        for _ in range(chance.randrange(3)):
            if in_flight:
                # A message may come late, twice, or never; the sender may have gone or started again meanwhile.
                other, sender, words = in_flight[chance.randrange(len(in_flight))]
                if other.running:
                    other.hear(sender, words)
                if chance.random() < 0.5:
                    in_flight.remove((other, sender, words))
        if chance.random() < 0.1:
            server.alive.discard(chance.choice(servers).name)
        if chance.random() < 0.7:
            server.decide(chance)
        if chance.random() < 0.05:
            server.running = False
    return servers


@pytest.mark.parametrize(("count", "expect"), [(3, 3), (5, 5), (5, 3), (4, 3), (2, 2)])
def test_no_seed_makes_two_clusters_and_all_servers_find_the_one(count: int, expect: int) -> None:
    for seed in range(150):
        servers = live_through(random.Random(seed), count, expect, steps=chance_of_steps(seed))
        founded = {server.durable.cluster_id for server in servers if server.durable.stage == Stage.FOUNDED}
        assert len(founded) == 1, f"seed {seed}"
        members = {server.durable.members for server in servers if server.durable.stage == Stage.FOUNDED}
        assert len(members) == 1, f"seed {seed}"
        assert {server.name for server in servers if server.durable.stage == Stage.FOUNDED} == {
            member.id for member in members.pop()
        }, f"seed {seed}"
        assert {server.durable.cluster_id for server in servers} == founded, f"seed {seed}"


def chance_of_steps(seed: int) -> int:
    return 20 + seed % 180
