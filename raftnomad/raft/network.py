"""What the log needs of a network: send a message to a server, hear from servers. The real one is `transport.py`,
the tests' one is simulated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Message = dict[str, Any]
"""Only what MessagePack can say: no objects. `type` names the kind of message."""


class NetworkListener(Protocol):
    """The log's end. All three are called on the event loop and must not block."""

    def on_message(self, peer_id: str, message: Message) -> None:
        """`peer_id` was authenticated by the transport; the message is decoded but not otherwise trusted."""

    def on_connected(self, peer_id: str) -> None: ...

    def on_disconnected(self, peer_id: str) -> None: ...


class Network(Protocol):
    def listen(self, listener: NetworkListener) -> None:
        """Called once, before `start`."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def set_peers(self, addresses: dict[str, str]) -> None:
        """Server id -> rpc address of every other member; connections to others are closed."""

    def connected(self, peer_id: str) -> bool: ...

    def writable(self, peer_id: str) -> bool:
        """False while more than the write buffer's limit waits for this peer: hold bulk messages back."""

    def send(self, peer_id: str, message: Message) -> bool:
        """Queue a message; False when it cannot be sent. In order per peer while the connection lives; may be lost."""

    def on_writable(self, callback: Callable[[str], None]) -> None:
        """`callback(peer_id)` when a peer that was not writable is again."""
