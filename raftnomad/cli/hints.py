"""The hint below a command's output that says where the same is shown in the web console."""

from __future__ import annotations

import os

from raftnomad.cli.output import error
from raftnomad.sdk.http import ApiClient


def show_hint(api: ApiClient, text: str, path: str) -> None:
    """On stderr, so that a pipe never sees it; NOMAD_CLI_SHOW_HINTS=0 turns it off."""
    if os.environ.get("NOMAD_CLI_SHOW_HINTS", "") in ("0", "f", "F", "false", "FALSE", "False"):
        return
    error(f"\n\n==> {text} in the Web UI: {api.settings.address}/ui/{path}\n")
