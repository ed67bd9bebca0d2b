"""What is wrong with a file, and exactly where.

A tree keeps offsets only; lines and columns are counted when there is something to say.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from raftnomad.hcl.characters import count_characters


class Position(NamedTuple):
    line: int
    column: int


class Source(msgspec.Struct, frozen=True, gc=False):
    """A file's name, as messages shall show it, and its text."""

    name: str
    text: str

    def position(self, offset: int) -> Position:
        """Line and column, counted from 1; a column is what a reader sees as one character."""
        line_start = self.text.rfind("\n", 0, offset) + 1
        line = self.text.count("\n", 0, line_start) + 1
        return Position(line, count_characters(self.text[line_start:offset]) + 1)

    def line_at(self, offset: int) -> str:
        start = self.text.rfind("\n", 0, offset) + 1
        end = self.text.find("\n", offset)
        return self.text[start : len(self.text) if end < 0 else end]


class Diagnostic(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that is wrong.

    Without a source it concerns no place in a file; a source without a name is a value from outside of all files.
    """

    summary: str
    detail: str
    source: Source | None = None
    start: int = 0
    end: int = 0

    def __str__(self) -> str:
        return f"{self.place()}: {self.summary}; {self.detail}"

    def place(self) -> str:
        """`web.hcl:2,3-7`, or over several lines `web.hcl:2,3-4,1`."""
        if self.source is None:
            return "<nil>"
        if not self.source.name:
            return ":0,0-0"
        return f"{self.source.name}:{place(self.source, self.start, self.end)}"


def place(source: Source, start: int, end: int) -> str:
    first, last = source.position(start), source.position(end)
    if first.line == last.line:
        return f"{first.line},{first.column}-{last.column}"
    return f"{first.line},{first.column}-{last.line},{last.column}"


class HclError(Exception):
    """A file that cannot be used; the diagnostics stand in the order in which they were found."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("\n".join(map(str, diagnostics)))
        self.diagnostics = diagnostics
