import json

import pytest

from raftnomad.config import dev_values, load
from raftnomad.config.load import problems
from raftnomad.errors import ConfigurationError

FIRST = """
name = "a"
client {
  servers = ["x"]
  meta {
    rack = "1"
  }
}
plugin "raw_exec" {
  config {
    enabled = true
  }
}
"""

SECOND = """
name = "b"
client {
  servers = ["y"]
  meta {
    room = "2"
  }
}
plugin "docker" {
  config {
    volumes {
      enabled = true
    }
  }
}
"""


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


def test_hcl_and_json_say_the_same(write):
    hcl = write("a.hcl", 'data_dir = "/d"\nserver {\n  enabled = true\n  heartbeat_grace = "20s"\n}\n')
    text = json.dumps({"data_dir": "/d", "server": {"enabled": True, "heartbeat_grace": "20s"}})
    assert load([hcl]).agent == load([write("b", text)]).agent
    assert load([hcl]).agent.server.heartbeat_grace_ns == 20_000_000_000


def test_later_files_win_lists_are_joined_and_labelled_blocks_are_kept(write):
    first = write("1.hcl", FIRST)
    second = write("2.hcl", SECOND)
    agent = load([first, second]).agent
    assert agent.name == "b"
    assert agent.client.servers == ("x", "y")
    assert agent.client.meta == {"rack": "1", "room": "2"}
    assert agent.plugin["raw_exec"].config == {"enabled": True}
    assert agent.plugin["docker"].config == {"volumes": {"enabled": True}}


def test_a_folder_is_its_files_by_name(write, tmp_path):
    write("conf/2.hcl", 'name = "second"')
    write("conf/1.json", '{"name": "first", "region": "eu"}')
    write("conf/readme.txt", "no configuration")
    agent = load([str(tmp_path / "conf")]).agent
    assert (agent.name, agent.region) == ("second", "eu")


def test_flags_win_over_files_and_dev_is_not_undone_by_a_file(write):
    path = write("a", '{"client": {"enabled": false}, "name": "file"}')
    agent = load([path], {"name": "flag"}, dev_values()).agent
    assert agent.name == "flag"
    assert agent.client.enabled


def test_keys_without_effect_are_collected_and_harmless_ones_are_not(write):
    path = write(
        "a.hcl", "vault {\n  enabled = true\n}\ndisable_update_check = true\nserver {\n  raft_multiplier = 1\n}"
    )
    assert load([path]).without_effect == ("vault", "server.raft_multiplier")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = 1", "unexpected keys colour"),
        ("server {\n  colour = 1\n}", "server unexpected keys colour"),
        ('client {\n  enabled = "perhaps"\n}', 'decodeBool: Unknown value for boolean: "perhaps"'),
        ('server {\n  heartbeat_grace = "soon"\n}', "server.heartbeat_grace can't parse time duration soon"),
        ("server {\n  enabled = true\n", "At 3:1: object expected closing RBRACE got: EOF"),
        ("[]", "At 1:1"),
    ],
)
def test_what_is_wrong_is_told_with_the_file(write, text, said):
    path = write("wrong.hcl", text)
    with pytest.raises(ConfigurationError) as refused:
        load([path])
    assert str(refused.value).startswith(f"Error loading configuration from {path}: ")
    assert said in str(refused.value)


def test_a_missing_file_is_told():
    with pytest.raises(ConfigurationError, match=r"stat /none\.hcl: no such file or directory"):
        load(["/none.hcl"])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({}, "Must specify either server, client or dev mode for the agent."),
        ({"server": {"enabled": True}}, 'Must specify "data_dir" config option or "data-dir" CLI flag'),
        ({"server": {"enabled": True}, "data_dir": "d"}, "data-dir must be given as an absolute path: got d"),
        ({"client": {"enabled": True, "node_pool": "all"}, "data_dir": "/d"}, "Invalid node pool"),
        ({"server": {"enabled": True}, "data_dir": "/d", "log_level": "LOUD"}, "Invalid log level: LOUD."),
        (
            {"server": {"enabled": True}, "data_dir": "/d", "acl": {"enabled": True}},
            "acl.enabled: access control is not built",
        ),
        ({"server": {"enabled": True, "job_default_priority": 40}, "data_dir": "/d"}, "job_default_priority"),
        ({"server": {"enabled": True, "job_max_priority": 40}, "data_dir": "/d"}, "job_max_priority"),
        ({"server": {"enabled": True, "job_max_source_size": "big"}, "data_dir": "/d"}, "job_max_source_size"),
        ({"server": {"enabled": True}, "data_dir": "/d"}, ""),
    ],
)
def test_what_makes_the_whole_impossible_is_told(flags, said):
    assert problems(load([], flags).agent).startswith(said)
    assert bool(said) == bool(problems(load([], flags).agent))
