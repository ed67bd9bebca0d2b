"""`operator metrics`: what an agent measures."""

from __future__ import annotations

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.lookup import asked, raise_usage
from raftnomad.cli.output import out
from raftnomad.sdk.http import ApiClient


@command("[options]")
@option("format", "prometheus, or nothing for JSON", default="", variable="form")
@switch("pretty", "Indent the JSON")
@switch("json", "Output the metrics in JSON")
@option("t", "Format and display the metrics using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def metrics(
    api: ApiClient, form: str, pretty: bool, json: bool, template: str | None, arguments: tuple[str, ...]
) -> int:
    """Show the metrics of the agent that is asked."""
    if arguments:
        raise_usage("This command takes no arguments")
    one_format(json, template)
    query = {"format": form, "pretty": "1" if pretty else ""}
    answer = asked(
        "Error getting metrics",
        lambda: api.get("/v1/metrics", {name: value for name, value in query.items() if value}),
    )
    out(formatted(answer.json(), template) if json or template else answer.body.decode().rstrip("\n"))
    return 0
