"""From what the user typed to one object: full ids and prefixes of them, and what to say when several match."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, NoReturn

from raftnomad.cli.output import columns, out
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient, ConnectionFailed, UnexpectedResponse

UUID_LENGTH = 36


class Ambiguous(RaftnomadError):
    """Several objects match; the message lists them."""


def sanitize_prefix(prefix: str) -> str:
    """An id prefix as the servers can search it: without the odd hexadecimal digit at its end."""
    digits = prefix.replace("-", "")
    if len(digits) % 2 == 1 and len(prefix) < UUID_LENGTH:
        return prefix[:-1]
    return prefix


def by_prefix(
    api: ApiClient,
    prefix: str,
    *,
    path: str,
    noun: str,
    failing: str,
    table: Callable[[list[dict[str, Any]]], str],
    missing: str = 'No {noun}(s) with prefix or id "{prefix}" found',
    too_short: str = "Identifier must contain at least two characters.",
) -> dict[str, Any]:
    """The one stub of the list route `path` whose id starts with `prefix`.

    failing: `Error querying allocation`, said before an error of the request. missing and too_short: what Nomad's
    command says when there is none, and of a prefix of one character.
    """
    if len(prefix) == 1:
        raise RaftnomadError(too_short)
    prefix = sanitize_prefix(prefix)
    stubs = asked(failing, lambda: api.get(path, {"prefix": prefix}).json()) or []
    if not stubs:
        raise RaftnomadError(missing.format(noun=noun, prefix=prefix))
    if len(stubs) > 1:
        raise Ambiguous(f"Prefix matched multiple {noun}s\n\n{table(stubs)}")
    found: dict[str, Any] = stubs[0]
    return found


def job_by_prefix(api: ApiClient, job_id: str, failing: str) -> tuple[str, str]:
    """(namespace, id) of the job that is named so, or of the only one whose id starts so."""
    stubs: list[dict[str, Any]] = asked(failing, lambda: api.get("/v1/jobs", {"prefix": job_id}).json()) or []
    exact = [stub for stub in stubs if stub["ID"] == job_id]
    if len(exact) == 1:
        stubs = exact
    if not stubs:
        raise RaftnomadError(f'No job(s) with prefix or ID "{job_id}" found')
    if len(stubs) > 1:
        from raftnomad.cli.job_status import job_table

        all_namespaces = api.settings.namespace == "*"
        raise Ambiguous(f'Prefix "{job_id}" matched multiple jobs\n\n{job_table(stubs, all_namespaces)}')
    return stubs[0].get("Namespace") or api.settings.namespace or "default", stubs[0]["ID"]


def asked(failing: str, call: Callable[[], Any]) -> Any:
    """Run a request; a failure is told as `failing: why`."""
    try:
        return call()
    except (ConnectionFailed, UnexpectedResponse) as failed:
        raise RaftnomadError(f"{failing}: {failed}") from failed


def one_argument(arguments: Sequence[str], expectation: str) -> str:
    """The single argument, or a usage error that says what was expected."""
    if len(arguments) != 1:
        raise_usage(expectation)
    return arguments[0]


def raise_usage(expectation: str) -> NoReturn:
    import click

    raise click.UsageError(expectation)


class Answer(Enum):
    """What was answered to a question for yes or no."""

    YES = "yes"
    NO = "no"
    NEITHER = "neither"


def ask(question: str) -> Answer:
    """Ask on the terminal; only an exact `y` is yes, and nothing at all is no."""
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:
        out("")
        raise RaftnomadError("Failed to parse answer: EOF") from None
    if answer.lower() in ("", "n", "no"):
        return Answer.NO
    return Answer.YES if answer == "y" else Answer.NEITHER


def plain_table(rows: Sequence[Sequence[str]]) -> str:
    return columns(rows, empty="<none>")
