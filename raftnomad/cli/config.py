"""`config validate`: whether an agent could start with these configuration files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from raftnomad.cli.flags import command
from raftnomad.cli.output import error, out
from raftnomad.errors import RaftnomadError

if TYPE_CHECKING:
    from raftnomad.config.settings import AgentConfig

_TOLD_BEFORE_THE_WARNING = ("Must specify either", "Datacenter contains", "Region contains")


def certificate_warning(config: AgentConfig, problem: str) -> str:
    """What to say of an agent without certificates; nothing if `problem` ends the checks before Nomad's says so."""
    if config.dev_mode or config.tls.rpc or problem.startswith(_TOLD_BEFORE_THE_WARNING):
        return ""
    return "WARNING: mTLS is not configured - Nomad is not secure without mTLS!"


@command("<path>...")
@click.argument("arguments", nargs=-1)
def validate(arguments: tuple[str, ...]) -> int:
    """Check agent configuration files, or folders of them, together."""
    if not arguments:
        raise RaftnomadError("Must specify at least one config file or directory")
    from raftnomad.config import load
    from raftnomad.config.load import problems

    try:
        config = load(arguments, {}, {}).agent
    except RaftnomadError as wrong:
        raise RaftnomadError(f"1 error occurred:\n\t* {wrong}\n") from wrong
    problem = problems(config)
    if warning := certificate_warning(config, problem):
        error(warning)
    if problem:
        error(f"{problem}\nConfiguration is invalid")
        return 1
    out("Configuration is valid!")
    return 0
