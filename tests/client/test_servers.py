from __future__ import annotations

from raftnomad.client.servers import PAUSE_MAX_S, Servers, pause_s


def test_a_server_that_failed_is_asked_last() -> None:
    servers = Servers(["a", "b", "c"])
    servers.failed("a")
    assert servers.in_order() == ("b", "c", "a")


def test_what_servers_tell_comes_before_what_was_configured() -> None:
    servers = Servers(["old"])
    servers.learn(["x", "y"])
    assert servers.in_order() == ("x", "y", "old")


def test_learning_the_same_list_again_changes_no_order() -> None:
    servers = Servers(["a", "b"])
    servers.failed("a")
    servers.learn(["a", "b"])
    assert servers.in_order() == ("b", "a")


def test_a_server_that_left_is_forgotten_unless_it_was_configured() -> None:
    servers = Servers(["a"])
    servers.learn(["a", "b", "c"])
    servers.learn(["b", "c"])
    assert set(servers.in_order()) == {"a", "b", "c"} and servers.in_order()[-1] == "a"
    servers.learn(["c"])
    assert servers.in_order() == ("c", "a")


def test_pauses_grow_to_a_limit() -> None:
    assert pause_s(1, 0.0) < pause_s(3, 0.0) < pause_s(99, 0.99) <= PAUSE_MAX_S
