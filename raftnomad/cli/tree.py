"""Every command on one page: its words, the module and attribute that hold it, and one line of help."""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "agent": "raftnomad.cli.agent:agent",
    "server": "raftnomad.cli.agent:server",
    "client": "raftnomad.cli.agent:client",
    "job run": "raftnomad.cli.job_run:run",
    "job status": "raftnomad.cli.job_status:status",
    "version": "raftnomad.cli.version:version",
}

ALIASES: dict[str, str] = {
    "run": "job run",
}

GROUPS: dict[str, str] = {
    "job": "Interact with jobs",
}

SUMMARIES: dict[str, str] = {
    "agent": "Run an agent: a server, a client, or both",
    "server": "Run a server of a cluster",
    "client": "Run a client agent, which runs tasks",
    "job run": "Run a new job or update an existing one",
    "job status": "Display status information about jobs",
    "version": "Print the version",
}

USAGE_EXIT_CODES: dict[str, int] = {"job plan": 255}


def group_help(path: str, program: str) -> str:
    """The commands below a group, or all of them."""
    prefix = f"{path} " if path else ""
    names = sorted(name for name in SUMMARIES if name.startswith(prefix) and " " not in name[len(prefix) :])
    groups = [] if path else sorted(GROUPS)
    width = max((len(name) - len(prefix) for name in [*names, *groups]), default=0)
    lines = [f"Usage: {program} {prefix}<{'subcommand' if path else 'command'}> [options] [args]", ""]
    if path:
        lines += [GROUPS.get(path, ""), "", "Subcommands:"]
    else:
        lines += ["Commands:"]
    lines += [f"    {name[len(prefix) :].ljust(width)}    {SUMMARIES[name]}" for name in names]
    lines += [f"    {name.ljust(width)}    {GROUPS[name]}" for name in groups]
    return "\n".join(lines)
