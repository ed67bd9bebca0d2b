import pytest

from raftnomad.cli.namespace import _from_hcl
from raftnomad.cli.specification import parse_hcl, parse_json, read_text
from raftnomad.errors import RaftnomadError


def test_a_namespace_file_becomes_what_the_api_takes():
    text = """
    name   = "apps"
    colour = "red"
    meta {
      big = true
    }
    capabilities {
      enabled_task_drivers = ["docker"]
    }
    """
    namespace = _from_hcl(parse_hcl(text))
    assert namespace["Name"] == "apps"
    assert namespace["Meta"] == {"big": "1"}
    assert namespace["Capabilities"]["EnabledTaskDrivers"] == ["docker"]
    assert "colour" not in namespace


def test_a_file_that_is_no_json_object_is_refused():
    for text in ("[]", "{"):
        with pytest.raises(RaftnomadError, match="Failed to parse input content"):
            parse_json(text)


def test_a_missing_file_is_told_as_go_tells_it():
    with pytest.raises(RaftnomadError) as raised:
        read_text("/nothing/here.hcl")
    assert str(raised.value) == (
        'Failed to read file "/nothing/here.hcl": open /nothing/here.hcl: no such file or directory'
    )
