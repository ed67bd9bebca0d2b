"""Go templates for `-t`, with the package `gotpl`, which is installed with raftnomad's extra `templates`.

Templates see what Go's would: a struct complains about a field that it does not have, a map gives `<no value>`, and
durations print as `1h30m`.
"""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

from raftnomad.cli.shapes import KINDS, Duration, walked
from raftnomad.durations import format_duration
from raftnomad.errors import RaftnomadError

if TYPE_CHECKING:
    from raftnomad.model.row import Row


class _NoSuchField(Exception):
    """A template asked a struct for a field that it does not have."""


class Record:
    """A Go struct for templates."""

    def __init__(self, type_name: str, fields: dict[str, Any]) -> None:
        self._type_name = type_name
        self._fields = fields

    def __gotemplate_lookup__(self, name: str) -> Any:
        if name not in self._fields:
            raise _NoSuchField(name, self._type_name)
        return self._fields[name]

    def __repr__(self) -> str:
        return "{" + " ".join(map(str, self._fields.values())) + "}"


class _Duration(int):
    def __str__(self) -> str:
        return format_duration(int(self))


def render(template: str, value: Any, kind: str) -> str:
    """The text of a template over an answer of the API."""
    try:
        import gotpl
    except ImportError:
        raise RaftnomadError(
            "Formatting with -t needs the package gotpl: install raftnomad[templates], or use -json and jq"
        ) from None
    data = walked(value, KINDS[kind], _record, _leaf) if kind else value
    try:
        text: str = gotpl.Template(template).render(data)
    except _NoSuchField as missing:
        name, type_name = missing.args
        before = template[: template.find(f".{name}")]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n") - 1
        raise RaftnomadError(
            f'Error formatting the data: template: :{line}:{column}: executing "" at <.{name}>: '
            f"can't evaluate field {name} in type {type_name}"
        ) from None
    except gotpl.TemplateSyntaxError as wrong:
        _, _, why = str(wrong).split(":", 3)[1:]
        raise RaftnomadError(f"Error formatting the data: template: :{wrong.line}:{why}") from wrong
    except gotpl.TemplateError as wrong:
        message = str(wrong).replace("template: template:", "template: :").replace('"template"', '""')
        raise RaftnomadError(f"Error formatting the data: {message}") from wrong
    return text


def _record(kind: type[Row], fields: dict[str, Any]) -> Record:
    names = [name for name, known in KINDS.items() if known is kind] or [kind.__name__]
    return Record("command.JobJson" if names[0] == "JobJson" else f"*api.{names[0]}", fields)


def _leaf(hint: Any, value: Any) -> Any:
    """Go's nil slices and maps are empty, and durations are durations."""
    if value is None:
        return {dict: {}, tuple: [], list: []}.get(typing.get_origin(hint))
    return _Duration(value) if hint is Duration and isinstance(value, int) else value
