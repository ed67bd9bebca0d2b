from __future__ import annotations

import pytest

from raftnomad.errors import BadRequest
from raftnomad.model import wire
from raftnomad.model.allocation import Allocation, TaskState
from raftnomad.model.job import Job
from raftnomad.model.node import DrainSpec
from raftnomad.model.row import Row
from raftnomad.model.submitted import Job as SubmittedJob


class JobRegisterRequest(Row, frozen=True, kw_only=True):
    job: SubmittedJob | None = None
    job_modify_index: int = 0


def read(text: str) -> JobRegisterRequest:
    return wire.decode(JobRegisterRequest, text.encode())


def refusal(text: str) -> str:
    with pytest.raises(BadRequest) as caught:
        read(text)
    return str(caught.value)


def test_keys_match_whatever_their_letters_case() -> None:
    assert read('{"job": {"id": "a", "TASKGROUPS": [{"nAmE": "g"}]}}').job.task_groups[0].name == "g"  # type: ignore


def test_unknown_keys_are_ignored() -> None:
    assert read('{"Job": {"ID": "a", "Colour": {"x": [1]}}, "Nope": null}').job == SubmittedJob(id="a")


def test_null_is_as_good_as_absent() -> None:
    assert wire.decode(Job, b'{"Priority": null, "Meta": null, "Name": null}') == Job()


def test_null_stays_different_from_zero_where_a_default_has_to_know() -> None:
    job = read('{"Job": {"Priority": 0, "Type": null}}').job
    assert job is not None
    assert (job.priority, job.type) == (0, None)


def test_null_among_objects_is_refused() -> None:
    assert refusal('{"Job": {"TaskGroups": [null]}}') == "Job.TaskGroups must not contain null"


def test_null_among_texts_is_an_empty_text() -> None:
    assert read('{"Job": {"Datacenters": ["dc1", null]}}').job.datacenters == ("dc1", "")  # type: ignore


@pytest.mark.parametrize("rest", [' {"Job": 1}', " rubbish", "}", "\n"])
def test_what_follows_the_first_value_is_ignored(rest: str) -> None:
    assert read('{"JobModifyIndex": 7}' + rest).job_modify_index == 7


def test_the_last_of_equal_keys_wins() -> None:
    assert read('{"JobModifyIndex": 1, "JobModifyIndex": 2}').job_modify_index == 2


def test_a_body_of_null_is_an_empty_object() -> None:
    assert read("null") == JobRegisterRequest()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Request body is empty"),
        (" \n", "EOF"),
        ('{"Job": {', "unexpected EOF"),
        ('{"Job": "a', "unexpected EOF"),
        ('{"Job": {"ID": "a",}}', "invalid character '}' looking for beginning of object key string"),
        ("{'Job': 1}", "invalid character '\\'' looking for beginning of object key string"),
        ('job "a" {}', "invalid character 'j' looking for beginning of value"),
        ("[]", "json: cannot unmarshal array into Go value of type api.JobRegisterRequest"),
        ('"a"', "json: cannot unmarshal string into Go value of type api.JobRegisterRequest"),
        ('{"Job": 5}', "json: cannot unmarshal number into Go struct field JobRegisterRequest.Job of type api.Job"),
        ('{"Job": {"ID": 5}}', "json: cannot unmarshal number into Go struct field Job.Job.ID of type string"),
        (
            '{"Job": {"Priority": "5"}}',
            "json: cannot unmarshal string into Go struct field Job.Job.Priority of type int",
        ),
        (
            '{"Job": {"Priority": 50.5}}',
            "json: cannot unmarshal number 50.5 into Go struct field Job.Job.Priority of type int",
        ),
        (
            '{"Job": {"Priority": 5e1}}',
            "json: cannot unmarshal number 5e1 into Go struct field Job.Job.Priority of type int",
        ),
        (
            '{"Job": {"Meta": {"a": 1}}}',
            "json: cannot unmarshal number into Go struct field Job.Job.Meta of type string",
        ),
        (
            '{"Job": {"Meta": []}}',
            "json: cannot unmarshal array into Go struct field Job.Job.Meta of type map[string]string",
        ),
        (
            '{"Job": {"TaskGroups": [{"ShutdownDelay": "5s"}]}}',
            "json: cannot unmarshal string into Go struct field "
            "TaskGroup.Job.TaskGroups.ShutdownDelay of type time.Duration",
        ),
    ],
)
def test_what_is_wrong_is_said_as_go_says_it(text: str, message: str) -> None:
    assert refusal(text) == message


def test_a_number_that_no_integer_holds_is_refused() -> None:
    assert "number 99999999999999999999" in refusal('{"JobModifyIndex": 99999999999999999999}')


@pytest.mark.parametrize("depth", [200, 5_000, 200_000])
def test_nesting_has_a_bound_wherever_it_is(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    config = '{"Job": {"TaskGroups": [{"Tasks": [{"Config": {"a": ' + nested + "}}]}]}}"
    assert refusal(config) == "exceeded max depth"
    assert refusal('{"Colour": ' + "[" * 200_000) == "exceeded max depth"


def test_bytes_are_base64() -> None:
    assert wire.decode(Job, b'{"Payload": "aGk="}').payload == b"hi"
    with pytest.raises(BadRequest, match="illegal base64 data"):
        wire.decode(Job, b'{"Payload": "a!"}')


def test_durations_are_nanoseconds() -> None:
    assert wire.decode(DrainSpec, b'{"Deadline": -1}') == DrainSpec(deadline_ns=-1)


def test_config_is_taken_as_it_is() -> None:
    job = read('{"Job": {"TaskGroups": [{"Tasks": [{"Config": {"a": [1, null, {"B": 1.5}]}}]}]}}').job
    assert job.task_groups[0].tasks[0].config == {"a": [1, None, {"B": 1.5}]}  # type: ignore


def test_what_was_encoded_is_read_back() -> None:
    job = Job(id="a/b", meta={"k": "<&>"}, payload=b"\x00\xff", submit_time_ns=5)
    assert wire.decode(Job, wire.encode(job)) == job


def test_html_is_not_escaped_and_zero_fields_of_allocations_are_left_out() -> None:
    assert wire.encode(Allocation(name="<a>")) == b'{"Name":"<a>"}'


def test_pretty_is_four_spaces_and_a_newline() -> None:
    assert wire.pretty(b'{"a":[1]}') == b'{\n    "a": [\n        1\n    ]\n}\n'


def test_half_of_a_surrogate_pair_becomes_a_replacement_character() -> None:
    assert wire.decode(Job, rb'{"Name": "a\ud800b", "ID": "\ud83d\ude00"}') == Job(name="a�b", id="😀")


def test_a_time_that_was_never_set_is_null() -> None:
    state = TaskState(state="running", started_at="2026-01-02T03:04:05Z")
    assert b'"LastRestart":null,"StartedAt":"2026-01-02T03:04:05Z","FinishedAt":null' in wire.encode([state])
    assert wire.decode(TaskState, wire.encode(state)) == state
