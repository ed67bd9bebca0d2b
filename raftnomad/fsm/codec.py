"""A command as the log's bytes: a versioned envelope of MessagePack, the command's fields by position.

An entry that this server does not understand must stop the server: skipping it would let its state differ from the
others' for ever.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from raftnomad.errors import BadRequest, TooLarge
from raftnomad.fsm.commands import KINDS, Command
from raftnomad.model.row import from_positional, positional, to_positional

FORMAT = 1
"""Raised when the envelope or the meaning of a command changes; servers of before then stop at the first such entry."""

PROPOSAL_BYTES_MAX = 4 * 1024 * 1024
"""The largest entry of the log."""

NUMBERS: dict[type[Command], int] = {kind: number for number, kind in KINDS.items()}


class UnknownCommand(Exception):
    """The log holds an entry that this server cannot read: of a newer version, or damaged. The server must stop."""


class Proposal(msgspec.Struct, frozen=True):
    """A command and who proposes it: (`proposer`, `sequence`) names the attempt, so that a retry is recognised.

    `time_ns` is the proposer's wall clock; an empty proposer is never remembered.
    """

    command: Command
    proposer: str = ""
    sequence: int = 0
    time_ns: int = 0


class _Envelope(msgspec.Struct, array_like=True, frozen=True):
    format: int
    kind: int
    proposer: str
    sequence: int
    time_ns: int
    body: msgspec.Raw


_encoder = msgspec.msgpack.Encoder()
_envelope_decoder = msgspec.msgpack.Decoder(_Envelope)


def encode(proposal: Proposal) -> bytes:
    """Raises TooLarge beyond the largest entry, BadRequest for what MessagePack can't carry (integers of 65 bits)."""
    command = proposal.command
    try:
        raw = _encoder.encode(
            (
                FORMAT,
                NUMBERS[type(command)],
                proposal.proposer,
                proposal.sequence,
                proposal.time_ns,
                to_positional(command),
            )
        )
    except (OverflowError, UnicodeEncodeError, TypeError, ValueError) as error:
        raise BadRequest(f"{type(command).__name__} holds a value that can't be stored: {error}") from error
    if len(raw) > PROPOSAL_BYTES_MAX:
        raise TooLarge(f"{type(command).__name__} takes {len(raw)} bytes; the log's limit is {PROPOSAL_BYTES_MAX}")
    return raw


def decode(raw: bytes) -> Proposal:
    """Raises UnknownCommand."""
    try:
        envelope = _envelope_decoder.decode(raw)
        if envelope.format != FORMAT or envelope.kind not in KINDS:
            raise UnknownCommand(
                f"the log holds a command of kind {envelope.kind}, format {envelope.format}; "
                f"this server knows format {FORMAT}: upgrade it"
            )
        kind = KINDS[envelope.kind]
        command = from_positional(_body_decoder(kind).decode(envelope.body), kind)
    except msgspec.MsgspecError as error:
        raise UnknownCommand(f"the log holds an entry that can't be read: {error}") from error
    return Proposal(command, envelope.proposer, envelope.sequence, envelope.time_ns)


@cache
def _body_decoder(kind: type[Command]) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(positional(kind))
