import datetime

from raftnomad.cli.job_children import from_now, next_launch, parent_sections

HOUR_NS = 3_600_000_000_000


def test_a_moment_to_come_is_told_with_how_far_off_it_is():
    moment = datetime.datetime(2026, 11, 25, 3, 0, tzinfo=datetime.UTC)
    now_ns = int(moment.timestamp()) * 1_000_000_000 - 22 * HOUR_NS - 90 * 1_000_000_000
    assert from_now(moment, now_ns).endswith(" (22h1m30s from now)")


def test_the_next_launch_is_told_even_if_launches_are_disabled():
    assert next_launch({"Enabled": False, "Specs": ["0 3 * * *"]}).endswith(" from now)")
    assert next_launch({"Enabled": True, "Spec": "0 0 1 1 * 1990", "Specs": None}) == ""


def test_a_periodic_job_lists_what_it_launched_and_nothing_else():
    job = {"ID": "nightly", "Periodic": {}, "ParameterizedJob": None}
    stubs = [
        {"ID": "nightly/periodic-1", "ParentID": "nightly", "Status": "dead"},
        {"ID": "nightly/other", "ParentID": "", "Status": "running"},
    ]
    assert parent_sections(job, {"Children": {"Dead": 1}}, stubs) == [
        "Children Job Summary\nPending  Running  Dead\n0        0        1",
        "Previously Launched Jobs\nID                  Status\nnightly/periodic-1  dead",
    ]


def test_a_parameterized_job_says_what_it_takes():
    job = {"ID": "resize", "Periodic": None, "ParameterizedJob": {"Payload": "", "MetaRequired": ["size", "name"]}}
    parameters, _, none = parent_sections(job, {}, [])
    assert parameters.splitlines()[1:] == [
        "Payload           = optional",
        "Required Metadata = size, name",
        "Optional Metadata = <none>",
    ]
    assert none == "No dispatched instances of parameterized job found"
