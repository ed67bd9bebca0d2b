"""What a follower does with a leader's append: a decision about its own log, made before pysyncobj sees the message.

pysyncobj deletes whatever stands after the entry that an append follows, even if nothing contradicts it; a late or
repeated append would so remove entries that were acknowledged. Here an append is first reduced to what is new in it
(Raft, figure 2: only a conflict deletes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raftnomad.raft.entries import Entry
from raftnomad.raft.journal import Journal


@dataclass(frozen=True)
class Lacking:
    """The log can't take this append; the leader shall send from `next_index` on."""

    next_index: int


@dataclass(frozen=True)
class Held:
    """Everything up to `last_index` is in the log already."""

    last_index: int


@dataclass(frozen=True)
class New:
    """These entries follow `previous`; what the log holds after it contradicts them and goes."""

    previous: int
    previous_term: int
    entries: list[Entry]


@dataclass(frozen=True)
class Broken:
    """Logs differ where both are committed. One of the two servers is wrong: this one stops."""

    reason: str


Match = Lacking | Held | New | Broken


def match_append(
    journal: Journal, commit_index: int, previous: int, previous_term: int, entries: Sequence[Entry]
) -> Match:
    first, last = journal.first_index, journal.last_index
    if not first <= previous <= last:
        return Lacking(last + 1)
    if journal.term_at(previous) != previous_term:
        if previous <= commit_index:
            return Broken(f"entry {previous} is committed here but the leader has another")
        return Lacking(_start_of_term(journal, commit_index, previous))
    held = 0
    while held < len(entries) and journal.term_at(previous + held + 1) == entries[held][2]:
        held += 1
    if held == len(entries):
        return Held(previous + held)
    if previous + held < commit_index:
        return Broken(f"the leader overwrites entry {previous + held + 1}, which is committed here")
    before = previous_term if held == 0 else entries[held - 1][2]
    return New(previous + held, before, [(bytes(c), i, t) for c, i, t in entries[held:]])


def _start_of_term(journal: Journal, commit_index: int, index: int) -> int:
    """Go back over a whole term at once: one round trip for each term instead of one for each entry."""
    term = journal.term_at(index)
    while index - 1 > max(commit_index, journal.first_index) and journal.term_at(index - 1) == term:
        index -= 1
    return index
