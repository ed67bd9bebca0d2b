# ruff: noqa: E501 - messages stand whole, as they are printed
from typing import Any

import pytest

from raftnomad.model.defaults import canonicalize
from raftnomad.model.validation import multierror, multiwarning, validate, warnings

SECOND = 1_000_000_000


def a_submission(task: dict[str, Any] | None = None, group: dict[str, Any] | None = None, **job: Any) -> dict[str, Any]:
    tasks = [{"Name": "t", "Driver": "mock_driver", **(task or {})}]
    return {"ID": "a", "TaskGroups": [{"Name": "g", "Tasks": tasks, **(group or {})}], **job}


def in_group(*errors: str) -> list[str]:
    return [f"Task group g validation failed: {multierror(errors)}"]


def in_task(*errors: str) -> list[str]:
    return in_group(f"Task t validation failed: {multierror(errors)}")


def test_a_plain_job_is_fine() -> None:
    assert validate(canonicalize(a_submission())) == []


@pytest.mark.parametrize(
    ("submission", "errors"),
    [
        (a_submission(TaskGroups=[]), ["Missing job task groups"]),
        (a_submission(ID="a b"), ["Job ID contains a space"]),
        (a_submission(Type="cron"), ['Invalid job type: "cron"']),
        (a_submission(Type="_core"), ["job type cannot be core"]),
        (a_submission(Priority=101), ["job priority must be between [1, 100]"]),
        (a_submission(Datacenters=[""]), ["Job datacenter must be non-empty string"]),
        (a_submission(group={"Count": -1}), in_group("Task group count can't be negative")),
        (a_submission(group={"Count": 50_001}), ["total count was greater than configured job_max_count: 50001 > 50000"]),
        (a_submission(group={"Tasks": []}), in_group("Missing tasks for task group")),
        (a_submission(task={"Driver": ""}), in_task("Missing task driver")),
        (a_submission(task={"Name": "alloc"}), in_group("Task alloc validation failed: " + multierror(['Task cannot be named "alloc"']))),
        (a_submission(task={"KillTimeout": -1}), in_task("KillTimeout must be a positive value")),
        (a_submission(Type="system", group={"Count": 2}), ["Job task group g has count 2. Count cannot exceed 1 with system scheduler"]),
        (a_submission(Type="system", Affinities=[{"LTarget": "x", "RTarget": "y", "Operand": "=", "Weight": 5}]), ["System jobs may not have an affinity block"]),
        (a_submission(Type="batch", group={"Update": {"MaxParallel": 1}}), in_group('Job type "batch" does not allow update block')),
        (a_submission(Periodic={"Spec": "@daily"}), ['Periodic can only be used with "batch" or "sysbatch" scheduler']),
        (a_submission(Type="batch", Periodic={"Specs": ["nope"]}), ['Invalid cron spec "nope": missing field(s)']),
        (a_submission(Type="batch", Periodic={"Specs": ["@daily"], "TimeZone": "Mars/Base"}), ['Invalid time zone "Mars/Base": unknown time zone Mars/Base']),
        (a_submission(task={"Vault": {}}), ['Vault "default" not enabled but used in the job']),
    ],
)  # fmt: skip
def test_a_job_is_refused_in_nomads_words(submission: dict[str, Any], errors: list[str]) -> None:
    assert validate(canonicalize(submission)) == errors


@pytest.mark.parametrize(
    ("constraint", "errors"),
    [
        ({"LTarget": "a", "Operand": "~", "RTarget": "x"}, ['Unknown constraint type "~"']),
        ({"LTarget": "a", "Operand": "regexp", "RTarget": "("}, ["Regular expression failed to compile: error parsing regexp: missing closing ): `(`"]),
        ({"LTarget": "a", "Operand": "version", "RTarget": ">= x.y"}, ["Version constraint is invalid: malformed constraint: >= x.y"]),
        ({"LTarget": "a", "Operand": "semver", "RTarget": "> 1..2"}, ["Semver constraint is invalid: Malformed constraint: > 1..2"]),
        ({"LTarget": "a", "Operand": "<", "RTarget": ""}, ['Operator "<" requires an RTarget']),
        ({"LTarget": "", "Operand": "=", "RTarget": "x"}, ["no attribute provided but is required by operator"]),
        ({"LTarget": "a", "Operand": "is_set", "RTarget": "x"}, ['Operator "is_set" does not support an RTarget']),
        ({"LTarget": "a", "Operand": "distinct_property", "RTarget": "0"}, ["Distinct Property must have an allowed count of 1 or greater: 0 < 1"]),
    ],
)  # fmt: skip
def test_a_constraint_is_refused(constraint: dict[str, Any], errors: list[str]) -> None:
    found = validate(canonicalize(a_submission(Constraints=[constraint])))
    assert found == [f"Constraint 1 validation failed: {multierror(errors)}"]


@pytest.mark.parametrize("operand", ["=", "!=", ">=", "regexp", "version", "semver", "set_contains_any"])
def test_a_good_constraint_passes(operand: str) -> None:
    constraint = {"LTarget": "${attr.nomad.version}", "Operand": operand, "RTarget": "1.2.3"}
    assert validate(canonicalize(a_submission(Constraints=[constraint]))) == []


@pytest.mark.parametrize(
    ("policy", "errors"),
    [
        ({"Attempts": 20, "Interval": 60 * SECOND, "Delay": 10 * SECOND, "DelayFunction": "constant", "Unlimited": False}, ['Nomad can only make 6 attempts in 1m0s with initial delay 10s and delay function "constant"', "Set the interval to at least 3m20s to accommodate 20 attempts"]),
        ({"Attempts": 10, "Interval": 300 * SECOND, "Delay": 10 * SECOND, "MaxDelay": 100 * SECOND, "DelayFunction": "exponential", "Unlimited": False}, ['Nomad can only make 6 attempts in 5m0s with initial delay 10s, delay function "exponential", and delay ceiling 1m40s', "Set the interval to at least 11m20s to accommodate 10 attempts"]),
        ({"Attempts": 10, "Interval": 300 * SECOND, "Delay": 10 * SECOND, "MaxDelay": 100 * SECOND, "DelayFunction": "fibonacci", "Unlimited": False}, ['Nomad can only make 9 attempts in 5m0s with initial delay 10s, delay function "fibonacci", and delay ceiling 1m40s', "Set the interval to at least 6m40s to accommodate 10 attempts"]),
        ({"Attempts": 0, "Delay": SECOND, "DelayFunction": "constant", "Unlimited": True}, ["Delay cannot be less than 5s (got 1s)"]),
    ],
)  # fmt: skip
def test_a_reschedule_policy_must_be_possible(policy: dict[str, Any], errors: list[str]) -> None:
    assert validate(canonicalize(a_submission(group={"ReschedulePolicy": policy}))) == in_group(*errors)


@pytest.mark.parametrize(
    ("group", "errors"),
    [
        ({"Networks": [{"DynamicPorts": [{"Label": "a"}, {"Label": "a"}]}]}, "Port label a already in use by taskgroup network"),
        ({"Networks": [{"ReservedPorts": [{"Label": "a", "Value": 80}, {"Label": "b", "Value": 80}]}]}, "Static port 80 already reserved by taskgroup network:a"),
        ({"Networks": [{"ReservedPorts": [{"Label": "a", "Value": 70000}]}]}, "Port a (70000) cannot be greater than 65535"),
    ],
)  # fmt: skip
def test_ports_must_be_distinct_and_possible(group: dict[str, Any], errors: str) -> None:
    found = validate(canonicalize(a_submission(group=group)))
    assert found == in_group(f"Task group network validation failed: {multierror([errors])}")


def test_errors_of_resources_nest() -> None:
    found = validate(canonicalize(a_submission(task={"Resources": {"CPU": -5, "MemoryMB": 1}})))
    least = multierror(["minimum CPU value is 1; got -5", "minimum MemoryMB value is 10; got 1"])
    assert found == in_task(multierror([least]))


def test_files_stay_inside_of_the_allocation() -> None:
    found = validate(canonicalize(a_submission(task={"Templates": [{"EmbeddedTmpl": "x", "DestPath": "../../../x"}]})))
    assert found == in_task(f"Template 1 validation failed: {multierror(['destination escapes allocation directory'])}")
    assert not validate(
        canonicalize(a_submission(task={"Templates": [{"EmbeddedTmpl": "x", "DestPath": "../alloc/x"}]}))
    )


def test_what_is_odd_is_told() -> None:
    service = {"Name": "s", "Provider": "nomad", "PortLabel": "1"}
    job = canonicalize(a_submission(group={"Services": [service]}, task={"Resources": {"MemoryMaxMB": 500}}))
    assert validate(job) == []
    assert multiwarning(warnings(job)) == (
        "2 warnings:\n\n"
        '* group "g" defines services, but neither the group nor any of its tasks have shutdown_delay set\n'
        '* Memory oversubscription is not enabled; Task "g.t" memory_max value will be ignored. Update the Scheduler '
        "Configuration to allow oversubscription."
    )
    assert len(warnings(job, memory_oversubscription=True)) == 1
