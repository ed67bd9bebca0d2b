"""What a server has to remember of its own standing: how often it spoke, and to whom it has promised itself.

One small JSON file in the server's data directory, replaced whole and synced before anything of it is told to others.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raftnomad.errors import DataDirectoryError, PeerError
from raftnomad.members.record import (
    Proposal,
    Stage,
    members_from_wire,
    members_to_wire,
    proposal_from_wire,
    proposal_to_wire,
)
from raftnomad.raft.log import Member

FILE_NAME = "standing.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Standing:
    """version: see `Record.version`.

    promised_version: of the proposer's record that the promise was given to; only a later one can release from it.
    cluster_id, members: once founded or joined; the members are those of that moment.
    """

    version: int = 0
    stage: Stage = Stage.EMPTY
    proposal: Proposal | None = None
    promised_version: int = 0
    cluster_id: str = ""
    members: tuple[Member, ...] = ()


def load(directory: Path, server_id: str) -> Standing:
    """The standing kept in a directory, or that of a new server. Raises DataDirectoryError."""
    path = directory / FILE_NAME
    try:
        text = path.read_text()
    except FileNotFoundError:
        return Standing()
    try:
        stored = json.loads(text)
        if stored["format"] != FORMAT:
            raise DataDirectoryError(f"{path} has format {stored['format']}, this version reads {FORMAT}")
        if stored["server_id"] != server_id:
            raise DataDirectoryError(f"{path} is of server {stored['server_id']}, this one is {server_id}")
        return _from_stored(stored)
    except (ValueError, KeyError, TypeError, PeerError) as error:
        # It was replaced whole, so this is no torn write: forgetting a promise could make two clusters of one.
        raise DataDirectoryError(
            f"{path} is damaged ({error}): restore it, or start with an empty directory"
        ) from error


def _from_stored(stored: dict[str, Any]) -> Standing:
    proposal = stored["proposal"]
    return Standing(
        version=int(stored["version"]),
        stage=Stage(stored["stage"]),
        proposal=None if proposal is None else proposal_from_wire(proposal),
        promised_version=int(stored["promised_version"]),
        cluster_id=str(stored["cluster_id"]),
        members=members_from_wire(stored["members"]),
    )


def save(directory: Path, server_id: str, standing: Standing) -> None:
    """Durable when it returns; blocks for two syncs. Raises OSError, after which nothing may be told to others."""
    stored = {
        "format": FORMAT,
        "server_id": server_id,
        "version": standing.version,
        "stage": str(standing.stage),
        "proposal": None if standing.proposal is None else proposal_to_wire(standing.proposal),
        "promised_version": standing.promised_version,
        "cluster_id": standing.cluster_id,
        "members": members_to_wire(standing.members),
    }
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f"{FILE_NAME}.new"
    with temporary.open("w") as file:
        json.dump(stored, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / FILE_NAME)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
