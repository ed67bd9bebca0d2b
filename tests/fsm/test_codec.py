from __future__ import annotations

import msgspec
import pytest

from raftnomad.errors import BadRequest, TooLarge
from raftnomad.fsm import commands
from raftnomad.fsm.codec import FORMAT, Proposal, UnknownCommand, decode, encode
from raftnomad.fsm.commands import KINDS, ApplyPlan, DeregisterJob, RegisterJob, RegisterNode
from raftnomad.fsm.machine import APPLY
from tests.makers import a_block, a_deployment, a_job, a_node, a_plan, an_evaluation, an_id


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
def test_every_kind_of_command_survives_the_log(kind: type[commands.Command]) -> None:
    proposal = Proposal(kind(), "proposer", 7, 1_800_000_000_000_000_000)
    assert decode(encode(proposal)) == proposal


def test_every_kind_of_command_can_be_applied() -> None:
    assert set(APPLY) == set(KINDS.values())


@pytest.mark.parametrize(
    "command",
    [
        RegisterJob(job=a_job(count=3, payload=b"\x00\xff", meta={"a": "ü"}), evaluation=an_evaluation()),
        RegisterNode(node=a_node()),
        ApplyPlan(
            plan=a_plan(
                a_job(),
                (a_block([an_id(1)], [an_id(1, "node")], previous={0: an_id(2)}),),
                deployment=a_deployment(),
            )
        ),
    ],
    ids=lambda command: type(command).__name__,
)
def test_a_command_comes_back_whole(command: commands.Command) -> None:
    assert decode(encode(Proposal(command))).command == command


def test_an_unknown_kind_stops_the_server() -> None:
    raw = msgspec.msgpack.encode((FORMAT, 999, "p", 1, 0, ()))
    with pytest.raises(UnknownCommand, match="kind 999"):
        decode(raw)


def test_a_newer_format_stops_the_server() -> None:
    with pytest.raises(UnknownCommand, match=f"format {FORMAT + 1}"):
        decode(msgspec.msgpack.encode((FORMAT + 1, 3, "p", 1, 0, ())))


def test_damaged_bytes_stop_the_server() -> None:
    raw = encode(Proposal(RegisterJob(job=a_job())))
    for damaged in (b"", raw[:-3], b"\xc1" + raw[1:], raw[: len(raw) // 2]):
        with pytest.raises(UnknownCommand):
            decode(damaged)


def test_a_command_of_before_a_field_was_appended_gets_its_default() -> None:
    raw = msgspec.msgpack.encode((FORMAT, 3, "p", 1, 5, ("ns", "web")))
    assert decode(raw) == Proposal(DeregisterJob(namespace="ns", job_id="web"), "p", 1, 5)


def test_what_the_log_cannot_hold_is_refused_before_it_is_proposed() -> None:
    with pytest.raises(BadRequest, match="RegisterJob"):
        encode(Proposal(RegisterJob(job=a_job(priority=2**70))))
    with pytest.raises(BadRequest, match="RegisterJob"):
        encode(Proposal(RegisterJob(job=a_job(name="\ud800"))))
    with pytest.raises(TooLarge):
        encode(Proposal(RegisterJob(job=a_job(payload=b"x" * 5_000_000))))
