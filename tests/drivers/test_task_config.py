import pytest

from raftnomad.drivers.task_config import Kind, blocks, flag, number, problems, string_map, strings, text

SCHEMA = {
    "name": Kind.STRING,
    "size": Kind.NUMBER,
    "on": Kind.BOOL,
    "args": Kind.STRINGS,
    "labels": Kind.STRING_MAP,
    "auth": Kind.BLOCK,
    "mount": Kind.BLOCKS,
}


@pytest.mark.parametrize(
    "config",
    [
        {"name": "x", "size": 3, "on": True, "args": ["a", 1], "labels": {"k": "v"}},
        {"size": "3", "on": "true", "labels": [{"k": "v"}, {"l": "w"}], "auth": [{}], "mount": [{}, {}]},
        {"name": None, "args": []},
        {},
    ],
)
def test_configs_that_fit(config):
    assert problems(config, SCHEMA) == []


@pytest.mark.parametrize(
    ("config", "have"),
    [
        ({"name": ["x"]}, "string required, but have tuple"),
        ({"size": "big"}, "number required, but have string"),
        ({"size": True}, "number required, but have bool"),
        ({"on": 5}, "bool required, but have number"),
        ({"args": [{}]}, "list of string required, but have tuple"),
        ({"labels": "x"}, "map of string required, but have string"),
        ({"auth": [{}, {}]}, "object required, but have tuple"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(config, have):
    (key,) = config
    expected = f'Incorrect attribute value type: Inappropriate value for attribute "{key}": {have}.'
    assert problems(config, SCHEMA) == [expected]


def test_an_empty_config_that_must_hold_something():
    assert problems(None, SCHEMA, required=("name",))[0].startswith("Root value must be object")
    assert problems(None, SCHEMA) == []


def test_values_are_read_as_job_files_write_them():
    config = {"on": "true", "size": "3", "flag": True, "labels": [{"a": 1}, {"b": True}], "auth": {"x": 1}}
    assert (flag(config, "on"), number(config, "size"), text(config, "flag")) == (True, 3, "true")
    assert string_map(config, "labels") == {"a": "1", "b": "true"}
    assert blocks(config, "auth") == [{"x": 1}]
    assert (strings(config, "none"), text(config, "none"), number(config, "none", 7)) == ([], "", 7)
