import subprocess
import sys

import pytest

from raftnomad.cli import tree
from raftnomad.cli.main import run


def test_every_command_of_the_tree_can_be_imported_and_has_help(capsys):
    for path in tree.COMMANDS:
        assert run([*path.split(), "-help"]) == 0, path
        assert "Usage:" in capsys.readouterr().out, path


def test_every_alias_names_a_command():
    assert set(tree.ALIASES.values()) <= {*tree.COMMANDS, *tree.NOT_BUILT}
    assert not set(tree.COMMANDS) & tree.NOT_BUILT


def test_a_command_that_is_not_built_says_so(capsys):
    assert run(["var", "lock", "-ttl", "15s", "path", "true"]) == 1
    assert capsys.readouterr().err == "nomad var lock is not built yet\n"
    assert run(["exec", "0badbad0", "ls"]) == 1
    assert "alloc exec is not built yet" in capsys.readouterr().err


def test_a_group_lists_what_it_has_and_what_is_missing(capsys):
    assert run(["job", "-help"]) == 0
    told = capsys.readouterr().out
    assert "    run " in told
    assert "Not built yet: " in told and "dispatch" in told
    assert run(["acl", "token"]) == 1


def test_an_unknown_command_exits_127_and_an_unknown_subcommand_1(capsys):
    assert run(["frobnicate"]) == 127
    assert run(["job", "frobnicate"]) == 1
    assert "job run" not in capsys.readouterr().out


def test_version_has_nomads_line_first(capsys):
    assert run(["-version"]) == 0
    assert capsys.readouterr().out.startswith("Nomad v2.")


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["job", "run"], "This command takes one argument: <path>", 1),
        (["job", "plan"], "This command takes one argument: <path>", 255),
        (["job", "status", "a", "b"], "This command takes either no arguments or one: <job>", 1),
        (["eval", "list", "x"], "This command takes no arguments", 1),
    ],
)
def test_wrong_usage_says_what_was_expected_and_where_help_is(arguments, said, code, capsys):
    assert run(arguments) == code
    told = capsys.readouterr().err
    assert said in told
    assert "For additional help try 'nomad" in told


def test_an_agent_that_is_not_there_is_told_as_go_tells_it(capsys, monkeypatch):
    monkeypatch.setenv("NOMAD_ADDR", "http://127.0.0.1:1")
    assert run(["job", "status"]) == 1
    assert capsys.readouterr().err.strip() == (
        'Error querying jobs: Get "http://127.0.0.1:1/v1/jobs": dial tcp 127.0.0.1:1: connect: connection refused'
    )


def test_a_client_command_imports_nothing_of_the_server():
    code = (
        "import sys; from raftnomad.cli.main import run; run(['job', 'status']);"
        "print([m for m in ('aiohttp', 'docker', 'numpy', 'pysyncobj', 'asyncio', 'msgspec') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"NOMAD_ADDR": "http://127.0.0.1:1"},
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"
