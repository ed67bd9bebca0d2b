import json

import pytest

from raftnomad.cli.formatted import formatted, one_format
from raftnomad.errors import RaftnomadError

A_NODE = {"Name": "one", "DrainStrategy": {"Deadline": 5_400_000_000_000}, "Events": [{"Message": "Node registered"}]}


def test_both_formats_at_once_are_refused_before_anything_is_asked():
    one_format(json=True, template="")
    with pytest.raises(RaftnomadError, match=r"^Both json and template formatting are not allowed$"):
        one_format(json=True, template="{{ . }}")


def test_json_has_the_fields_that_were_left_out_and_sorted_keys():
    node = json.loads(formatted(A_NODE, None, "Node"))
    assert node["SchedulingEligibility"] == ""
    assert node["Events"][0] == {
        "CreateIndex": 0,
        "Details": None,
        "Message": "Node registered",
        "Subsystem": "",
        "Timestamp": None,
    }
    assert list(node) == sorted(node)


def test_json_has_no_fields_that_clients_of_nomad_do_not_know():
    assert "SecretID" not in json.loads(formatted({**A_NODE, "SecretID": "x"}, None, "Node"))


def test_a_job_looks_as_users_hand_it_in():
    (job,) = json.loads(formatted([{"ID": "web", "Stop": False}], None, "Job"))
    assert job["Migrate"] is None and job["Priority"] is None and job["Stop"] is False


def test_a_field_that_is_left_out_when_empty_stays_out():
    (stub,) = json.loads(formatted([{"ID": "a", "NodeResources": None}], None, "NodeListStub"))
    assert "NodeResources" not in stub


def test_what_has_no_known_shape_is_printed_as_it_is():
    assert json.loads(formatted({"B": 1, "A": [2]}, None)) == {"A": [2], "B": 1}
