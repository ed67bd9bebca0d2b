"""`operator api`: one request to the HTTP API, as `curl` would send it, with the settings of the command line."""

from __future__ import annotations

import os
import shlex
import sys
import urllib.parse

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.lookup import raise_usage
from raftnomad.cli.output import error, out
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient


@command("[options] <path or URL>")
@switch("dryrun", "Print the command of curl that does the same instead")
@switch("verbose", "Show the request and the headers of the answer on standard error")
@option("filter", "An expression that what is listed must meet", default="", variable="filter_text")
@option("H", "A header: `Name: value`; may be repeated", multiple=True, variable="headers")
@option("X", "The method; without it GET, or POST when there is input", default="", variable="method")
@connects
@click.argument("arguments", nargs=-1)
def api(
    api: ApiClient,
    dryrun: bool,
    verbose: bool,
    filter_text: str,
    headers: tuple[str, ...],
    method: str,
    arguments: tuple[str, ...],
) -> int:
    """Send a request to the HTTP API and print what is answered, whatever the status.

    Standard input is the body, unless it is a terminal or the method is GET.
    """
    if not arguments:
        raise_usage("A path or URL is required")
    if len(arguments) > 1:
        raise_usage(f"operator api accepts exactly 1 argument, but {len(arguments)} arguments were found")
    has_body = method.upper() != "GET" and not os.isatty(0)
    method = method or ("POST" if has_body else "GET")
    given = [_header(text) for text in headers]
    target = _target(arguments[0], filter_text)
    if dryrun:
        out(_curl(api, method, target, given, has_body))
        return 0
    body = sys.stdin.buffer.read() if has_body else None
    if verbose:
        error("* Reading request body from stdin." if has_body else "* Sending no request body.")
        error(f"> {method} {target} HTTP/1.1\n>\n* Sending request and receiving response...")
    status, reason, answered, chunks = api.raw(method, target, body, dict(given))
    if verbose:
        error(f"< HTTP/1.1 {status} {reason}")
        error("\n".join(f"< {name}: {value}" for name, value in answered) + "\n<")
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    return 0


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition(":")
    if not separator:
        raise RaftnomadError(f'Invalid header: "{text}". Use the form "Name: value"')
    return name.strip(), value.strip()


def _target(argument: str, filter_text: str) -> str:
    """The path and query of a path or a whole address; `v1/jobs` is taken for `/v1/jobs`."""
    parts = urllib.parse.urlsplit(argument)
    path = parts.path if parts.path.startswith("/") else f"/{parts.path}"
    query = "&".join(filter(None, [parts.query, f"filter={urllib.parse.quote(filter_text)}" if filter_text else ""]))
    return path + (f"?{query}" if query else "")


def _curl(api: ApiClient, method: str, target: str, headers: list[tuple[str, str]], has_body: bool) -> str:
    settings = api.settings
    words = ["curl", f"-X {method}"] if method != "GET" else ["curl"]
    words += ["--data-binary @-"] if has_body else []
    words += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers]
    words += ['-H "X-Nomad-Token: ${NOMAD_TOKEN}"'] if settings.token else []
    for flag, value in (("cacert", settings.ca_cert), ("cert", settings.client_cert), ("key", settings.client_key)):
        words += [f"--{flag} {shlex.quote(value)}"] if value else []
    words.append(shlex.quote(settings.address.rstrip("/") + target))
    return " \\\n  ".join(words)
