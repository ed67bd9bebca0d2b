"""The command tree: which words name which command. A command's module is imported only when it is called.

Nomad's single-dash flags and double-dash ones are the same; flags stand before arguments.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from raftnomad.cli import tree
from raftnomad.cli.output import error, out
from raftnomad.errors import RaftnomadError

PROGRAM = "nomad"
"""Names the program in messages, however the file is called, so that scripts see what they know."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point; returns nothing but exits with the command's code."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("-version", "--version", "-v"):
        arguments = ["version", *arguments[1:]]
    path, rest = _longest_command(arguments)
    if path in tree.ALIASES:
        path = tree.ALIASES[path]
    if path in tree.COMMANDS:
        return _call(path, rest)
    if path in tree.NOT_BUILT:
        error(f"{PROGRAM} {path} is not built yet")
        return 1
    return _group_help(path, rest)


def _longest_command(arguments: list[str]) -> tuple[str, list[str]]:
    """The longest run of words that names a command or a group, and what follows it."""
    words: list[str] = []
    for argument in arguments:
        candidate = " ".join([*words, argument])
        if candidate not in tree.KNOWN:
            break
        words.append(argument)
    return " ".join(words), arguments[len(words) :]


def _call(path: str, rest: list[str]) -> int:
    module_name, _, attribute = tree.COMMANDS[path][0].partition(":")
    command: click.Command = getattr(importlib.import_module(f"raftnomad.cli.{module_name}"), attribute)
    try:
        result = command.main(rest, prog_name=f"{PROGRAM} {path}", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.Abort:
        return 130
    except click.UsageError as wrong:
        error(wrong.format_message())
        error(f"For additional help try '{PROGRAM} {tree.SHOWN_AS.get(path, path)} -help'")
        return tree.USAGE_EXIT_CODES.get(path, 1)
    except RaftnomadError as failed:
        error(str(failed))
        return 1
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130
    return result if isinstance(result, int) else 0


def _group_help(path: str, rest: list[str]) -> int:
    """Help for a group or for everything: to stdout and 0 when it was asked for, else to stderr and non-zero."""
    asked = rest[:1] in (["-help"], ["--help"], ["-h"])
    text = tree.group_help(path, PROGRAM)
    if asked:
        out(text)
        return 0
    error(text)
    return 1 if path else 127
