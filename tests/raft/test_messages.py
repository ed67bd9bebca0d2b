import random
from typing import Any

import pytest

from raftnomad.raft.messages import SHAPES, problem_of
from tests.raft.simulated_cluster import SimulatedCluster
from tests.raft.stories import append, elected, figure, simulate

SAMPLES: dict[type, Any] = {int: 1, bool: True, str: "x", bytes: b"x", list: []}


def a_message(kind: str) -> dict[str, Any]:
    return {"type": kind, **{name: SAMPLES[expected] for name, expected in SHAPES[kind].items()}}


@pytest.mark.parametrize("kind", SHAPES)
def test_a_message_of_the_right_shape_passes(kind: str) -> None:
    assert problem_of(a_message(kind)) == ""


@pytest.mark.parametrize("kind", SHAPES)
def test_a_missing_a_strange_and_a_wrong_field_are_refused(kind: str) -> None:
    for name, expected in SHAPES[kind].items():
        whole = a_message(kind)
        assert problem_of({key: value for key, value in whole.items() if key != name})
        for other, value in SAMPLES.items():
            if other is not expected:
                assert problem_of({**whole, name: value}), (name, value)
    assert problem_of({**a_message(kind), "more": 1})


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": 7},
        {"type": ["x"]},
        {"type": "apply_command", "command": b""},
        {"type": "status"},
        {**append(1, (1, 0), [(2, 1)], 1), "serialized": None},
        append(1, (1, 0), [(3, 1)], 1),
        append(1, (1, 0), [(2, 1), (2, 1)], 1),
        {**append(1, (1, 0), [], 1), "entries": [[b"", 2, 1]]},
        {**append(1, (1, 0), [], 1), "entries": [["x", 2, 1]]},
        {**append(1, (1, 0), [], 1), "term": 1 << 63},
        {**append(1, (1, 0), [], 1), "term": True},
        {"type": "forward", "id": 1, "proposals": ["x"]},
        {"type": "change", "id": 1, "adds": ["a", "b", "c", 1], "removes": ""},
    ],
)
def test_what_no_server_says_is_refused(message: dict[str, Any]) -> None:
    assert problem_of(message)


def test_ten_thousand_strange_messages_stop_nobody_and_change_no_leader() -> None:
    async def story(cluster: SimulatedCluster) -> None:
        leader = await elected(cluster)
        term = figure(leader, "term")
        chance = random.Random(1)
        values = [None, -1, 1 << 70, "x", b"\x80\x04cos\nsystem\n", [], {}, True, 1.5, [[b"x", 1, 1]]]
        for number in range(10_000):
            message = a_message(chance.choice(list(SHAPES)))
            message[chance.choice(list(message))] = chance.choice(values)
            if problem_of(message):
                for server in cluster.live():
                    assert server.node is not None
                    server.node.on_message(chance.choice(list(cluster.servers)), message)
            if number % 1000 == 0:
                await cluster.until(lambda: False, 0.1)
        assert cluster.leader() is leader
        assert figure(leader, "term") == term

    simulate(story)
