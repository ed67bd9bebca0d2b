"""From a data directory to where the last run left off: who the server is, its log, and the state of its snapshot."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from raftnomad import errors
from raftnomad.raft.data_directory import JOURNAL, claim, note_journal
from raftnomad.raft.disk import Disk
from raftnomad.raft.journal import Journal
from raftnomad.raft.log import Machine
from raftnomad.raft.membership import MemberHistory
from raftnomad.raft.settings import RaftSettings
from raftnomad.raft.snapshots import NAME, RECEIVING, WRITING, SnapshotHeader, SnapshotParser, read_file

logger = logging.getLogger(__name__)

# The entry before all others, the same on every server: pysyncobj counts from 1 and takes the first as applied.
FIRST = (1, 0)


@dataclass(frozen=True, kw_only=True)
class Boot:
    journal: Journal
    history: MemberHistory
    snapshot: SnapshotHeader | None
    release: Callable[[], None]
    """Of the directory's lock."""


def boot(settings: RaftSettings, machine: Machine, disk: Disk, fail: Callable[[str], NoReturn]) -> Boot:
    """Everything waits for the disk here: nothing else runs yet. Raises DataDirectoryError."""
    identity, release = claim(settings.directory, disk, settings.server_id, settings.cluster_id, settings.first_members)
    try:
        journal = Journal(os.path.join(settings.directory, JOURNAL), disk, settings.segment_bytes, fail)
        _remove_unfinished(settings.directory, disk)
        snapshot = restore_snapshot(settings, machine, disk)
        journal.open(FIRST)
        note_journal(settings.directory, disk, identity)
        align(journal, snapshot, settings.directory)
        if snapshot is None:
            history = MemberHistory(FIRST[0], identity.first_members)
        else:
            history = MemberHistory(snapshot.index, snapshot.members)
        for command, index, _ in journal[:]:
            if index > history.last_change_index:
                history.appended(index, command)
    except BaseException:
        release()
        raise
    return Boot(journal=journal, history=history, snapshot=snapshot, release=release)


def _remove_unfinished(directory: str, disk: Disk) -> None:
    for name in (WRITING, RECEIVING):
        path = os.path.join(directory, name)
        if disk.exists(path):
            disk.remove(path)


def restore_snapshot(settings: RaftSettings, machine: Machine, disk: Disk) -> SnapshotHeader | None:
    """Load the snapshot into the machine; None when there is none. The machine changes only when all of it is right."""
    path = os.path.join(settings.directory, NAME)
    if not disk.exists(path):
        return None
    parser = SnapshotParser(path)
    restore = machine.begin_restore()
    file = disk.open(path)
    try:
        for data in read_file(file):
            for chunk in parser.feed(data):
                restore.feed(chunk)
    finally:
        file.close()
    if not parser.complete or parser.header is None:
        raise errors.DataDirectoryError(
            f"{path} is damaged: it is cut off. Restore it, or remove {settings.directory} and this server from the "
            "cluster, and let it join again as a new one"
        )
    if parser.header.cluster_id != settings.cluster_id:
        raise errors.DataDirectoryError(
            f"{path} is of cluster {parser.header.cluster_id}, not {settings.cluster_id}: the file was moved or copied"
        )
    restore.finish()
    return parser.header


def align(journal: Journal, snapshot: SnapshotHeader | None, directory: str) -> None:
    """Make log and snapshot meet. A crash can leave a snapshot that is newer than the log, never one that is older
    than its beginning. What the log holds beyond the snapshot is kept."""
    if snapshot is None:
        if journal.first_index > FIRST[0]:
            raise errors.DataDirectoryError(
                f"{os.path.join(directory, NAME)} is missing, and the log begins at entry {journal.first_index}"
            )
        return
    if snapshot.index < journal.first_index:
        raise errors.DataDirectoryError(
            f"the snapshot in {directory} ends at entry {snapshot.index}, the log begins at {journal.first_index}: "
            "what stands between is lost"
        )
    if journal.term_at(snapshot.index) != snapshot.term:
        logger.info("the log ends before the snapshot at entry %d: it begins there now", snapshot.index)
        journal.reset(snapshot.index, snapshot.term)
