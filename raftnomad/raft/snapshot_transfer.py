"""Sending a snapshot to a follower that lacks more than the log still holds, and building its state there aside.

The leader sends a window of chunks; the follower says what it expects next, and that is also how a transfer goes on
after a lost message or connection. The follower's state changes in one step, when all of it has come, is verified
and is durable.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from raftnomad import errors
from raftnomad.raft.core import Core
from raftnomad.raft.disk import Disk, DiskFile
from raftnomad.raft.log import Machine, Restore
from raftnomad.raft.network import Message, Network
from raftnomad.raft.settings import RaftSettings
from raftnomad.raft.snapshots import RECEIVING, SnapshotHeader, SnapshotParser, publish, read_header
from raftnomad.raft.snapshotting import Snapshotting
from raftnomad.tasks import Tasks

logger = logging.getLogger(__name__)

_STALLED_S = 1.0


@dataclass(slots=True, eq=False)
class _Stream:
    """One follower's transfer. The file stays readable though a newer snapshot takes its name."""

    header: SnapshotHeader
    file: DiskFile
    size: int
    moved_s: float
    sent: int = 0
    received: int = 0


class SnapshotSender:
    def __init__(
        self,
        core: Core,
        settings: RaftSettings,
        network: Network,
        disk: Disk,
        snapshots: Snapshotting,
        send: Callable[[str, Message], bool],
        monotonic_s: Callable[[], float],
    ) -> None:
        self._core = core
        self._settings = settings
        self._network = network
        self._disk = disk
        self._snapshots = snapshots
        self._send = send
        self._now = monotonic_s
        self._streams: dict[str, _Stream | None] = {}
        """None while the first snapshot is still being taken."""

    def begin(self, peer_id: str) -> None:
        if peer_id not in self._streams:
            logger.info("%s lacks entries that the log holds no more: it is sent a snapshot", peer_id)
            self._streams[peer_id] = self._open()
            if self._streams[peer_id] is None:
                self._snapshots.take()

    def serves(self, peer_id: str) -> bool:
        return peer_id in self._streams

    def disconnected(self, peer_id: str) -> None:
        self._close(peer_id)

    def stop(self) -> None:
        for peer_id in list(self._streams):
            self._close(peer_id)

    def pump(self) -> None:
        """Send as far as windows and connections have room."""
        for peer_id, stream in list(self._streams.items()):
            if stream is None:
                stream = self._streams[peer_id] = self._open()
            if stream is not None:
                self._pump_stream(peer_id, stream)

    def _pump_stream(self, peer_id: str, stream: _Stream) -> None:
        if self._now() - stream.moved_s > _STALLED_S:
            stream.sent, stream.moved_s = stream.received, self._now()
        window = self._settings.snapshot_chunk_bytes * self._settings.snapshot_window_chunks
        while stream.sent < stream.size and stream.sent - stream.received < window and self._network.writable(peer_id):
            data = stream.file.read(stream.sent, self._settings.snapshot_chunk_bytes)
            if not data or not self._send(peer_id, self._chunk(stream, data)):
                return
            stream.sent += len(data)

    def _chunk(self, stream: _Stream, data: bytes) -> Message:
        return {
            "type": "snapshot",
            "term": self._core.term,
            "index": stream.header.index,
            "snapshot_term": stream.header.term,
            "size": stream.size,
            "offset": stream.sent,
            "data": data,
        }

    def on_received(self, peer_id: str, message: Message) -> None:
        stream = self._streams.get(peer_id)
        if stream is None or message["term"] != self._core.term or message["index"] != stream.header.index:
            return
        if message["done"]:
            self._close(peer_id)
            self._core.acknowledged(peer_id, stream.header.index + 1, reset=True)
            return
        offset = min(message["offset"], stream.size)
        if offset == 0 < stream.received:
            # What it had was no use to it: perhaps what is here now is.
            self._close(peer_id)
            self.begin(peer_id)
            return
        if offset != stream.received:
            stream.moved_s = self._now()
        if not stream.received <= offset <= stream.sent:
            stream.sent = offset  # It has more from an earlier connection, or begins again.
        stream.received = offset

    def _open(self) -> _Stream | None:
        if self._snapshots.last is None:
            return None
        file = self._disk.open(self._snapshots.path)
        # Its own header counts: while a newer one gets the name, the file may already be that one and not `last`.
        return _Stream(header=read_header(file), file=file, size=file.size(), moved_s=self._now())

    def _close(self, peer_id: str) -> None:
        stream = self._streams.pop(peer_id, None)
        if stream is not None:
            stream.file.close()


@dataclass(slots=True, eq=False)
class _Arriving:
    source: tuple[str, int, int, int]
    """Leader, index, term, size: bytes of one must never be taken for another's."""
    file: DiskFile
    parser: SnapshotParser
    restore: Restore
    received: int = 0
    whole: bool = False


class SnapshotReceiver:
    def __init__(
        self,
        core: Core,
        settings: RaftSettings,
        machine: Machine,
        network: Network,
        disk: Disk,
        snapshots: Snapshotting,
        tasks: Tasks,
        kick: Callable[[], None],
        fail: Callable[[str], NoReturn],
    ) -> None:
        self._core = core
        self._settings = settings
        self._machine = machine
        self._network = network
        self._disk = disk
        self._snapshots = snapshots
        self._tasks = tasks
        self._kick = kick
        self._fail = fail
        self._arriving: _Arriving | None = None

    def on_chunk(self, peer_id: str, message: Message) -> None:
        """The message's term was found current, and the core has heard its sender as leader."""
        if message["term"] != self._core.term or self._core.leader_id != peer_id:
            return
        if self._holds(message["index"], message["snapshot_term"]):
            self._reply(peer_id, message["index"], 0, done=True)
            return
        arriving = self._arriving
        source = (peer_id, message["index"], message["snapshot_term"], message["size"])
        if arriving is not None and arriving.whole:
            return  # Being installed: the answer comes when it is.
        if arriving is None or arriving.source != source:
            if message["offset"] != 0:
                self._reply(peer_id, message["index"], 0)
                return
            arriving = self._begin(source)
        if arriving is not None and message["offset"] == arriving.received:
            self._take(arriving, message["data"])
        if self._arriving is None or not self._arriving.whole:
            self._reply(peer_id, message["index"], self._arriving.received if self._arriving else 0)

    def _holds(self, index: int, term: int) -> bool:
        """A snapshot of what is here already must not undo what came after it."""
        return self._core.applied_index >= index or self._core.journal.term_at(index) == term

    def _begin(self, source: tuple[str, int, int, int]) -> _Arriving | None:
        self._abandon()
        path = self._path()
        try:
            file = self._disk.open(path, create=True)
            file.truncate(0)
        except OSError as error:
            logger.error("no room for a snapshot: %s", error)
            return None
        self._arriving = _Arriving(source, file, SnapshotParser(path), self._machine.begin_restore())
        return self._arriving

    def _take(self, arriving: _Arriving, data: bytes) -> None:
        try:
            arriving.file.write(data, arriving.received)
            for chunk in arriving.parser.feed(data):
                arriving.restore.feed(chunk)
        except (OSError, errors.DataDirectoryError) as error:
            logger.error("a snapshot that was being received is given up: %s", error)
            self._abandon()
            return
        arriving.received += len(data)
        if arriving.received < arriving.source[3]:
            return
        header = arriving.parser.header
        if not arriving.parser.complete or header is None or (header.index, header.term) != arriving.source[1:3]:
            logger.error("a snapshot from %s is not what it was said to be", arriving.source[0])
            self._abandon()
        elif header.cluster_id != self._settings.cluster_id:
            self._fail(f"server {arriving.source[0]} sent a snapshot of cluster {header.cluster_id}, not ours")
        else:
            arriving.whole = True
            self._tasks.start(self._install(arriving, header), "install snapshot")

    async def _install(self, arriving: _Arriving, header: SnapshotHeader) -> None:
        try:
            await self._disk.in_background(arriving.file.sync, bulk=True)
            async with self._snapshots.publishing:
                if self._holds(header.index, header.term):
                    self._abandon()
                else:
                    await self._disk.in_background(
                        lambda: publish(self._disk, self._settings.directory, RECEIVING), bulk=True
                    )
                    self._switch(arriving, header)
        except OSError as error:
            self._fail(f"{arriving.file.path} can't be made durable: {error}")
        leader_id = arriving.source[0]
        if self._core.leader_id == leader_id:
            self._reply(leader_id, header.index, 0, done=True)
        self._kick()

    def _switch(self, arriving: _Arriving, header: SnapshotHeader) -> None:
        """The snapshot is durable under its name: from here on, also after a crash, it is what this server starts from.
        All in one step: nothing is applied to the old state under the new log, nor the other way round."""
        arriving.file.close()
        self._arriving = None
        if not self._holds(header.index, header.term):
            logger.info("state taken from the leader's snapshot at entry %d", header.index)
            try:
                arriving.restore.finish()
            except errors.DataDirectoryError as error:
                self._fail(f"the leader's snapshot at entry {header.index} can't be restored: {error}")
            self._core.journal.reset(header.index, header.term)
            self._core.installed_snapshot(header.index, header.members)
        self._snapshots.took(header)

    def _abandon(self) -> None:
        if self._arriving is not None:
            self._arriving.file.close()
            self._disk.remove(self._path())
            self._arriving = None

    def _path(self) -> str:
        return os.path.join(self._settings.directory, RECEIVING)

    def _reply(self, peer_id: str, index: int, offset: int, done: bool = False) -> None:
        self._network.send(
            peer_id,
            {"type": "snapshot_received", "term": self._core.term, "index": index, "offset": offset, "done": done},
        )
