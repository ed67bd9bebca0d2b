"""This server's own word: durable before it is spoken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from raftnomad.identifiers import RandomBytes, new_id
from raftnomad.members import standing as standings
from raftnomad.members.founding import Seen, decide
from raftnomad.members.record import Identity, Record, Stage
from raftnomad.members.standing import Standing
from raftnomad.raft.log import Member

logger = logging.getLogger(__name__)


class OwnWord:
    """The record that others are told. Changes are made one after the other; `spoken` is called after each."""

    def __init__(
        self, identity: Identity, directory: Path, random_bytes: RandomBytes, spoken: Callable[[], None]
    ) -> None:
        self.record = Record(identity=identity, version=0)
        self.standing = Standing()
        self.in_cluster = asyncio.Event()
        self.waiting_for = ""
        self._directory = directory
        self._random_bytes = random_bytes
        self._spoken = spoken
        self._lock = asyncio.Lock()

    async def begin(self, identity: Identity, known_cluster_id: str) -> None:
        """Read the standing kept in the directory and speak for the first time. Raises DataDirectoryError."""
        standing = await asyncio.to_thread(standings.load, self._directory, identity.id)
        if known_cluster_id and standing.cluster_id != known_cluster_id:
            standing = Standing(version=standing.version, stage=Stage.JOINED, cluster_id=known_cluster_id)
        self.record = Record(identity=identity, version=standing.version, cluster_members=standing.members)
        async with self._lock:
            await self._speak(standing)

    async def settle(self, seen: Callable[[], Sequence[Seen]]) -> None:
        """Take the steps towards a cluster that can be taken with what is seen now."""
        async with self._lock:
            while not self.in_cluster.is_set():
                fresh_id = new_id(self._random_bytes)
                decision = decide(self.record.identity, self.standing, seen(), fresh_id)
                if decision.waiting_for != self.waiting_for:
                    self.waiting_for = decision.waiting_for
                    if self.waiting_for:
                        logger.info("no cluster yet; waiting for %s", self.waiting_for)
                if decision.standing is self.standing:
                    return
                await self._speak(decision.standing)

    async def outbid(self, version: int) -> None:
        """Speak again with at least that version: others hold something newer to be this server's word."""
        async with self._lock:
            if version > self.standing.version:
                await self._speak(replace(self.standing, version=version - 1))

    async def tell_cluster(self, members: Sequence[Member], index: int) -> None:
        async with self._lock:
            if tuple(members) != self.record.cluster_members:
                await self._speak(self.standing, cluster_members=tuple(members), cluster_index=index)

    async def tell_leaving(self) -> None:
        async with self._lock:
            await self._speak(self.standing, left=True)

    async def _speak(self, standing: Standing, **changes: Any) -> None:
        standing = replace(standing, version=standing.version + 1)
        await self._save(standing)
        if standing.stage != self.standing.stage:
            logger.info("members: this server is %s%s", standing.stage, _of_cluster(standing))
        if standing.cluster_id and not self.standing.cluster_id and not self.record.cluster_members:
            changes.setdefault("cluster_members", standing.members)
        self.standing = standing
        self.record = replace(
            self.record,
            version=standing.version,
            stage=standing.stage,
            proposal=standing.proposal,
            cluster_id=standing.cluster_id,
            **changes,
        )
        if standing.cluster_id:
            self.waiting_for = ""
            self.in_cluster.set()
        self._spoken()

    async def _save(self, standing: Standing) -> None:
        """A thread can't be cancelled: who is cancelled waits for it, lest two write at once."""
        saving = asyncio.ensure_future(asyncio.to_thread(standings.save, self._directory, self.record.id, standing))
        try:
            await asyncio.shield(saving)
        except asyncio.CancelledError:
            await asyncio.wait([saving])
            raise


def _of_cluster(standing: Standing) -> str:
    cluster_id = standing.cluster_id or (standing.proposal.cluster_id if standing.proposal is not None else "")
    return f", cluster {cluster_id}" if cluster_id else ""
