"""What one server knows of the others: whose word is newest, who answers, who is taken for gone. No I/O.

Whether a server is alive is each server's own judgement, from its own contact; only records are passed on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from raftnomad.members.founding import Seen
from raftnomad.members.record import RECORDS_MAX, Record

FAILED_AFTER_S = 3.0
"""Without contact. Servers speak with each other once a second."""

FORGOTTEN_AFTER_S = 24 * 3600.0
"""A server that left or failed is shown for a day (Serf: the same)."""


class Status(StrEnum):
    """In the words of `server members`."""

    ALIVE = "alive"
    FAILED = "failed"
    LEFT = "left"


class Happening(StrEnum):
    JOINED = "joined"
    """New, or back."""
    UPDATED = "updated"
    FAILED = "failed"
    LEFT = "left"


@dataclass(frozen=True, kw_only=True)
class Event:
    happening: Happening
    record: Record


@dataclass(frozen=True, kw_only=True)
class Entry:
    """heard_at_s: the last contact with the server itself; since_s: of the present status. Monotonic seconds."""

    record: Record
    status: Status
    heard_at_s: float
    since_s: float


class Table:
    """The entries of all servers but this one, by id."""

    def __init__(self, own_id: str, own_name: str) -> None:
        self.entries: dict[str, Entry] = {}
        self._own_id = own_id
        self._own_name = own_name

    def name_refusal(self, server_id: str, name: str) -> str:
        """Why a server may not come in under that name: another one that is alive has it."""
        if name == self._own_name and server_id != self._own_id:
            return f"this server is called '{name}' too: give every server its own name"
        holder = self._holder(name, server_id)
        if holder is None or holder.status != Status.ALIVE:
            return ""
        return f"{holder.record} is alive under the name '{name}': give every server its own name"

    def learn(self, records: Iterable[Record], cluster_id: str, now_s: float) -> list[Event]:
        """Take in what another server passed on. Word about this server itself is for `contradiction`."""
        events = []
        for record in sorted(records, key=lambda record: record.id):
            foreign = cluster_id and record.cluster_id and record.cluster_id != cluster_id
            if record.id != self._own_id and not foreign:
                events += self._learn(record, now_s)
        return events

    def _learn(self, record: Record, now_s: float) -> list[Event]:
        known = self.entries.get(record.id)
        if known is None:
            if len(self.entries) >= RECORDS_MAX - 1:
                return []
            if record.pruned or record.name == self._own_name or self._holder(record.name, record.id) is not None:
                # Whether a namesake took over is told by that server alone, when it comes itself: see `heard_from`.
                return []
            # Hearsay: it counts as alive when it has been reached, which is tried at once.
            status = Status.LEFT if record.left else Status.FAILED
            self.entries[record.id] = Entry(record=record, status=status, heard_at_s=now_s, since_s=now_s)
            return []
        if not record.newer_than(known.record):
            return []
        if record.left and known.status != Status.LEFT:
            self.entries[record.id] = replace(known, record=record, status=Status.LEFT, since_s=now_s)
            return [Event(happening=Happening.LEFT, record=record)]
        self.entries[record.id] = replace(known, record=record)
        return [Event(happening=Happening.UPDATED, record=record)]

    def heard_from(self, record: Record, now_s: float) -> list[Event]:
        """The server of this record has spoken itself: it is alive, and whoever had its name before is not."""
        holder = self._holder(record.name, record.id)
        events = []
        if holder is not None and holder.status != Status.ALIVE:
            del self.entries[holder.record.id]
            if holder.status != Status.LEFT:
                events.append(Event(happening=Happening.LEFT, record=holder.record))
        events += self._learn(record, now_s)
        known = self.entries.get(record.id)
        if known is None:
            return events
        was_alive = known.status == Status.ALIVE
        if known.record.left:
            return events
        since_s = known.since_s if was_alive else now_s
        self.entries[record.id] = replace(known, status=Status.ALIVE, heard_at_s=now_s, since_s=since_s)
        if not was_alive:
            events = [event for event in events if event.record.id != record.id]
            events.append(Event(happening=Happening.JOINED, record=known.record))
        return events

    def judge(self, now_s: float, failed_after_s: float = FAILED_AFTER_S) -> list[Event]:
        """Mark who has been silent for too long; forget who is long gone."""
        events = []
        for server_id, entry in list(self.entries.items()):
            if entry.status == Status.ALIVE and now_s - entry.heard_at_s > failed_after_s:
                events.append(self._failed(entry, now_s))
            elif entry.status != Status.ALIVE and now_s - entry.since_s > FORGOTTEN_AFTER_S:
                del self.entries[server_id]
        return events

    def not_at_home(self, server_id: str, now_s: float) -> list[Event]:
        """Another server answers at its address."""
        entry = self.entries.get(server_id)
        return [self._failed(entry, now_s)] if entry is not None and entry.status == Status.ALIVE else []

    def _failed(self, entry: Entry, now_s: float) -> Event:
        self.entries[entry.record.id] = replace(entry, status=Status.FAILED, since_s=now_s)
        return Event(happening=Happening.FAILED, record=entry.record)

    def excuse(self, seconds: float) -> None:
        """This process itself was away for so long: nobody could have been heard meanwhile."""
        for server_id, entry in self.entries.items():
            self.entries[server_id] = replace(entry, heard_at_s=entry.heard_at_s + seconds)

    def force_left(self, name: str, prune: bool, now_s: float) -> list[Event]:
        """Declare every server of that name gone (`web1` or `web1.global`). One that lives will contradict."""
        events = []
        for entry in list(self.entries.values()):
            identity = entry.record.identity
            if name not in (identity.name, f"{identity.name}.{identity.region}"):
                continue
            record = replace(entry.record, left=True, pruned=entry.record.pruned or prune)
            self.entries[record.id] = replace(entry, record=record, status=Status.LEFT, since_s=now_s)
            events.append(Event(happening=Happening.LEFT, record=record))
        return events

    def records(self) -> list[Record]:
        return [entry.record for entry in self.entries.values()]

    def seen(self) -> list[Seen]:
        return [Seen(record=entry.record, alive=entry.status == Status.ALIVE) for entry in self.entries.values()]

    def _holder(self, name: str, but_id: str) -> Entry | None:
        namesakes = (entry for entry in self.entries.values() if entry.record.name == name)
        return next((entry for entry in namesakes if entry.record.id != but_id), None)


def contradiction(own: Record, records: Iterable[Record]) -> int:
    """The version that this server has to speak with to be believed again, 0 when nobody says otherwise.

    Others hold newer words of it when its standing was lost, and call it gone when they could not reach it.
    """
    claims = [record for record in records if record.id == own.id and record.newer_than(own)]
    return max((record.version + 1 for record in claims), default=0)
