import click
import pytest

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.sdk.http import ApiClient


@command("[options] <words>")
@switch("json", "A switch")
@option("var", "A repeated value", multiple=True)
@option("n", "A number", type=int, default=-1)
@connects
@click.argument("words", nargs=-1)
def example(api: ApiClient, json: bool, var: tuple[str, ...], n: int, words: tuple[str, ...]):
    """An example."""
    return api.settings, json, var, n, words


def call(*arguments: str):
    return example.main(list(arguments), standalone_mode=False)


@pytest.mark.parametrize("dashes", ["-", "--"])
def test_single_and_double_dashes_are_the_same(dashes):
    _, json, var, n, words = call(f"{dashes}json", f"{dashes}var", "a=1", f"{dashes}var=b=2", f"{dashes}n", "5", "x")
    assert (json, var, n, words) == (True, ("a=1", "b=2"), 5, ("x",))


def test_a_switch_takes_a_value_only_behind_an_equal_sign():
    assert call("-json=false", "x")[1] is False
    assert call("-json", "false")[1:] == (True, (), -1, ("false",))
    assert call("-json", "-json=false")[1] is False


def test_a_switch_refuses_what_is_no_boolean():
    with pytest.raises(click.UsageError, match="invalid boolean value"):
        call("-json=maybe")


def test_flags_behind_an_argument_are_arguments():
    assert call("x", "-json")[4] == ("x", "-json")


def test_a_negative_number_is_a_value_and_no_flag():
    assert call("-n", "-3")[3] == -3


def test_the_connection_comes_from_the_flag_before_the_environment(monkeypatch):
    monkeypatch.setenv("NOMAD_ADDR", "http://127.0.0.1:1")
    monkeypatch.setenv("NOMAD_NAMESPACE", "apps")
    assert call()[0].address == "http://127.0.0.1:1"
    settings = call("-address", "http://127.0.0.1:2")[0]
    assert (settings.address, settings.namespace) == ("http://127.0.0.1:2", "apps")


def test_an_unknown_flag_is_told_whole():
    with pytest.raises(click.UsageError, match="flag provided but not defined: -bogus"):
        call("-bogus", "x")
