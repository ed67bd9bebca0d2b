"""Taking snapshots while the log goes on: a dump is written slice by slice between applies, never by a fork."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import NoReturn

from raftnomad.raft.core import Core
from raftnomad.raft.disk import Disk
from raftnomad.raft.log import Dump, Machine
from raftnomad.raft.settings import RaftSettings
from raftnomad.raft.snapshots import NAME, SnapshotHeader, SnapshotWriter
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)

_SYNC_EVERY_BYTES = 8 << 20
_RETRY_ENTRIES = 1024


class Snapshotting:
    def __init__(
        self,
        core: Core,
        settings: RaftSettings,
        machine: Machine,
        disk: Disk,
        last: SnapshotHeader | None,
        tasks: Tasks,
        kick: Callable[[], None],
        fail: Callable[[str], NoReturn],
    ) -> None:
        self._core = core
        self._settings = settings
        self._machine = machine
        self._disk = disk
        self._tasks = tasks
        self._kick = kick
        self._fail = fail
        self._busy = False
        self._not_before = 0
        self.publishing = asyncio.Lock()
        """Held while a snapshot gets its name: an older one must not replace a newer."""
        self.last = last
        """The newest durable one."""
        if last is not None:
            self._forget_entries()

    @property
    def index(self) -> int:
        return self.last.index if self.last else 0

    @property
    def term(self) -> int:
        return self.last.term if self.last else 0

    @property
    def path(self) -> str:
        return os.path.join(self._settings.directory, NAME)

    def take_if_due(self) -> None:
        core, settings = self._core, self._settings
        applied = core.applied_index
        many = applied - max(self.index, 1) >= settings.snapshot_entries
        large = core.journal.entry_bytes >= settings.snapshot_bytes + settings.trailing_bytes
        if (many or large) and applied >= self._not_before:
            self.take()

    def take(self) -> None:
        """Of the state as it is now; nothing happens while one is being taken, or when nothing is new."""
        core = self._core
        if self._busy or core.applied_index <= self.index:
            return
        term = core.journal.term_at(core.applied_index)
        assert term is not None
        header = SnapshotHeader(
            index=core.applied_index,
            term=term,
            members=core.history.at(core.applied_index),
            cluster_id=self._settings.cluster_id,
        )
        self._busy = True
        self._tasks.start(self._write(header, self._machine.open_dump()), "snapshot")

    async def _write(self, header: SnapshotHeader, dump: Dump) -> None:
        try:
            await self._write_file(header, dump)
        finally:
            self._busy = False
            self._kick()

    async def _write_file(self, header: SnapshotHeader, dump: Dump) -> None:
        try:
            writer = SnapshotWriter(self._disk, self._settings.directory, header)
            try:
                await self._copy(dump, writer)
            except OSError:
                writer.abandon()
                raise
        except OSError as error:
            # The log is untouched: what is not forgotten is not lost.
            logger.error("no snapshot at entry %d: %s", header.index, error)
            self._not_before = header.index + _RETRY_ENTRIES
            return
        finally:
            dump.close()
        await self._durably(writer.sync)
        async with self.publishing:
            if header.index <= self.index:
                writer.abandon()  # The leader has sent a newer one meanwhile.
                return
            await self._durably(writer.publish)
            self.took(header)

    async def _copy(self, dump: Dump, writer: SnapshotWriter) -> None:
        unsynced = 0
        while (chunk := dump.next_chunk()) is not None:
            writer.write(chunk)
            unsynced += len(chunk)
            if unsynced >= _SYNC_EVERY_BYTES:
                unsynced = 0
                await self._durably(writer.sync)
            await asyncio.sleep(0)
        writer.finish()

    async def _durably(self, work: Callable[[], None]) -> None:
        try:
            await self._disk.in_background(work, bulk=True)
        except OSError as error:
            self._fail(f"{self.path} can't be made durable: {error}")

    def took(self, header: SnapshotHeader) -> None:
        """A snapshot is durable under its name."""
        self.last = header
        self._core.history.compacted(header.index)
        self._forget_entries()

    def _forget_entries(self) -> None:
        """Keep a tail behind the snapshot, so that a follower that was away for a while needs no snapshot."""
        journal = self._core.journal
        index = max(journal.first_index, self.index - self._settings.trailing_entries)
        room = self._settings.trailing_bytes - sum(len(entry[0]) for entry in journal[index - journal.first_index :])
        while room < 0 and index < self.index:
            room += len(journal.entry(index)[0])
            index += 1
        journal.compact(index)
