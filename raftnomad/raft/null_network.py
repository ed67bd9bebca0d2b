"""The network of a server that is alone."""

from __future__ import annotations

from collections.abc import Callable

from raftnomad.raft.network import Message, NetworkListener


class NullNetwork:
    def listen(self, listener: NetworkListener) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def set_peers(self, addresses: dict[str, str]) -> None: ...

    def connected(self, peer_id: str) -> bool:
        return False

    def writable(self, peer_id: str) -> bool:
        return False

    def send(self, peer_id: str, message: Message) -> bool:
        return False

    def on_writable(self, callback: Callable[[str], None]) -> None: ...
