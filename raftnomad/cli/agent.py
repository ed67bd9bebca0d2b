"""`agent`, `server` and `client`: the commands that start an agent, and the only ones that load its code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from raftnomad.cli.config import certificate_warning
from raftnomad.cli.flags import command, option, switch
from raftnomad.cli.lookup import raise_usage
from raftnomad.cli.output import error, out
from raftnomad.config import Configuration, dev_values, load
from raftnomad.config.load import problems
from raftnomad.durations import parse_duration
from raftnomad.errors import ConfigurationError, RaftnomadError

_FLAGS: tuple[Any, ...] = (
    option("config", "A configuration file, or a folder of them; may be repeated and merges", multiple=True),
    switch("dev", "A server and a client on loopback, for trying things: nothing is kept"),
    switch("server", "Be a server", variable="as_server"),
    switch("client", "Be a client", variable="as_client"),
    option("bootstrap-expect", "How many servers shall found the cluster together", type=int, default=None),
    option("data-dir", "Where the agent keeps its state; an absolute path", default=None),
    option("state-dir", "Where a client keeps its state, when not in data-dir", default=None),
    option("alloc-dir", "Where a client keeps tasks' files, when not in data-dir", default=None),
    option("bind", "The address to listen on", default=None),
    option("region", "The region of this agent", default=None),
    option("dc", "The datacenter of this agent", default=None),
    option("node", "The name of this agent, by default the machine's", default=None),
    option("node-class", "The class of this client", default=None),
    option("node-pool", "The pool of this client", default=None),
    option("meta", "key=value to describe this client; may be repeated", multiple=True),
    option("servers", "rpc addresses of servers for a client: host[:port],...", default=None),
    option("network-interface", "The interface whose address tasks get", default=None),
    option("peers", "serf addresses of all servers of the cluster: host[:port],...", default=None),
    option("join", "serf address of a server to join; may be repeated", multiple=True),
    option("retry-join", "serf address of a server to join, tried again until it answers", multiple=True),
    option("retry-interval", "How long to wait between tries to join", default=None),
    option("retry-max", "How often to try to join; 0 is for ever", type=int, default=None),
    option("http-port", "The port of the HTTP API", type=int, default=None),
    option("rpc-port", "The port for other servers' logs and for client agents", type=int, default=None),
    option("serf-port", "The port at which servers find each other", type=int, default=None),
    option("log-level", "OFF, TRACE, DEBUG, INFO, WARN or ERROR", default=None),
    switch("log-json", "Log JSON lines"),
    option("log-file", "Also log to this file", default=None),
    switch("acl-enabled", "Access control; not built yet"),
)


def _flags(function: Callable[..., Any]) -> Callable[..., Any]:
    for flag in reversed(_FLAGS):
        function = flag(function)
    return function


@command("[options]")
@_flags
@click.argument("arguments", nargs=-1)
def agent(arguments: tuple[str, ...], **flags: Any) -> int:
    """Run an agent: a server, a client, or both, as its configuration and flags say.

    It runs until SIGINT or SIGTERM; SIGHUP reads the configuration again. Tasks go on when a client agent ends,
    except with -dev.
    """
    if arguments:
        raise_usage("This command takes no arguments")
    return _run(flags)


@command("[options]")
@_flags
@click.argument("arguments", nargs=-1)
def server(arguments: tuple[str, ...], **flags: Any) -> int:
    """Run a server of a cluster: `server -peers A,B,C -data-dir DIR` on each of three machines.

    The peers are all servers of the cluster, this one included or not; they count while the data directory is empty.
    """
    if arguments:
        raise_usage("This command takes no arguments")
    return _run({**flags, "as_server": True})


@command("[options]")
@_flags
@click.argument("arguments", nargs=-1)
def client(arguments: tuple[str, ...], **flags: Any) -> int:
    """Run a client agent, which runs tasks: `client -servers A,B,C -data-dir DIR`."""
    if arguments:
        raise_usage("This command takes no arguments")
    return _run({**flags, "as_client": True})


def _run(flags: dict[str, Any]) -> int:
    try:
        read = _reader(flags)
        configuration = read()
        agent_config = configuration.agent
        problem = problems(agent_config)
        if warning := certificate_warning(agent_config, problem):
            error(f"==> {warning}")
        if problem:
            error(f"==> {problem}")
            return 1
        from raftnomad.agent.run import run

        out("==> Starting Nomad agent (raftnomad)...")
        return run(read)
    except RaftnomadError as wrong:
        error(f"==> {wrong}")
        return 1


def _reader(flags: dict[str, Any]) -> Callable[[], Configuration]:
    """What reads the configuration, now and again at SIGHUP."""
    values = flag_values(flags)
    return lambda: load(flags["config"], values, dev_values() if flags["dev"] else {})


def flag_values(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given, as nested configuration values by field name. Raises ConfigurationError."""
    top = {
        "data_dir": flags["data_dir"],
        "bind_addr": flags["bind"],
        "region": flags["region"],
        "datacenter": flags["dc"],
        "name": flags["node"],
        "log_level": flags["log_level"],
        "log_json": flags["log_json"] or None,
        "log_file": flags["log_file"],
    }
    values: dict[str, Any] = {
        **_given(top),
        "ports": _given({"http": flags["http_port"], "rpc": flags["rpc_port"], "serf": flags["serf_port"]}),
        "server": _server_values(flags),
        "client": _client_values(flags),
        "acl": _given({"enabled": flags["acl_enabled"] or None}),
    }
    return {key: value for key, value in values.items() if value != {}}


def _server_values(flags: dict[str, Any]) -> dict[str, Any]:
    peers = _addresses(flags["peers"])
    join = [*peers, *flags["join"], *flags["retry_join"]]
    interval = flags["retry_interval"]
    values = {
        "enabled": flags["as_server"] or None,
        "bootstrap_expect": flags["bootstrap_expect"] or (len(peers) or None),
        "server_join": _given(
            {
                "retry_join": join or None,
                "retry_interval_ns": _duration("retry-interval", interval) if interval else None,
                "retry_max": flags["retry_max"],
            }
        ),
    }
    return _given({key: value for key, value in values.items() if value != {}})


def _client_values(flags: dict[str, Any]) -> dict[str, Any]:
    meta = {}
    for pair in flags["meta"]:
        name, separator, value = pair.partition("=")
        if not separator:
            raise ConfigurationError(f"Error parsing Client.Meta value: {pair}")
        meta[name] = value
    return _given(
        {
            "enabled": flags["as_client"] or None,
            "servers": _addresses(flags["servers"]) or None,
            "node_class": flags["node_class"],
            "node_pool": flags["node_pool"],
            "network_interface": flags["network_interface"],
            "alloc_dir": flags["alloc_dir"],
            "state_dir": flags["state_dir"],
            "meta": meta or None,
        }
    )


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _addresses(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _duration(name: str, text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as wrong:
        raise ConfigurationError(f"-{name}: {wrong}") from wrong
