"""Who the members are, as a function of snapshot and journal alone, for every index that either still holds."""

from __future__ import annotations

from raftnomad.raft.entries import MembershipChange, unpack_change
from raftnomad.raft.log import Member

Members = tuple[Member, ...]


def change_members(members: Members, change: MembershipChange) -> Members:
    """Sorted by id, so that equal sets are equal values."""
    adds = change.adds
    gone = {change.removes, adds.id if adds else ""}
    kept = [member for member in members if member.id not in gone]
    return tuple(sorted([*kept, adds] if adds else kept, key=lambda member: member.id))


class MemberHistory:
    """The member set after each change in the log. A change counts from the moment it is written (Raft, section 4.1)
    and is undone when its entry is cut off again."""

    def __init__(self, index: int, members: Members) -> None:
        self._steps: list[tuple[int, Members]] = []
        self.reset(index, members)

    @property
    def latest(self) -> Members:
        return self._steps[-1][1]

    @property
    def last_change_index(self) -> int:
        """Of the newest change, committed or not."""
        return self._steps[-1][0]

    def at(self, index: int) -> Members:
        """The members that an entry at `index`, and the state after it, sees."""
        for step_index, members in reversed(self._steps):
            if step_index <= index:
                return members
        return self._steps[0][1]

    def appended(self, index: int, command: bytes) -> bool:
        """True when the entry changes the members."""
        change = unpack_change(command)
        if change is not None:
            self._steps.append((index, change_members(self.latest, change)))
        return change is not None

    def truncated(self, first_index: int) -> bool:
        """Entries from `first_index` on are gone. True when that undoes a change."""
        before = len(self._steps)
        while len(self._steps) > 1 and self._steps[-1][0] >= first_index:
            self._steps.pop()
        return len(self._steps) < before

    def compacted(self, index: int) -> None:
        """A snapshot holds everything up to `index`."""
        while len(self._steps) > 1 and self._steps[1][0] <= index:
            self._steps.pop(0)

    def reset(self, index: int, members: Members) -> None:
        """A snapshot has replaced the log."""
        self._steps = [(index, tuple(sorted(members, key=lambda member: member.id)))]
