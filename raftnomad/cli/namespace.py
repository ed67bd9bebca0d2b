"""`namespace apply`, `list`, `status`, `inspect` and `delete`."""

from __future__ import annotations

import os
import urllib.parse
from typing import Any

import click

from raftnomad.cli.flags import command, connects, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.lookup import Ambiguous, asked, one_argument, raise_usage
from raftnomad.cli.output import columns, error, key_values, out, section
from raftnomad.cli.specification import as_text, parse_hcl, parse_json, read_text
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient

RETRIEVE_FAILED = "Error retrieving namespaces"
USAGE = "This command takes one argument: <namespace>"


@command("[options] <input>")
@option("description", "A description of the namespace", default=None)
@option("quota", "A quota, which there are none of", default=None)
@switch("json", "The file is JSON, not HCL")
@connects
@click.argument("arguments", nargs=-1)
def apply(api: ApiClient, description: str | None, quota: str | None, json: bool, arguments: tuple[str, ...]) -> int:
    """Make or change a namespace, from a file or, if there is no file of this name, by its name.

    A file replaces the whole namespace; a name changes only what flags say.
    """
    argument = one_argument(arguments, "This command takes one argument: <input>")
    if argument == "-" or os.path.isfile(argument):
        if description is not None or quota is not None:
            error("Warning: the flags -description and -quota are ignored when a file is given")
        text = read_text(argument)
        namespace = parse_json(text) if json else _from_hcl(parse_hcl(text))
    else:
        namespace = _known(api, argument) | {"Name": argument}
        namespace |= {} if description is None else {"Description": description}
        namespace |= {} if quota is None else {"Quota": quota}
    asked("Error applying namespace", lambda: api.put("/v1/namespace", namespace))
    out(f'Successfully applied namespace "{namespace.get("Name", "")}"!')
    return 0


def _known(api: ApiClient, name: str) -> dict[str, Any]:
    """The namespace as it is; nothing if there is none of this name."""
    found: list[dict[str, Any]] = asked("Error applying namespace", lambda: api.get("/v1/namespaces").json()) or []
    return next((namespace for namespace in found if namespace["Name"] == name), {})


def _path(name: str) -> str:
    return f"/v1/namespace/{urllib.parse.quote(name, safe='')}"


def _from_hcl(values: dict[str, Any]) -> dict[str, Any]:
    """Unknown keys are left out: such files are read leniently."""
    namespace: dict[str, Any] = {"Name": values.get("name", ""), "Description": values.get("description", "")}
    namespace["Quota"] = values.get("quota", "")
    if meta := values.get("meta"):
        namespace["Meta"] = {key: as_text(value) for key, value in meta.items()}
    if capabilities := values.get("capabilities"):
        names = ("enabled_task_drivers", "disabled_task_drivers", "enabled_network_modes", "disabled_network_modes")
        namespace["Capabilities"] = {_go(name): capabilities.get(name) for name in names}
    if pools := values.get("node_pool_config"):
        namespace["NodePoolConfiguration"] = {_go(name): value for name, value in pools.items()}
    return namespace


def _go(name: str) -> str:
    return name.title().replace("_", "")


@command("[options]")
@switch("json", "Output the namespaces in their JSON format")
@option("t", "Format and display namespaces using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def list_namespaces(api: ApiClient, json: bool, template: str | None, arguments: tuple[str, ...]) -> int:
    """List the namespaces."""
    if arguments:
        raise_usage("This command takes no arguments")
    one_format(json, template)
    namespaces = asked(RETRIEVE_FAILED, lambda: api.get("/v1/namespaces").json()) or []
    if json or template:
        out(formatted(namespaces, template, "Namespace"))
        return 0
    out(_table(namespaces) if namespaces else "No namespaces found")
    return 0


def _table(namespaces: list[dict[str, Any]]) -> str:
    rows = sorted([namespace["Name"], namespace["Description"]] for namespace in namespaces)
    return columns([["Name", "Description"], *rows], empty="<none>")


def _find(api: ApiClient, argument: str) -> dict[str, Any]:
    """The namespace of this name, or the only one whose name starts so."""
    found: list[dict[str, Any]] = (
        asked(RETRIEVE_FAILED, lambda: api.get("/v1/namespaces", {"prefix": argument}).json()) or []
    )
    found = [namespace for namespace in found if namespace["Name"] == argument] or found
    if not found:
        raise RaftnomadError(f'{RETRIEVE_FAILED}: Namespace "{argument}" matched no namespaces')
    if len(found) > 1:
        raise Ambiguous(f"Prefix matched multiple namespaces\n\n{_table(found)}")
    return found[0]


@command("[options] <namespace>")
@switch("json", "Output the namespace in its JSON format")
@option("t", "Format and display the namespace using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def status(api: ApiClient, json: bool, template: str | None, arguments: tuple[str, ...]) -> int:
    """Display a namespace, and what is allowed in it."""
    one_format(json, template)
    namespace = _find(api, one_argument(arguments, USAGE))
    if json or template:
        out(formatted(namespace, template, "Namespace"))
        return 0
    allowed = namespace.get("Capabilities") or {}

    def names(key: str, otherwise: str) -> str:
        return ",".join(allowed.get(key) or ()) or otherwise

    pairs = [
        ("Name", namespace["Name"]),
        ("Description", namespace["Description"]),
        ("Quota", namespace["Quota"]),
        ("Enabled Drivers", names("EnabledTaskDrivers", "*")),
        ("Disabled Drivers", names("DisabledTaskDrivers", "")),
        ("Enabled Network Modes", names("EnabledNetworkModes", "*")),
        ("Disabled Network Modes", names("DisabledNetworkModes", "")),
    ]
    out(key_values(pairs))
    if meta := namespace.get("Meta"):
        out("\n" + section("Metadata", key_values(sorted(meta.items()))))
    return 0


@command("[options] <namespace>")
@option("t", "Format and display the namespace using a Go template", default=None, variable="template")
@connects
@click.argument("arguments", nargs=-1)
def inspect(api: ApiClient, template: str | None, arguments: tuple[str, ...]) -> int:
    """Show a namespace in JSON."""
    out(formatted(_find(api, one_argument(arguments, USAGE)), template, "Namespace"))
    return 0


@command("[options] <namespace>")
@connects
@click.argument("arguments", nargs=-1)
def delete(api: ApiClient, arguments: tuple[str, ...]) -> int:
    """Delete a namespace in which nothing runs."""
    name = one_argument(arguments, USAGE)
    asked("Error deleting namespace", lambda: api.delete(_path(name)))
    out(f'Successfully deleted namespace "{name}"!')
    return 0
