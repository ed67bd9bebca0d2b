"""Heartbeats from followers to the leader travel on the log's own connections, where only servers speak.

They never enter the log: the message is taken out before the log sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raftnomad.errors import RaftnomadError
from raftnomad.raft.log import Member
from raftnomad.raft.network import Message, Network, NetworkListener

HEARTBEATS = "heartbeats"
NODE_IDS_MAX = 100_000


class HeartbeatChannel:
    """A `Network` that passes everything on to `network`, except heartbeats, which go to `hear`."""

    def __init__(self, network: Network, hear: Callable[[Sequence[str]], object]) -> None:
        self._network = network
        self._hear = hear
        self._listener: NetworkListener | None = None
        self.start = network.start
        self.stop = network.stop
        self.set_peers = network.set_peers
        self.connected = network.connected
        self.writable = network.writable
        self.send = network.send
        self.on_writable = network.on_writable

    def listen(self, listener: NetworkListener) -> None:
        self._listener = listener
        self._network.listen(self)

    async def relay(self, leader: Member, node_ids: Sequence[str]) -> None:
        """Raises RaftnomadError when the leader is not connected."""
        if not self._network.send(leader.id, {"type": HEARTBEATS, "node_ids": list(node_ids[:NODE_IDS_MAX])}):
            raise RaftnomadError(f"{leader.name} is not connected")

    def on_message(self, peer_id: str, message: Message) -> None:
        if message["type"] != HEARTBEATS:
            assert self._listener is not None
            self._listener.on_message(peer_id, message)
            return
        node_ids = message.get("node_ids")
        if isinstance(node_ids, (list, tuple)) and all(isinstance(one, str) for one in node_ids):
            self._hear(node_ids)

    def on_connected(self, peer_id: str) -> None:
        assert self._listener is not None
        self._listener.on_connected(peer_id)

    def on_disconnected(self, peer_id: str) -> None:
        assert self._listener is not None
        self._listener.on_disconnected(peer_id)
