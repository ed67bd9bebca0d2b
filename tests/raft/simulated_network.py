"""A network in which links are cut, slow, deaf in one direction, or repeat themselves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import msgpack

from raftnomad.raft.network import Message, NetworkListener

_WRITE_BUFFER_BYTES = 1 << 18
_RECONNECT_S = 0.05


class SimulatedNetwork:
    """All links. Messages are packed, as a real transport would, so that servers share no objects."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._ports: dict[str, Port] = {}
        self._epochs: dict[frozenset[str], int] = {}
        self._connected: set[frozenset[str]] = set()
        self._last_s: dict[tuple[str, str], float] = {}
        self._waiting: dict[tuple[str, str], int] = {}
        self.delay_s: dict[tuple[str, str], float] = {}
        self.default_delay_s = 0.001
        self.cut: set[frozenset[str]] = set()
        self.deaf: set[tuple[str, str]] = set()
        """Messages from the first to the second are lost, though the connection seems to live."""
        self.duplicates = 0.0
        self.delivered = 0
        self.watch: Callable[[str, str, Message], bool] = lambda source, target, message: True
        """False drops the message: for tests that want one lost."""

    def port(self, server_id: str) -> Port:
        """For a new process of this server."""
        self.unplug(server_id)
        port = self._ports[server_id] = Port(self, server_id)
        return port

    def unplug(self, server_id: str) -> None:
        """The process is gone: its connections break."""
        for link in sorted(self._connected, key=sorted):
            if server_id in link:
                self._break(link)
        port = self._ports.pop(server_id, None)
        if port is not None:
            port.alive = False

    def break_links(self) -> None:
        """Connections over links that have been cut or deaf for long are given up."""
        for link in sorted(self._connected, key=sorted):
            first, second = sorted(link)
            if link in self.cut or (first, second) in self.deaf or (second, first) in self.deaf:
                self._break(link)

    def _break(self, link: frozenset[str]) -> None:
        self._connected.discard(link)
        self._epochs[link] = self._epochs.get(link, 0) + 1
        first, second = sorted(link)
        for source, target in ((first, second), (second, first)):
            self._waiting[source, target] = 0
            port = self._ports.get(source)
            if port is not None and port.alive and port.listener is not None:
                port.listener.on_disconnected(target)

    def connect(self) -> None:
        """Whoever wants to speak and can, does."""
        for first in sorted(self._ports):
            for second in sorted(self._ports):
                link = frozenset((first, second))
                if first < second and self._wanted(first, second) and link not in self._connected | self.cut:
                    self._connect(first, second)

    def _connect(self, first: str, second: str) -> None:
        self._connected.add(frozenset((first, second)))
        for source, target in ((first, second), (second, first)):
            listener = self._ports[source].listener
            if listener is not None:
                listener.on_connected(target)

    def _wanted(self, first: str, second: str) -> bool:
        one, other = self._ports[first], self._ports[second]
        return one.started and other.started and (second in one.peers or first in other.peers)

    def is_connected(self, first: str, second: str) -> bool:
        return frozenset((first, second)) in self._connected

    def is_writable(self, source: str, target: str) -> bool:
        return self.is_connected(source, target) and self._waiting.get((source, target), 0) < _WRITE_BUFFER_BYTES

    def send(self, source: str, target: str, message: Message) -> bool:
        link = frozenset((source, target))
        if link not in self._connected:
            return False
        if not self.watch(source, target, message):
            return True
        packed: bytes = msgpack.packb(message, use_bin_type=True)
        copies = 2 if self._chance.random() < self.duplicates else 1
        for copy in range(copies):
            delay_s = self.delay_s.get((source, target), self.default_delay_s) * self._chance.uniform(0.5, 1.5)
            loop = asyncio.get_running_loop()
            at_s = max(loop.time() + delay_s, self._last_s.get((source, target), 0.0) + 1e-6)
            if copy == 0:
                self._last_s[source, target] = at_s
            else:
                at_s += self._chance.uniform(0, 2)  # A copy may come late, behind others.
            self._waiting[source, target] = self._waiting.get((source, target), 0) + len(packed)
            loop.call_at(at_s, self._deliver, source, target, self._epochs.get(link, 0), packed)
        return True

    def _deliver(self, source: str, target: str, epoch: int, packed: bytes) -> None:
        link = frozenset((source, target))
        if link not in self._connected or self._epochs.get(link, 0) != epoch:
            return
        was_full = not self.is_writable(source, target)
        self._waiting[source, target] -= len(packed)
        if (source, target) in self.deaf or link in self.cut:
            return
        listener = self._ports[target].listener
        if listener is not None:
            self.delivered += 1
            listener.on_message(source, msgpack.unpackb(packed, raw=False))
        if was_full and source in self._ports and self.is_writable(source, target):
            self._ports[source].drained(target)


class Port:
    """One process's end: `raft.network.Network`."""

    def __init__(self, network: SimulatedNetwork, server_id: str) -> None:
        self._network = network
        self._server_id = server_id
        self._on_writable: Callable[[str], None] = lambda peer_id: None
        self.listener: NetworkListener | None = None
        self.peers: dict[str, str] = {}
        self.started = False
        self.alive = True

    def listen(self, listener: NetworkListener) -> None:
        self.listener = listener

    async def start(self) -> None:
        self.started = True

    async def stop(self) -> None:
        self._network.unplug(self._server_id)

    def set_peers(self, addresses: dict[str, str]) -> None:
        self.peers = dict(addresses)

    def connected(self, peer_id: str) -> bool:
        return self.alive and self._network.is_connected(self._server_id, peer_id)

    def writable(self, peer_id: str) -> bool:
        return self.alive and self._network.is_writable(self._server_id, peer_id)

    def send(self, peer_id: str, message: dict[str, Any]) -> bool:
        return self.alive and self._network.send(self._server_id, peer_id, message)

    def on_writable(self, callback: Callable[[str], None]) -> None:
        self._on_writable = callback

    def drained(self, peer_id: str) -> None:
        self._on_writable(peer_id)
