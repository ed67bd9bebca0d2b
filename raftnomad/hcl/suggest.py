"""What somebody may have meant by a word that is not known."""

from __future__ import annotations

from collections.abc import Iterable


def suggestion(given: str, known: Iterable[str]) -> str | None:
    """The first of the known words that is less than three letters away."""
    return next((word for word in known if abs(len(word) - len(given)) < 3 and _distance(given, word) < 3), None)


def _distance(left: str, right: str) -> int:
    """How many letters have to be put in, taken out or changed (Levenshtein)."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        above, row[0] = row[0], i
        for k, b in enumerate(right, 1):
            above, row[k] = row[k], min(row[k] + 1, row[k - 1] + 1, above + (a != b))
    return row[-1]
