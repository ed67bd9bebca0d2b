"""`status`: whatever an id or a name stands for, shown by the command for its kind."""

from __future__ import annotations

import click

from raftnomad.cli.flags import command, connects, switch
from raftnomad.cli.lookup import raise_usage
from raftnomad.cli.output import error
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

    if len(arguments) > 1:
        raise_usage("This command takes either no arguments or one: <identifier>")
    flags = _connection_flags(api) + (["-verbose"] if verbose else [])
    if not arguments:
        return run(["job", "status", *flags])
    try:
        answer = api.put("/v1/search", {"Prefix": arguments[0], "Context": "all"}).json()
    except (ConnectionFailed, UnexpectedResponse) as failed:
        text = str(failed).replace('"', '\\"')
        raise RaftnomadError(f'Error querying search with id: "{text}"') from failed
    matches = {kind: ids for kind, ids in (answer.get("Matches") or {}).items() if ids and kind in _COMMANDS}
    if not matches:
        raise RaftnomadError(f"Unable to resolve ID: {arguments[0]}")
    if len(matches) > 1 and arguments[0] in (matches.get("jobs") or ()):
        matches = {"jobs": matches["jobs"]}
    if len(matches) > 1:
        listed = "\n".join(f"\n{kind.capitalize()}:\n{', '.join(ids)}" for kind, ids in sorted(matches.items()))
        error(f'Multiple matches found for id "{arguments[0]}"\n{listed}')
        return 1
    return run([*_COMMANDS[next(iter(matches))], *flags, arguments[0]])


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
