"""What became of recent proposals, so that a retry is answered and not applied a second time.

A proposer is one run of a server process; it numbers its proposals. An outcome is kept for ten minutes of its
proposer's clock (no other's: a server whose clock is a day ahead makes nobody else forget), and at most
`OUTCOMES_MAX` are kept at all. What is older is answered "unknown", never applied.
"""

from __future__ import annotations

from collections import deque

import msgspec

from raftnomad.fsm.outcome import Outcome, Rejected
from raftnomad.fsm.tables import Table

KEPT_NS = 600 * 1_000_000_000
OUTCOMES_MAX = 100_000
PROPOSERS_MAX = 1_000

Attempt = tuple[str, int]
"""(proposer, sequence)"""


class Kept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    time_ns: int
    outcome: Outcome


class Proposer(msgspec.Struct, array_like=True, gc=False):
    newest_ns: int = 0
    forgotten_below: int = 0
    """Outcomes of lower sequences than this may have been dropped."""


class Outcomes:
    def __init__(self) -> None:
        self.table: Table[Attempt, Kept] = Table("outcomes")
        self.order: deque[Attempt] = deque()
        """Oldest first: the first key of a dict that loses its first keys is found ever more slowly."""
        self.proposers: dict[str, Proposer] = {}
        """Least recently heard of first."""

    def recall(self, proposer: str, sequence: int, index: int) -> Outcome | None:
        """The outcome of an attempt that was applied before; None for one that is new."""
        kept = self.table.get((proposer, sequence))
        if kept is not None:
            return kept.outcome
        known = self.proposers.get(proposer)
        if known is not None and sequence < known.forgotten_below:
            return Rejected(index, "the outcome of this old proposal is unknown: read before you try again", 500)
        return None

    def remember(self, proposer: str, sequence: int, time_ns: int, outcome: Outcome) -> None:
        known = self.proposers.pop(proposer, None) or Proposer()
        self.proposers[proposer] = known
        known.newest_ns = max(known.newest_ns, time_ns)
        self.table.put((proposer, sequence), Kept(known.newest_ns, outcome))
        self.order.append((proposer, sequence))
        self._forget()

    def _forget(self) -> None:
        while self.order:
            proposer, sequence = self.order[0]
            known = self.proposers.get(proposer)
            is_old = known is None or self.table[proposer, sequence].time_ns < known.newest_ns - KEPT_NS
            if not is_old and len(self.table) <= OUTCOMES_MAX:
                break
            self.table.remove(self.order.popleft())
            if known is not None:
                known.forgotten_below = max(known.forgotten_below, sequence + 1)
        while len(self.proposers) > PROPOSERS_MAX:
            del self.proposers[next(iter(self.proposers))]
