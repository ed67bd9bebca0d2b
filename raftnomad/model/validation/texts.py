"""How several messages become one text."""

from __future__ import annotations

from collections.abc import Sequence


def multierror(errors: Sequence[str]) -> str:
    """Several errors as one text; an error may itself be such a text."""
    count = "1 error occurred" if len(errors) == 1 else f"{len(errors)} errors occurred"
    return f"{count}:\n" + "".join(f"\t* {error}\n" for error in errors) + "\n"


def multiwarning(found: Sequence[str]) -> str:
    count = "1 warning" if len(found) == 1 else f"{len(found)} warnings"
    return f"{count}:\n\n" + "\n".join(f"* {warning}" for warning in found)


def wrapped(what: str, errors: Sequence[str]) -> list[str]:
    """One message that says what failed, with the reasons inside; none if there are no reasons."""
    return [f"{what}: {multierror(errors)}"] if errors else []


def nested(errors: Sequence[str]) -> list[str]:
    return [multierror(errors)] if errors else []
