"""`version`: what this is, and which Nomad its interfaces are those of."""

from __future__ import annotations

import click

from raftnomad.cli.flags import command
from raftnomad.cli.output import out
from raftnomad.version import NOMAD_VERSION, VERSION


@command("")
@click.argument("arguments", nargs=-1)
def version(arguments: tuple[str, ...]) -> None:
    """Print the version of raftnomad, and of the Nomad whose interfaces it speaks."""
    out(f"Nomad v{NOMAD_VERSION}")
    out(f"raftnomad v{VERSION}")
