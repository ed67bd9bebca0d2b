"""What the proposer of a command hears back once the log has applied it."""

from __future__ import annotations

import msgspec


class Applied(msgspec.Struct, frozen=True, tag=0, array_like=True):
    """The command changed the state, at `index` (the index that users see).

    refused: of a plan, the ids of allocations that the state would not place (node gone, not ready, full).
    value: what the command's noun has to say, e.g. the job's modify index; 0 where there is nothing.
    """

    index: int
    refused: tuple[str, ...] = ()
    value: int = 0


class Rejected(msgspec.Struct, frozen=True, tag=1, array_like=True):
    """The state refused the command and is unchanged, but for its index. `status` is the HTTP status of `reason`."""

    index: int
    reason: str
    status: int = 500


Outcome = Applied | Rejected
