"""The hint below a command's output that says where the same is shown in the web console."""

from __future__ import annotations

import os

from raftnomad.cli.output import coloured, error
from raftnomad.sdk.http import ApiClient


def show_hint(api: ApiClient, text: str, path: str) -> None:
    """On stderr, so that a pipe never sees it; NOMAD_CLI_SHOW_HINTS=0 turns it off."""
    if os.environ.get("NOMAD_CLI_SHOW_HINTS", "") in ("0", "f", "F", "false", "FALSE", "False"):
        return
    where = f"{api.settings.address}/ui/{path}"
    if coloured():
        error(f"\x1b[1m\x1b[35m\n\n==> {text} in the Web UI:\x1b[0m \x1b[34m{where}\x1b[0m\n")
    else:
        error(f"\n\n==> {text} in the Web UI: {where}\n")
