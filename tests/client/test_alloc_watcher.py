from __future__ import annotations

from collections.abc import Mapping

from raftnomad.client.alloc_changes import Plan
from raftnomad.client.alloc_watcher import AllocWatcher
from raftnomad.model.allocation import Allocation
from raftnomad.sdk.agent_protocol import AllocationsResponse, FetchRequest, FetchResponse
from tests.client.makers import an_alloc


class StillClock:
    """Time passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now_ns(self) -> int:
        return int(self.time_s * 1e9)

    def monotonic_s(self) -> float:
        return self.time_s

    async def sleep(self, seconds: float) -> None:
        self.time_s += seconds


class Script:
    """Servers that answer what the test says, one answer after the other, and a node that keeps what it is told."""

    def __init__(self, *answers: tuple[int, list[Allocation]]) -> None:
        self.answers = list(answers)
        self.current: list[Allocation] = []
        self.asked: list[int] = []
        self.started: list[str] = []
        self.forgotten: list[str] = []
        self.known: dict[str, int] = {}

    async def allocations(self, index: int, wait_s: float) -> AllocationsResponse:
        self.asked.append(index)
        at, self.current = self.answers.pop(0)
        return AllocationsResponse(index=at, allocations={alloc.id: at for alloc in self.current})

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        return FetchResponse(allocations=tuple(alloc for alloc in self.current if alloc.id in request.ids))

    def modify_indexes(self) -> Mapping[str, int]:
        return self.known

    def carry_out(self, changes: Plan) -> None:
        for alloc in changes.start:
            self.started.append(alloc.id)
            self.known[alloc.id] = 10_000

    def confirm(self, alloc_ids: Mapping[str, int]) -> None: ...

    def forget(self, alloc_ids: tuple[str, ...]) -> None:
        self.forgotten += alloc_ids


def watcher(script: Script, clock: StillClock) -> AllocWatcher:
    return AllocWatcher(script, script, clock, lambda: 0.0)  # type: ignore[arg-type]


async def test_each_question_goes_on_from_the_last_answer() -> None:
    alloc = an_alloc()
    script = Script((5, [alloc]), (9, [alloc]))
    watching = watcher(script, StillClock())
    await watching.once()
    await watching.once()
    assert script.asked == [0, 5]
    assert script.started == [alloc.id]


async def test_a_lagging_server_makes_nothing_be_forgotten() -> None:
    alloc = an_alloc()
    script = Script((5, [alloc]), (3, []), (6, [alloc]))
    watching = watcher(script, StillClock())
    for _ in range(3):
        await watching.once()
    assert script.forgotten == [] and script.asked == [0, 5, 5]


async def test_a_cluster_that_was_restored_to_an_older_state_is_believed_in_the_end() -> None:
    alloc, clock = an_alloc(), StillClock()
    script = Script((5, [alloc]), (3, []), (3, []))
    watching = watcher(script, clock)
    await watching.once()
    await watching.once()
    clock.time_s += 400
    await watching.once()
    assert script.forgotten == [alloc.id]
