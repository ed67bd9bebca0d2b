"""`agent-info`: what an agent counts about itself."""

from __future__ import annotations

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.lookup import asked, raise_usage
from raftnomad.cli.output import out
from raftnomad.sdk.http import ApiClient


@command("[options]")
@switch("json", "Output the agent's data in its JSON format")
@option("t", "Format and display the agent's data using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def agent_info(api: ApiClient, json: bool, template: str | None, arguments: tuple[str, ...]) -> int:
    """Show what the agent that is asked counts about itself."""
    if arguments:
        raise_usage("This command takes no arguments")
    one_format(json, template)
    info = asked("Error querying agent info", lambda: api.get("/v1/agent/self").json())
    if template:
        # Go's struct spells these with capitals, its JSON does not.
        info = {name.capitalize(): value for name, value in info.items()}
    if json or template:
        out(formatted(info, template))
        return 0
    for section, values in sorted((info.get("stats") or {}).items()):
        out("\n".join([section, *(f"  {name} = {value}" for name, value in sorted(values.items()))]))
    return 0
