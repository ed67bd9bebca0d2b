"""Who a data directory belongs to. Its server's id is made with it: a disk that was emptied is another server, which
has promised nothing, and not one that has forgotten its promises."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from raftnomad import errors
from raftnomad.identifiers import RandomBytes, new_id
from raftnomad.raft.disk import Disk
from raftnomad.raft.entries import pack_member, unpack_member
from raftnomad.raft.journal import segment_numbers
from raftnomad.raft.log import Member

VERSION = 1
_IDENTITY = "server.json"
_LOCK = "lock"
JOURNAL = "journal"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """`cluster_id` is empty until the server has joined one; `first_members` are those that it was started with."""

    server_id: str
    cluster_id: str = ""
    first_members: tuple[Member, ...] = ()
    has_journal: bool = False
    version: int = VERSION


def identify(directory: str, disk: Disk, random_bytes: RandomBytes) -> Identity:
    """The server that this directory belongs to; an empty one gets a new id. Raises DataDirectoryError."""
    path = os.path.join(directory, _IDENTITY)
    if disk.exists(path):
        return _read(path, disk)
    if disk.exists(os.path.join(directory, JOURNAL)):
        raise errors.DataDirectoryError(f"{path} is missing, yet {directory} holds a log: restore the file")
    disk.make_directory(directory)
    identity = Identity(server_id=new_id(random_bytes))
    _write(directory, identity, disk)
    return identity


def claim(
    directory: str, disk: Disk, server_id: str, cluster_id: str, first_members: tuple[Member, ...]
) -> tuple[Identity, Callable[[], None]]:
    """Lock the directory for this server, and settle its cluster and first members if it had none. Returns who it is
    and the lock's release. Raises DataDirectoryError when it is another's, in use, newer, or has lost its log."""
    disk.make_directory(directory)
    release = disk.lock(os.path.join(directory, _LOCK))
    if release is None:
        raise errors.DataDirectoryError(f"{directory} is in use by another agent: stop it, or choose another data_dir")
    try:
        return _settle(directory, disk, server_id, cluster_id, first_members), release
    except BaseException:
        release()
        raise


def _settle(directory: str, disk: Disk, server_id: str, cluster_id: str, first_members: tuple[Member, ...]) -> Identity:
    path = os.path.join(directory, _IDENTITY)
    identity = _read(path, disk) if disk.exists(path) else Identity(server_id=server_id)
    if identity.server_id != server_id:
        raise errors.DataDirectoryError(f"{directory} belongs to server {identity.server_id}, not {server_id}")
    if identity.cluster_id and identity.cluster_id != cluster_id:
        raise errors.DataDirectoryError(
            f"{directory} belongs to cluster {identity.cluster_id}, not {cluster_id}: "
            "choose another data_dir, or remove it to join as a new server"
        )
    if identity.has_journal and not segment_numbers(disk, os.path.join(directory, JOURNAL)):
        raise errors.DataDirectoryError(
            f"{os.path.join(directory, JOURNAL)} holds no log any more: restore it, or remove {directory} "
            "and this server from the cluster, and let it join again as a new one"
        )
    if not identity.cluster_id:
        identity = replace(identity, cluster_id=cluster_id, first_members=first_members)
        _write(directory, identity, disk)
    return identity


def note_journal(directory: str, disk: Disk, identity: Identity) -> None:
    """From now on a missing journal is a loss, not a beginning."""
    if not identity.has_journal:
        _write(directory, replace(identity, has_journal=True), disk)


def _read(path: str, disk: Disk) -> Identity:
    file = disk.open(path)
    try:
        content = json.loads(file.read(0, file.size()))
        version = content["version"]
        if version > VERSION:
            raise errors.DataDirectoryError(
                f"{os.path.dirname(path)} was written by a newer raftnomad (version {version}, this one knows "
                f"{VERSION}): run the newer version"
            )
        return Identity(
            server_id=content["server_id"],
            cluster_id=content["cluster_id"],
            first_members=tuple(unpack_member(member) for member in content["first_members"]),
            has_journal=content["has_journal"],
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise errors.DataDirectoryError(f"{path} is damaged: {error!r}") from error
    finally:
        file.close()


def _write(directory: str, identity: Identity, disk: Disk) -> None:
    content = {
        "version": identity.version,
        "server_id": identity.server_id,
        "cluster_id": identity.cluster_id,
        "first_members": [pack_member(member) for member in identity.first_members],
        "has_journal": identity.has_journal,
    }
    path = os.path.join(directory, _IDENTITY)
    file = disk.open(path + ".new", create=True)
    try:
        file.truncate(0)
        file.write(json.dumps(content, indent=2).encode(), 0)
        file.sync()
    finally:
        file.close()
    disk.rename(path + ".new", path)
    disk.sync_directory(directory)
