import pytest

from raftnomad.cli.operator_api import _curl, _header, _target
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, ClientSettings


@pytest.mark.parametrize(
    ("argument", "filter_text", "expected"),
    [
        ("/v1/jobs", "", "/v1/jobs"),
        ("v1/jobs?prefix=a", "", "/v1/jobs?prefix=a"),
        ("http://example:4646/v1/regions", "", "/v1/regions"),
        ("/v1/jobs?a=1", 'ID == "x"', "/v1/jobs?a=1&filter=ID%20%3D%3D%20%22x%22"),
    ],
)
def test_the_target_is_a_path_with_its_query(argument, filter_text, expected):
    assert _target(argument, filter_text) == expected


def test_a_header_needs_a_colon():
    assert _header("X-Test: a:b") == ("X-Test", "a:b")
    with pytest.raises(RaftnomadError, match="Invalid header"):
        _header("nocolon")


def test_a_dry_run_is_a_command_of_curl_that_keeps_the_token_out_of_sight():
    api = ApiClient(ClientSettings(address="http://127.0.0.1:4646/", token="secret"))
    told = _curl(api, "POST", "/v1/jobs", [("X-Test", "1")], has_body=True)
    assert told == (
        "curl \\\n  -X POST \\\n  --data-binary @- \\\n  -H 'X-Test: 1' \\\n"
        '  -H "X-Nomad-Token: ${NOMAD_TOKEN}" \\\n  http://127.0.0.1:4646/v1/jobs'
    )
