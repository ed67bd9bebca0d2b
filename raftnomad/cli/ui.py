"""`ui`: where in the web console something is shown."""

from __future__ import annotations

import urllib.parse

import click

from raftnomad.cli.flags import command, connects, switch
from raftnomad.cli.lookup import raise_usage
from raftnomad.cli.output import out
from raftnomad.cli.status import find
from raftnomad.sdk.http import ApiClient

_PAGES = {"jobs": "jobs/{}", "allocs": "allocations/{}", "nodes": "clients/{}", "evals": "evaluations?currentEval={}"}


@command("[options] [<identifier>]")
@switch("authenticate", "Accepted for Nomad's sake; there is no access control yet")
@switch("show-url", "Print the address instead of opening a browser")
@connects
@click.argument("arguments", nargs=-1)
def ui(api: ApiClient, authenticate: bool, show_url: bool, arguments: tuple[str, ...]) -> int:
    """Open the web console, at the job, allocation or node that an id stands for if there is one."""
    if len(arguments) > 1:
        raise_usage("This command takes no or one optional argument, [<identifier>]")
    address = api.settings.address
    if arguments:
        kind, identifier = find(api, arguments[0])
        page = _PAGES.get(kind, "").format(urllib.parse.quote(identifier, safe=""))
        address = f"{address.rstrip('/')}/ui/{page}"
    if show_url:
        out(f"URL for web UI: {address}")
        return 0
    import webbrowser

    out(f"Opening URL {address!r}")
    webbrowser.open(address)
    return 0
