"""Texts as readers see them: letters with their accents, joined emoji and flags are one character each."""

from __future__ import annotations

import unicodedata

_JOINER = "\u200d"


def count_characters(text: str) -> int:
    if text.isascii():
        return len(text) - text.count("\r\n")
    return len(characters(text))


def characters(text: str) -> list[str]:
    """The grapheme clusters of a text."""
    if text.isascii() and "\r\n" not in text:
        return list(text)
    clusters: list[str] = []
    flags = 0
    for code in text:
        before = clusters[-1] if clusters else ""
        flag = "\U0001f1e6" <= code <= "\U0001f1ff"
        if (before and (_extends(code) or before.endswith(_JOINER) or (code == "\n" and before == "\r"))) or (
            flag and flags % 2 == 1
        ):
            clusters[-1] += code
        else:
            clusters.append(code)
        flags = flags + 1 if flag else 0
    return clusters


def _extends(code: str) -> bool:
    marks = ("Mn", "Me", "Mc")
    return code == _JOINER or unicodedata.category(code) in marks or "\U0001f3fb" <= code <= "\U0001f3ff"
