"""What is wrong with a job, and what is only odd about it, in Nomad's words."""

from __future__ import annotations

from raftnomad.model.job import Job


def validate(job: Job) -> list[str]:
    """Everything for which a complete job is refused; empty if it is fine."""
    return []


def warnings(job: Job) -> list[str]:
    """What is odd about a job that is not refused for it."""
    return []


def multierror(errors: list[str]) -> str:
    """Several errors as one text; an error may itself be such a text."""
    count = "1 error occurred" if len(errors) == 1 else f"{len(errors)} errors occurred"
    return f"{count}:\n" + "".join(f"\t* {error}\n" for error in errors) + "\n"


def multiwarning(found: list[str]) -> str:
    count = "1 warning" if len(found) == 1 else f"{len(found)} warnings"
    return f"{count}:\n\n" + "\n".join(f"* {warning}" for warning in found)
