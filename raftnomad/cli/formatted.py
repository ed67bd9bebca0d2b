"""`-json` and `-t`: what the API answered as JSON with every field, or through a Go template.

The servers leave out empty fields here and there. Go's API package, which people's templates and `jq` programs were
written against, has them all; `kind`, one of the names in `shapes.KINDS`, says what an answer has to look like.
"""

from __future__ import annotations

import json as json_module
from typing import Any

from raftnomad.errors import RaftnomadError


def one_format(json: bool, template: str | None) -> None:
    """Refuse both formats at once, before anything is asked or done."""
    if json and template:
        raise RaftnomadError("Both json and template formatting are not allowed")


def formatted(value: Any, template: str | None, kind: str = "") -> str:
    """`value`, or each of its elements if it is a list, has the shape of `kind`. JSON unless there is a template."""
    if template:
        from raftnomad.cli.go_template import render

        return render(template, value, kind)
    return full_json(value, kind)


def full_json(value: Any, kind: str = "") -> str:
    """JSON as Nomad's command line prints it: keys sorted, four blanks of indentation."""
    if kind:
        from raftnomad.cli.shapes import KINDS, completed

        value = completed(value, KINDS[kind])
    return json_module.dumps(value, indent=4, sort_keys=True, ensure_ascii=False)
