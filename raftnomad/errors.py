"""Every exception that crosses a package boundary, each with the HTTP status that it becomes.

The text of an error tells a person what to do next and names the thing: job, node, field, line and column.
"""

from __future__ import annotations


class RaftnomadError(Exception):
    """The caller or the world is at fault. Bugs are `assert`ions and never this."""

    status = 500


class BadRequest(RaftnomadError):
    status = 400


class Forbidden(RaftnomadError):
    status = 403


class NotFound(RaftnomadError):
    status = 404


class MethodNotAllowed(RaftnomadError):
    status = 405

    def __init__(self, message: str = "Invalid method") -> None:
        super().__init__(message)


class Conflict(RaftnomadError):
    status = 409


class TooLarge(RaftnomadError):
    status = 413


class Overloaded(RaftnomadError):
    """A queue is full. Nothing was done; try again later."""

    status = 429


class NotBuilt(RaftnomadError):
    """Nomad has it, raftnomad does not have it yet. Nothing was done."""

    status = 501


class CommandRejected(RaftnomadError):
    """The log applied the command and the state refused it: it changed under the caller, or never allowed it."""

    def __init__(self, reason: str, status: int = 500) -> None:
        super().__init__(reason)
        self.status = status


class NoLeader(RaftnomadError):
    """Nothing was written: no server leads, or the leader cannot be reached."""

    def __init__(self, message: str = "No cluster leader") -> None:
        super().__init__(message)


class OutcomeUnknown(RaftnomadError):
    """The write may have happened and may still happen. Read before you try again."""


class ConfigurationError(RaftnomadError):
    """An agent can't start as configured; the message names the key and the way out."""


class DataDirectoryError(RaftnomadError):
    """A data directory that this agent must not or cannot use: another server's, newer, in use or damaged."""


class PeerError(RaftnomadError):
    """Another server sent what it must not, or one refused the other; the connection is closed."""


class NoPathToNode(RaftnomadError):
    status = 404

    def __init__(self, message: str = "No path to node") -> None:
        super().__init__(message)


class JobFileError(BadRequest):
    """A job file, or what was given for its variables, that cannot be used; the text has every place and reason."""

    def __init__(self, message: str, diagnostics: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics
