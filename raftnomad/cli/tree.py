"""Every command on one page: its words, the module and attribute that hold it, and one line of help."""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "agent": "raftnomad.cli.agent:agent",
    "server": "raftnomad.cli.agent:server",
    "client": "raftnomad.cli.agent:client",
    "version": "raftnomad.cli.version:version",
    "status": "raftnomad.cli.status:status",
    "job allocs": "raftnomad.cli.job:allocs",
    "job deployments": "raftnomad.cli.job:deployments",
    "job eval": "raftnomad.cli.job:evaluate",
    "job history": "raftnomad.cli.job:history",
    "job inspect": "raftnomad.cli.job:inspect",
    "job plan": "raftnomad.cli.job:plan",
    "job revert": "raftnomad.cli.job:revert",
    "job run": "raftnomad.cli.job_run:run",
    "job status": "raftnomad.cli.job_status:status",
    "job stop": "raftnomad.cli.job:stop",
    "job validate": "raftnomad.cli.job:validate",
    "alloc fs": "raftnomad.cli.alloc_files:fs",
    "alloc logs": "raftnomad.cli.alloc_files:logs",
    "alloc restart": "raftnomad.cli.alloc:restart",
    "alloc signal": "raftnomad.cli.alloc:signal",
    "alloc status": "raftnomad.cli.alloc:status",
    "alloc stop": "raftnomad.cli.alloc:stop",
    "node drain": "raftnomad.cli.node:drain",
    "node eligibility": "raftnomad.cli.node:eligibility",
    "node status": "raftnomad.cli.node:status",
    "eval list": "raftnomad.cli.evaluation:list_evaluations",
    "eval status": "raftnomad.cli.evaluation:status",
    "deployment fail": "raftnomad.cli.deployment:fail",
    "deployment list": "raftnomad.cli.deployment:list_deployments",
    "deployment pause": "raftnomad.cli.deployment:pause",
    "deployment resume": "raftnomad.cli.deployment:resume",
    "deployment status": "raftnomad.cli.deployment:status",
    "server members": "raftnomad.cli.operator:members",
    "operator raft list-peers": "raftnomad.cli.operator:list_peers",
    "operator raft remove-peer": "raftnomad.cli.operator:remove_peer",
    "operator raft transfer-leadership": "raftnomad.cli.operator:transfer_leadership",
    "operator scheduler get-config": "raftnomad.cli.operator:get_scheduler_configuration",
    "system gc": "raftnomad.cli.operator:collect_garbage",
    "tls ca create": "raftnomad.cli.tls:ca_create",
    "tls cert create": "raftnomad.cli.tls:cert_create",
    "tls cert info": "raftnomad.cli.tls:cert_info",
    "tls ca info": "raftnomad.cli.tls:ca_info",
}

ALIASES: dict[str, str] = {
    "run": "job run",
    "stop": "job stop",
    "plan": "job plan",
    "validate": "job validate",
    "inspect": "job inspect",
    "logs": "alloc logs",
    "fs": "alloc fs",
    "node-status": "node status",
    "node-drain": "node drain",
    "alloc-status": "alloc status",
    "eval-status": "eval status",
    "server-members": "server members",
}

GROUPS: dict[str, str] = {
    "job": "Interact with jobs",
    "alloc": "Interact with allocations",
    "node": "Interact with nodes",
    "eval": "Interact with evaluations",
    "deployment": "Interact with deployments",
    "operator": "Look after the cluster",
    "operator raft": "Look after the log",
    "operator scheduler": "Look after the scheduler",
    "system": "Interact with the system API",
    "tls": "Make certificates",
    "tls ca": "Certificate authorities",
    "tls cert": "Certificates",
}

SUMMARIES: dict[str, str] = {
    "agent": "Run an agent: a server, a client, or both",
    "server": "Run a server of a cluster",
    "client": "Run a client agent, which runs tasks",
    "version": "Print the version",
    "status": "Display what an id or a name stands for; all jobs without one",
    "job allocs": "List the allocations of a job",
    "job deployments": "List the deployments of a job",
    "job eval": "Ask the scheduler to look at a job again",
    "job history": "Display the versions of a job",
    "job inspect": "Show a job as the servers have it",
    "job plan": "Say what running a job file would do",
    "job revert": "Go back to an older version of a job",
    "job run": "Run a new job or update an existing one",
    "job status": "Display the status of jobs",
    "job stop": "Stop running jobs",
    "job validate": "Check a job file",
    "alloc fs": "List and show files of an allocation",
    "alloc logs": "Show what a task has written",
    "alloc restart": "Restart a running allocation",
    "alloc signal": "Send a signal to an allocation",
    "alloc status": "Display the status of an allocation",
    "alloc stop": "Stop and reschedule an allocation",
    "node drain": "Move the allocations of a node elsewhere",
    "node eligibility": "Say whether a node takes new allocations",
    "node status": "Display the status of nodes",
    "eval list": "List evaluations",
    "eval status": "Display an evaluation",
    "deployment fail": "Mark a deployment as failed",
    "deployment list": "List deployments",
    "deployment pause": "Pause a deployment",
    "deployment resume": "Let a paused deployment go on",
    "deployment status": "Display a deployment",
    "server members": "List the servers",
    "operator raft list-peers": "List the servers that replicate the log",
    "operator raft remove-peer": "Remove a server from the log",
    "operator raft transfer-leadership": "Hand leadership to another server",
    "operator scheduler get-config": "Show the scheduler's settings",
    "system gc": "Forget what is over",
    "tls ca create": "Make a certificate authority",
    "tls cert create": "Make a certificate for an agent",
    "tls cert info": "Show what an agent's certificate says",
    "tls ca info": "Show what a CA's certificate says",
}

USAGE_EXIT_CODES: dict[str, int] = {"job plan": 255}


def group_help(path: str, program: str) -> str:
    """The commands and groups right below a group, or below everything."""
    prefix = f"{path} " if path else ""
    below = {**{name: SUMMARIES[name] for name in COMMANDS}, **GROUPS}
    entries = {
        name[len(prefix) :]: text
        for name, text in below.items()
        if name.startswith(prefix) and name != path and " " not in name[len(prefix) :]
    }
    width = max(map(len, entries), default=0)
    title = f"Usage: {program} {prefix}<{'subcommand' if path else 'command'}> [options] [args]"
    heading = [GROUPS[path], "", "Subcommands:"] if path in GROUPS else ["Commands:"]
    return "\n".join([title, "", *heading, *(f"    {n.ljust(width)}    {entries[n]}" for n in sorted(entries))])
