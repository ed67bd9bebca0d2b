"""`status`: whatever an id or a name stands for, shown by the command for its kind."""

from __future__ import annotations

import click

from raftnomad.cli.flags import command, connects, switch
from raftnomad.cli.lookup import Ambiguous
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, ConnectionFailed, UnexpectedResponse

_COMMANDS = {
    "jobs": ["job", "status"],
    "allocs": ["alloc", "status"],
    "nodes": ["node", "status"],
    "evals": ["eval", "status"],
    "deployment": ["deployment", "status"],
}


@command("[options] <identifier>")
@switch("verbose", "Display full information")
@connects
@click.argument("arguments", nargs=-1)
def status(api: ApiClient, verbose: bool, arguments: tuple[str, ...]) -> int:
    """Display the job, allocation, node, evaluation or deployment that an id or a prefix of one stands for."""
    from raftnomad.cli.main import run

    flags = _connection_flags(api) + (["-verbose"] if verbose else [])
    if not arguments:
        return run(["job", "status", *flags])
    kind, _ = find(api, arguments[-1])
    return run([*_COMMANDS[kind], *flags, arguments[-1]])


def find(api: ApiClient, identifier: str) -> tuple[str, str]:
    """The one thing that an id, or a prefix of one, stands for: its kind, and its whole id."""
    try:
        answer = api.put("/v1/search", {"Prefix": identifier, "Context": "all"}).json()
    except (ConnectionFailed, UnexpectedResponse) as failed:
        text = str(failed).replace('"', '\\"')
        raise RaftnomadError(f'Error querying search with id: "{text}"') from failed
    matches = {kind: ids for kind, ids in (answer.get("Matches") or {}).items() if ids and kind in _COMMANDS}
    if not matches:
        raise RaftnomadError(f'Unable to resolve ID: "{identifier}"')
    if identifier in (matches.get("jobs") or ()):
        return "jobs", identifier
    if sum(map(len, matches.values())) > 1:
        listed = "\n".join(f"\n{kind.capitalize()}:\n{', '.join(ids)}" for kind, ids in sorted(matches.items()))
        raise Ambiguous(f'Multiple matches found for id "{identifier}"\n{listed}')
    kind, ids = next(iter(matches.items()))
    return kind, ids[0]


def _connection_flags(api: ApiClient) -> list[str]:
    settings = api.settings
    pairs = [
        ("address", settings.address),
        ("region", settings.region),
        ("namespace", settings.namespace),
        ("token", settings.token),
        ("ca-cert", settings.ca_cert),
        ("ca-path", settings.ca_path),
        ("client-cert", settings.client_cert),
        ("client-key", settings.client_key),
    ]
    flags = [f"-{name}={value}" for name, value in pairs if value]
    return flags + (["-tls-skip-verify"] if settings.tls_skip_verify else [])
