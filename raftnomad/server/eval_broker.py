"""Hands evaluations to workers: the most urgent first, one of a job at a time, each at least once.

It lives in the leader's memory only and is filled from the state at every election. Times are seconds of the caller's
monotonic clock; it starts no timer: `due_at` says when to call `tick`.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from raftnomad.fsm.state import JobKey
from raftnomad.model.evaluation import Evaluation

FIRST_NACK_DELAY_S = 1.0
LATER_NACK_DELAY_S = 20.0


@dataclass
class _Entry:
    evaluation: Evaluation
    attempts: int = 0
    token: str = ""
    """Of the delivery that is out; empty when none is."""
    deadline_s: float = 0.0
    again: Evaluation | None = None
    """It was enqueued once more while it was out: it goes round again when it comes back."""


@dataclass
class EvalBroker:
    nack_timeout_s: float = 60.0
    delivery_limit: int = 3
    _entries: dict[str, _Entry] = field(default_factory=dict)
    """Every evaluation that is ready, waiting, delayed or out."""
    _ready: list[tuple[int, int, int, str]] = field(default_factory=list)
    """(-priority, create index, order of arrival, id): a heap."""
    _delayed: list[tuple[float, int, str]] = field(default_factory=list)
    """(when, order of arrival, id): a heap."""
    _out: dict[str, None] = field(default_factory=dict)
    """Those that a worker has."""
    _job_holders: dict[JobKey, str] = field(default_factory=dict)
    """The one evaluation of each job that is ready or out."""
    _waiting: dict[JobKey, list[str]] = field(default_factory=dict)
    """Evaluations of jobs of which another one is ready or out."""
    failed: list[Evaluation] = field(default_factory=list)
    """Delivered too often without an acknowledgement; whoever takes them empties the list."""
    superseded: list[Evaluation] = field(default_factory=list)
    """Not needed any more, since a newer one of the job says the same; to be cancelled."""
    _arrivals: int = 0

    def enqueue(self, evaluation: Evaluation, now_s: float, delay_s: float = 0.0) -> None:
        entry = self._entries.get(evaluation.id)
        if entry is not None:
            if entry.token:
                entry.again = evaluation
            return
        self._entries[evaluation.id] = _Entry(evaluation)
        if delay_s > 0:
            self._delay(evaluation.id, now_s + delay_s)
        else:
            self._make_ready(evaluation)

    def forget(self, eval_id: str) -> None:
        """It is over in the state. One that is out is forgotten when it comes back."""
        entry = self._entries.get(eval_id)
        if entry is not None and not entry.token:
            self._drop(eval_id)

    def dequeue(self, types: Sequence[str], now_s: float) -> tuple[Evaluation, str] | None:
        """The most urgent evaluation of these types and the token that acknowledges its delivery."""
        skipped = []
        found = None
        while self._ready:
            item = heapq.heappop(self._ready)
            entry = self._entries.get(item[3])
            if entry is None or entry.token or self._job_holders.get(_job(entry.evaluation)) != item[3]:
                continue
            if entry.evaluation.type not in types:
                skipped.append(item)
                continue
            found = entry
            break
        for item in skipped:
            heapq.heappush(self._ready, item)
        if found is None:
            return None
        self._arrivals += 1
        found.attempts += 1
        self._out[found.evaluation.id] = None
        found.token = f"{found.evaluation.id}/{self._arrivals}"
        found.deadline_s = now_s + self.nack_timeout_s
        return found.evaluation, found.token

    def is_outstanding(self, eval_id: str, token: str) -> bool:
        """Whether the delivery still counts: a worker that took too long must not act on it."""
        entry = self._entries.get(eval_id)
        return entry is not None and entry.token == token

    def extend(self, eval_id: str, token: str, now_s: float) -> None:
        """The worker is still at it, as when it waits for the plan applier."""
        if self.is_outstanding(eval_id, token):
            self._entries[eval_id].deadline_s = now_s + self.nack_timeout_s

    def acknowledge(self, eval_id: str, token: str, now_s: float) -> None:
        """Done with it. The next one of the job is free; of several that waited only the newest is needed."""
        if not self.is_outstanding(eval_id, token):
            return
        again = self._entries[eval_id].again
        self._drop(eval_id)
        if again is not None:
            self.enqueue(again, now_s)

    def reject(self, eval_id: str, token: str, now_s: float) -> None:
        """Deliver it again later, or put it among the failed when that has happened often enough."""
        if not self.is_outstanding(eval_id, token):
            return
        entry = self._entries[eval_id]
        entry.token = ""
        self._out.pop(eval_id, None)
        if entry.attempts >= self.delivery_limit:
            self._drop(eval_id)
            self.failed.append(entry.evaluation)
            return
        delay_s = FIRST_NACK_DELAY_S if entry.attempts == 1 else (entry.attempts - 1) * LATER_NACK_DELAY_S
        self._delay(eval_id, now_s + delay_s)

    def tick(self, now_s: float) -> None:
        """Let deliveries that took too long and delays that are over take effect."""
        for eval_id in list(self._out):
            entry = self._entries[eval_id]
            if entry.deadline_s <= now_s:
                self.reject(eval_id, entry.token, now_s)
        while self._delayed and self._delayed[0][0] <= now_s:
            _, _, eval_id = heapq.heappop(self._delayed)
            delayed = self._entries.get(eval_id)
            if delayed is not None and not delayed.token:
                self._make_ready(delayed.evaluation)

    def due_at(self) -> float | None:
        """When `tick` has something to do."""
        due = [self._entries[eval_id].deadline_s for eval_id in self._out]
        if self._delayed:
            due.append(self._delayed[0][0])
        return min(due, default=None)

    def counts(self) -> dict[str, int]:
        out = len(self._out)
        waiting = sum(map(len, self._waiting.values()))
        return {
            "total_ready": len(self._entries) - out - waiting - len(self._delayed),
            "total_unacked": out,
            "total_pending": waiting,
            "total_waiting": len(self._delayed),
        }

    def _delay(self, eval_id: str, due_s: float) -> None:
        self._arrivals += 1
        heapq.heappush(self._delayed, (due_s, self._arrivals, eval_id))

    def _make_ready(self, evaluation: Evaluation) -> None:
        holder = self._job_holders.setdefault(_job(evaluation), evaluation.id)
        if holder != evaluation.id:
            waiting = self._waiting.setdefault(_job(evaluation), [])
            if evaluation.id not in waiting:
                waiting.append(evaluation.id)
            return
        self._arrivals += 1
        heapq.heappush(self._ready, (-evaluation.priority, evaluation.create_index, self._arrivals, evaluation.id))

    def _drop(self, eval_id: str) -> None:
        entry = self._entries.pop(eval_id)
        self._out.pop(eval_id, None)
        job = _job(entry.evaluation)
        waiting = self._waiting.get(job, [])
        if eval_id in waiting:
            waiting.remove(eval_id)
        if self._job_holders.get(job) == eval_id:
            del self._job_holders[job]
            self._promote(job)
        if not self._waiting.get(job):
            self._waiting.pop(job, None)

    def _promote(self, job: JobKey) -> None:
        """The newest of those that waited; the others would find nothing left to do."""
        entries = [self._entries[eval_id].evaluation for eval_id in self._waiting.pop(job, [])]
        if not entries:
            return
        newest = max(entries, key=lambda evaluation: (evaluation.create_index, evaluation.priority))
        for evaluation in entries:
            if evaluation is not newest:
                del self._entries[evaluation.id]
                self.superseded.append(evaluation)
        self._make_ready(newest)


def _job(evaluation: Evaluation) -> JobKey:
    return (evaluation.namespace, evaluation.job_id)
