"""Every command on one page: its words, the module and attribute that hold it, and one line of help."""

from __future__ import annotations

COMMANDS: dict[str, tuple[str, str]] = {
    "agent": ("agent:agent", "Run an agent: a server, a client, or both"),
    "server": ("agent:server", "Run a server of a cluster"),
    "client": ("agent:client", "Run a client agent, which runs tasks"),
    "agent-info": ("agent_info:agent_info", "Show what an agent counts about itself"),
    "alloc fs": ("alloc_files:fs", "List and show files of an allocation"),
    "alloc logs": ("alloc_files:logs", "Show what a task has written"),
    "alloc restart": ("alloc:restart", "Restart a running allocation"),
    "alloc signal": ("alloc:signal", "Send a signal to an allocation"),
    "alloc status": ("alloc:status", "Display the status of an allocation"),
    "alloc stop": ("alloc:stop", "Stop and reschedule an allocation"),
    "config validate": ("config:validate", "Check agent configuration files"),
    "deployment fail": ("deployment:fail", "Mark a deployment as failed"),
    "deployment list": ("deployment:list_deployments", "List deployments"),
    "deployment pause": ("deployment:pause", "Pause a deployment"),
    "deployment promote": ("deployment:promote", "Let a deployment's canaries replace what they are for"),
    "deployment resume": ("deployment:resume", "Let a paused deployment go on"),
    "deployment status": ("deployment:status", "Display a deployment"),
    "deployment unblock": ("deployment:unblock", "Unblock a deployment that waits for other regions"),
    "eval list": ("evaluation:list_evaluations", "List evaluations"),
    "eval status": ("evaluation:status", "Display an evaluation"),
    "job allocs": ("job_lists:allocs", "List the allocations of a job"),
    "job deployments": ("job_lists:deployments", "List the deployments of a job"),
    "job eval": ("job:evaluate", "Ask the scheduler to look at a job again"),
    "job history": ("job_versions:history", "Display the versions of a job"),
    "job init": ("init:job", "Write an example of a job file"),
    "job inspect": ("job_versions:inspect", "Show a job as the servers have it"),
    "job promote": ("deployment:promote_job", "Promote the canaries of a job's latest deployment"),
    "job plan": ("job_plan:plan", "Say what running a job file would do"),
    "job restart": ("job_restart:restart", "Restart the allocations of a job in batches"),
    "job revert": ("job:revert", "Go back to an older version of a job"),
    "job run": ("job_run:run", "Run a new job or update an existing one"),
    "job start": ("job:start", "Start a job that was stopped"),
    "job status": ("job_status:status", "Display the status of jobs"),
    "job stop": ("job:stop", "Stop running jobs"),
    "job validate": ("job_plan:validate", "Check a job file"),
    "namespace apply": ("namespace:apply", "Make or change a namespace"),
    "namespace delete": ("namespace:delete", "Delete a namespace"),
    "namespace inspect": ("namespace:inspect", "Show a namespace in JSON"),
    "namespace list": ("namespace:list_namespaces", "List namespaces"),
    "namespace status": ("namespace:status", "Display a namespace"),
    "node config": ("node_drain:config", "Show which servers a client agent asks"),
    "node drain": ("node_drain:drain", "Move the allocations of a node elsewhere"),
    "node eligibility": ("node_drain:eligibility", "Say whether a node takes new allocations"),
    "node pool apply": ("node_pool:apply", "Make or change a node pool"),
    "node pool delete": ("node_pool:delete", "Delete a node pool"),
    "node pool info": ("node_pool:info", "Display a node pool"),
    "node pool init": ("init:node_pool", "Write an example of a node pool file"),
    "node pool jobs": ("node_pool:jobs", "List the jobs of a node pool"),
    "node pool list": ("node_pool:list_pools", "List node pools"),
    "node pool nodes": ("node_pool:nodes", "List the nodes of a pool"),
    "node status": ("node:status", "Display the status of nodes"),
    "operator api": ("operator_api:api", "Send a request to the HTTP API and print the answer"),
    "operator metrics": ("operator_metrics:metrics", "Show what an agent measures"),
    "operator raft list-peers": ("operator:list_peers", "List the servers that replicate the log"),
    "operator raft remove-peer": ("operator:remove_peer", "Remove a server from the log"),
    "operator raft transfer-leadership": ("operator:transfer_leadership", "Hand leadership to another server"),
    "operator scheduler get-config": ("scheduler:get_configuration", "Show the scheduler's settings"),
    "operator scheduler set-config": ("scheduler:set_configuration", "Change the scheduler's settings"),
    "server force-leave": ("operator:force_leave", "Take a server that failed off the list"),
    "server join": ("operator:join", "Make servers one cluster"),
    "server members": ("operator:members", "List the servers"),
    "status": ("status:status", "Display what an id or a name stands for; all jobs without one"),
    "system gc": ("operator:collect_garbage", "Forget what is over"),
    "system reconcile summaries": ("operator:reconcile_summaries", "Count the allocations of all jobs anew"),
    "tls ca create": ("tls:ca_create", "Make a certificate authority"),
    "tls ca info": ("tls:ca_info", "Show what a CA's certificate says"),
    "tls cert create": ("tls:cert_create", "Make a certificate for an agent"),
    "tls cert info": ("tls:cert_info", "Show what an agent's certificate says"),
    "ui": ("ui:ui", "Say where the web console is"),
    "version": ("version:version", "Print the version"),
}

ALIASES: dict[str, str] = {
    "alloc-status": "alloc status",
    "client-config": "node config",
    "eval-status": "eval status",
    "exec": "alloc exec",
    "fs": "alloc fs",
    "init": "job init",
    "inspect": "job inspect",
    "logs": "alloc logs",
    "node-drain": "node drain",
    "node-status": "node status",
    "plan": "job plan",
    "run": "job run",
    "server-force-leave": "server force-leave",
    "server-join": "server join",
    "server-members": "server members",
    "start": "job start",
    "stop": "job stop",
    "validate": "job validate",
}

GROUPS: dict[str, str] = {
    "acl": "Access control",
    "alloc": "Interact with allocations",
    "config": "Interact with agent configuration",
    "deployment": "Interact with deployments",
    "eval": "Interact with evaluations",
    "job": "Interact with jobs",
    "namespace": "Interact with namespaces",
    "node": "Interact with nodes",
    "node pool": "Interact with node pools",
    "operator": "Look after the cluster",
    "operator raft": "Look after the log",
    "operator scheduler": "Look after the scheduler",
    "scaling": "Interact with scaling policies",
    "server": "Interact with servers",
    "service": "Interact with registered services",
    "system": "Interact with the system API",
    "system reconcile": "Repair what the servers keep",
    "tls": "Make certificates",
    "tls ca": "Certificate authorities",
    "tls cert": "Certificates",
    "var": "Interact with variables",
    "volume": "Interact with volumes",
}

_NOT_BUILT = """
    acl: bootstrap
    acl auth-method: create delete info list update
    acl binding-rule: create delete info list update
    acl policy: apply delete info list self
    acl role: create delete info list update
    acl token: create delete info list self update
    alloc: checks exec pause
    eval: delete
    job: action dispatch scale scaling-events
    job periodic: force
    job tag: apply unset
    node identity: get renew
    node intro: create
    node meta: apply read
    operator: client-state debug utilization
    operator autopilot: get-config health set-config
    operator gossip keyring: generate install list remove use
    operator raft: info logs migrate-backend state
    operator root keyring: list remove rotate
    operator snapshot: agent inspect redact restore save state
    plugin: status
    quota: apply delete init inspect list status
    recommendation: apply dismiss info list
    scaling policy: info list
    sentinel: apply delete list read
    service: delete info list
    setup: consul vault
    var: get init list lock purge put
    volume: claim create delete deregister detach init register snapshot status
    windows service: install uninstall
    : action check debug fmt keygen-gossip license login monitor
"""


def _names(text: str) -> frozenset[str]:
    lines = [line.strip().partition(":") for line in text.strip().splitlines()]
    return frozenset(f"{group.strip()} {word}".strip() for group, _, words in lines for word in words.split())


NOT_BUILT: frozenset[str] = _names(_NOT_BUILT)
"""What Nomad has and this has not; such a command says so, rather than look unknown."""

_PREFIXES = {" ".join(name.split()[:n]) for name in (*COMMANDS, *NOT_BUILT) for n in range(1, len(name.split()))}

KNOWN: frozenset[str] = frozenset({*COMMANDS, *ALIASES, *GROUPS, *NOT_BUILT, *_PREFIXES})
"""Every run of words that means something: a command, or a group of them."""

USAGE_EXIT_CODES: dict[str, int] = {"job plan": 255, "system gc": 0, "system reconcile summaries": 0}
"""What wrong usage of a command exits with, where it is not 1."""

SHOWN_AS: dict[str, str] = {"job status": "status"}
"""Commands that go by another name in `For additional help try ...`."""


def group_help(path: str, program: str) -> str:
    """The commands and groups right below a group, or below everything."""
    prefix = f"{path} " if path else ""
    below = {**{name: text for name, (_, text) in COMMANDS.items()}, **GROUPS}
    entries = {
        name[len(prefix) :]: text
        for name, text in below.items()
        if name.startswith(prefix) and name != path and " " not in name[len(prefix) :]
    }
    width = max(map(len, entries), default=0)
    title = f"Usage: {program} {prefix}<{'subcommand' if path else 'command'}> [options] [args]"
    heading = [GROUPS.get(path, path), "", "Subcommands:"] if path else ["Commands:"]
    lines = [title, "", *heading, *(f"    {n.ljust(width)}    {entries[n]}" for n in sorted(entries))]
    missing = sorted(name[len(prefix) :] for name in NOT_BUILT if path and name.startswith(prefix))
    return "\n".join([*lines, *([f"\nNot built yet: {', '.join(missing)}"] if missing else [])])
