"""Which server a client agent asks next: any will do, and one that fails goes to the end of the line."""

from __future__ import annotations

from collections.abc import Sequence

PAUSE_FIRST_S, PAUSE_MAX_S = 0.25, 10.0


class Servers:
    """Addresses `host:port`: first those that servers tell of each other, last those that were configured."""

    def __init__(self, configured: Sequence[str]) -> None:
        self._configured = tuple(dict.fromkeys(configured))
        self._order = list(self._configured)

    def in_order(self) -> tuple[str, ...]:
        return tuple(self._order)

    def failed(self, address: str) -> None:
        """Ask it last from now on."""
        if address in self._order:
            self._order.remove(address)
            self._order.append(address)

    def learn(self, addresses: Sequence[str], chance: float = 0.0) -> None:
        """Take over the servers' own list; `chance` in [0, 1) spreads clients over servers that are new to them."""
        if not addresses:
            return
        known = [address for address in self._order if address in addresses]
        new = [address for address in dict.fromkeys(addresses) if address not in self._order]
        start = int(chance * len(new))
        last = [address for address in self._configured if address not in addresses]
        self._order = known + new[start:] + new[:start] + last

    def reconfigure(self, addresses: Sequence[str]) -> None:
        """Forget all that was known (`PUT /v1/agent/servers`)."""
        self._configured = tuple(dict.fromkeys(addresses))
        self._order = list(self._configured)


def pause_s(failures: int, chance: float) -> float:
    """How long to wait after so many failed rounds over all servers; `chance` in [0, 1) spreads clients in time."""
    pause = min(PAUSE_FIRST_S * 2.0 ** min(failures, 10), PAUSE_MAX_S)
    return pause * (0.5 + 0.5 * chance)
