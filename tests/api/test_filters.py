from __future__ import annotations

import time
from typing import Any

import pytest

from raftnomad.api.filters import Filter, pattern
from raftnomad.errors import BadRequest
from raftnomad.model.allocation import Allocation, AllocDeploymentStatus, TaskState
from raftnomad.model.job import Job, TaskGroup

JOB = Job(
    id="web-1",
    type="service",
    priority=50,
    datacenters=("dc1", "dc2"),
    meta={"tier": "front", "a.b": "dotted"},
    task_groups=(TaskGroup(name="app", count=2), TaskGroup(name="db")),
    version=3,
)


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ('ID == "web-1"', True),
        ("ID == `web-1`", True),
        ('ID=="web-1"', True),
        ("Type == batch", False),
        ("Type != batch", True),
        ("Priority == 50", True),
        ('Priority == "50"', True),
        ("Stop == false", True),
        ('"dc2" in Datacenters', True),
        ('"dc3" not in Datacenters', True),
        ('Datacenters contains "dc1"', True),
        ('Datacenters not contains "dc1"', False),
        ('"tier" in Meta', True),
        ("Meta.tier == front", True),
        ('Meta["a.b"] == "dotted"', True),
        ("Meta.nope == x", False),
        ("Meta.nope != x", True),
        ('"eb" in ID', True),
        ('ID contains "b-"', True),
        ("Meta is empty", False),
        ("Constraints is empty", True),
        ("Constraints is nil", True),
        ("Meta is not nil", True),
        ("Name is not empty", False),
        ("TaskGroups.0.Name == app", True),
        ("TaskGroups.1.Count == 0", True),
        ('ID matches "^web-[0-9]+$"', True),
        ('ID not matches "^db"', True),
        ("not ID == other", True),
        ("not not ID == other", False),
        ("ID == other or Type == service and Version == 3", True),
        ("(ID == other or Type == service) and Version == 4", False),
        ('"/Meta/tier" == "front"', True),
    ],
)
def test_an_expression_decides_on_a_job(expression: str, holds: bool) -> None:
    assert Filter(expression, Job)(JOB) is holds


def test_it_reads_structs_in_maps_and_behind_pointers() -> None:
    alloc = Allocation(
        job=JOB,
        task_states={"t": TaskState(state="dead", failed=True, restarts=2)},
        deployment_status=AllocDeploymentStatus(healthy=True),
    )
    for expression in (
        "Job.Type == service",
        "TaskStates.t.Failed == true",
        'TaskStates["t"].Restarts == 2',
        "DeploymentStatus.Healthy == true",
    ):
        assert Filter(expression, Allocation)(alloc), expression


@pytest.mark.parametrize(
    ("expression", "row", "message"),
    [
        ("Color == x", JOB, '/Color at part 0: couldn\'t find key: struct field with name "Color"'),
        ("id == x", JOB, 'struct field with name "id"'),
        ("Priority == high", JOB, 'strconv.ParseInt: parsing "high": invalid syntax'),
        ("ModifyIndex == x", JOB, 'strconv.ParseUint: parsing "x": invalid syntax'),
        ("Stop == maybe", JOB, 'strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("Periodic is empty", JOB, 'cannot perform is-empty operations on type invalid for selector: "Periodic"'),
        ("Periodic.Enabled == true", JOB, "/Periodic/Enabled: at part 1, invalid value kind: invalid"),
        ("TaskGroups.7.Name == x", JOB, "index 7 is out of range"),
        ('ID matches "("', JOB, "error parsing regexp: missing closing ): `(`"),
        ('ID matches "[a"', JOB, "error parsing regexp: missing closing ]: `[a`"),
        ("TaskStates.t.Failed == true", Allocation(), 'couldn\'t find key "t"'),
    ],
)
def test_what_does_not_fit_the_row_is_refused(expression: str, row: Any, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Filter(expression, type(row))(row)
    assert str(caught.value).startswith("failed to read result page: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("ID ==", r'1:6 (5): no match found, expected: "-", "0", "\"", "`", [ \t\r\n], [1-9] or [a-zA-Z]'),
        ("JobID", r'1:6 (5): no match found, expected: "!=", ".", "==", "[", [ \t\r\n] or [a-zA-Z0-9_/]'),
        ('ID == "a" AND x == y', r'1:11 (10): no match found, expected: "and", "or", [ \t\r\n] or EOF'),
        (
            'ID > "a"',
            r'1:4 (3): no match found, expected: "!=", "==", "contains", "in", "is", "matches", "not" or [ \t\r\n]',
        ),
        ('JobID == "web', '1:14 (13): rule "string": Unterminated string literal'),
        ("Type is batch", r'1:9 (8): no match found, expected: "empty", "nil", "not" or [ \t\r\n]'),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(expression: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Filter(expression, Job)
    assert str(caught.value) == f"failed to create result paginator: failed to read filter expression: {message}"


def test_expressions_have_a_bound() -> None:
    for expression in (
        "(" * 5_000 + "ID == a" + ")" * 5_000,
        "(" * 500 + "ID == a" + ")" * 500,
        "not " * 1_000 + "a == b",
    ):
        with pytest.raises(BadRequest):
            Filter(expression, Job)(JOB)


@pytest.mark.parametrize("expression", ["(a+)+$", "(a|a)*b", "(.*a){12}b", "a*a*a*a*a*a*a*a*b", "(x?){30}x{30}"])
def test_no_pattern_keeps_the_server_busy(expression: str) -> None:
    start = time.monotonic()
    assert pattern(expression)("a" * 2_000 + "!") in (True, False)
    assert time.monotonic() - start < 5  # Backtracking would take longer than the universe has lasted.
