"""`job init` and `node pool init`: an example to begin with, written into the current folder."""

from __future__ import annotations

import json as json_module
from pathlib import Path

import click

from raftnomad.cli.flags import command, option, switch
from raftnomad.cli.lookup import raise_usage
from raftnomad.cli.output import out
from raftnomad.errors import NotBuilt, RaftnomadError

_JOB = """\
job "example" {
  type = "service"

  group "cache" {
    count = 1

    network {
      port "db" {
        to = 6379
      }
    }

    task "redis" {
      driver = "docker"

      config {
        image = "redis:7"
        ports = ["db"]
      }

      resources {
        cpu    = 500
        memory = 256
      }
    }
  }
}
"""

_COMMENTS = {
    '  type = "service"': "A service runs until it is stopped; a batch job until its tasks are done.",
    '  group "cache" {': "The tasks of a group run together on one machine, `count` times.",
    '      port "db" {': "A free port of the machine; `to` is the port inside the container.",
    '      driver = "docker"': "What runs the task: docker, or raw_exec for a plain process.",
    "      resources {": "MHz and MiB that the task is promised.",
}

_POOL = """\
node_pool "example" {
  description = "Example node pool"

  meta {
    environment = "prod"
    owner       = "sre"
  }
}
"""

_POOL_JSON = {
    "Name": "example",
    "Description": "Example node pool",
    "Meta": {"environment": "prod", "owner": "sre"},
}


@command("[options] [<filename>]")
@switch("short", "Leave the explanations out")
@switch("connect", "An example with Consul's service mesh, which is not built")
@click.argument("arguments", nargs=-1)
def job(short: bool, connect: bool, arguments: tuple[str, ...]) -> int:
    """Write an example of a job file, by default to example.nomad.hcl."""
    if len(arguments) > 1:
        raise_usage("This command takes either no arguments or one: <filename>")
    if connect:
        raise NotBuilt("Consul's service mesh is not built yet")
    path = Path(arguments[0] if arguments else "example.nomad.hcl")
    _write(path, _JOB if short else explained(_JOB), f"Job '{path}' already exists")
    out(f"Example job file written to {path}")
    return 0


def explained(text: str) -> str:
    """The example with a comment above each line that needs one."""
    lines = []
    for line in text.splitlines():
        if comment := _COMMENTS.get(line):
            lines.append(f"{line[: len(line) - len(line.lstrip())]}# {comment}")
        lines.append(line)
    return "\n".join(lines) + "\n"


@command("[options] [<filename>]")
@option("out", "hcl or json", default="hcl", variable="kind")
@switch("quiet", "Print nothing")
@click.argument("arguments", nargs=-1)
def node_pool(kind: str, quiet: bool, arguments: tuple[str, ...]) -> int:
    """Write an example of a node pool file, by default to pool.nomad.hcl."""
    if len(arguments) > 1:
        raise_usage("This command takes no arguments or one: <filename>")
    if kind not in ("hcl", "json"):
        raise RaftnomadError(f'Unknown kind of file "{kind}": -out takes hcl or json')
    path = Path(arguments[0] if arguments else f"pool.nomad.{kind}")
    text = _POOL if kind == "hcl" else json_module.dumps(_POOL_JSON, indent=2) + "\n"
    _write(path, text, f'File "{path}" already exists')
    if not quiet:
        out(f"Example node pool specification written to {path}")
    return 0


def _write(path: Path, text: str, exists: str) -> None:
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError:
        raise RaftnomadError(exists) from None
    except OSError as wrong:
        raise RaftnomadError(f'Failed to write "{path}": open {path}: {(wrong.strerror or "").lower()}') from wrong
