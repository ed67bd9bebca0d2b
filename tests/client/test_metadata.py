from __future__ import annotations

import pytest

from raftnomad.client.metadata import apply, merged
from raftnomad.errors import BadRequest

STATIC = {"rack": "r1", "zone": "east"}


def test_a_null_hides_a_configured_key_and_removes_a_dynamic_one() -> None:
    dynamic = apply(STATIC, {"owner": "ops", "rack": "r2"}, {"owner": None, "zone": None, "tier": ""})
    assert dynamic == {"rack": "r2", "zone": None, "tier": ""}
    assert merged(STATIC, dynamic) == {"rack": "r2", "tier": ""}


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "metadata keys must not be empty"),
        ("no spaces", '"no spaces" is invalid; metadata keys must be valid dotted hcl identifiers'),
    ],
)
def test_keys_are_names_with_dots(key: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        apply({}, {}, {key: "x"})


def test_dots_and_dashes_are_fine() -> None:
    assert apply({}, {}, {"a.b": "c", "with-dash": "d"}) == {"a.b": "c", "with-dash": "d"}
