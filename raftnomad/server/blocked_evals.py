"""Evaluations that wait for room: what could not be placed is tried again when a node that may take it has changed.

A blocked evaluation knows which classes of nodes its constraints accept, so a change of another class leaves it alone.
Lives in the leader's memory only, filled from the state at every election.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from raftnomad.model.evaluation import Evaluation
from raftnomad.model.status import EvalTrigger, JobType

CONFLICT_PAUSE_S = 60.0
"""So long an evaluation waits whose plans were refused too often, unless a node changes before."""

BlockKey = tuple[str, str, str]
"""(namespace, job, node): the node for system jobs, which wait at each node for themselves; else empty."""


@dataclass
class BlockedEvals:
    _blocked: dict[str, Evaluation] = field(default_factory=dict)
    _of_job: dict[BlockKey, str] = field(default_factory=dict)
    _changed_at: dict[str, int] = field(default_factory=dict)
    """Node class -> the index at which it last had more room. What was blocked on an older state tries again."""
    _conflicts_due_s: dict[str, float] = field(default_factory=dict)
    """Evaluation -> when it is tried again, of those that wait for no room."""
    duplicates: list[Evaluation] = field(default_factory=list)
    """A job needs one blocked evaluation; to be cancelled by whoever empties the list."""

    def block(self, evaluation: Evaluation, now_s: float = 0.0) -> Evaluation | None:
        """Returns the evaluation when room has appeared since its scheduler looked: it must not wait."""
        key = _key(evaluation)
        other = self._blocked.get(self._of_job.get(key, ""))
        if other is not None and other.id != evaluation.id:
            older, evaluation = sorted((other, evaluation), key=lambda one: (one.create_index, one.id))
            self.duplicates.append(older)
            self._blocked.pop(older.id, None)
        if any(
            index > evaluation.snapshot_index and _may_use(evaluation, node_class)
            for node_class, index in self._changed_at.items()
        ):
            self._of_job.pop(key, None)
            self._blocked.pop(evaluation.id, None)
            return evaluation
        self._blocked[evaluation.id] = evaluation
        self._of_job[key] = evaluation.id
        if evaluation.triggered_by == EvalTrigger.MAX_PLANS:
            self._conflicts_due_s.setdefault(evaluation.id, now_s + CONFLICT_PAUSE_S)
        return None

    def forget(self, eval_id: str) -> None:
        """It is over, or on its way to a worker."""
        self._conflicts_due_s.pop(eval_id, None)
        evaluation = self._blocked.pop(eval_id, None)
        if evaluation is not None and self._of_job.get(_key(evaluation)) == eval_id:
            del self._of_job[_key(evaluation)]

    def unblock(self, node_class: str, index: int) -> list[Evaluation]:
        """A node of this class has more room, since `index`."""
        self._changed_at[node_class] = max(index, self._changed_at.get(node_class, 0))
        return self._take(one for one in self._blocked.values() if _may_use(one, node_class))

    def unblock_node(self, node_id: str) -> list[Evaluation]:
        """System evaluations that wait for this very node."""
        return self._take(one for one in self._blocked.values() if one.node_id == node_id)

    def unblock_conflicts(self, now_s: float) -> list[Evaluation]:
        """Those that wait because too many plans were refused, and not for room, and have waited long enough."""
        due = [eval_id for eval_id, due_s in self._conflicts_due_s.items() if due_s <= now_s]
        return self._take(self._blocked[eval_id] for eval_id in due if eval_id in self._blocked)

    def __len__(self) -> int:
        return len(self._blocked)

    def _take(self, chosen: Iterable[Evaluation]) -> list[Evaluation]:
        taken = list(chosen)
        for evaluation in taken:
            self.forget(evaluation.id)
        return taken


def _key(evaluation: Evaluation) -> BlockKey:
    by_node = evaluation.type in (JobType.SYSTEM, JobType.SYSBATCH)
    return (evaluation.namespace, evaluation.job_id, evaluation.node_id if by_node else "")


def _may_use(evaluation: Evaluation, node_class: str) -> bool:
    """A class that the scheduler has not judged may be just the right one."""
    if evaluation.escaped_computed_class or not node_class:
        return True
    return (evaluation.class_eligibility or {}).get(node_class, True)
