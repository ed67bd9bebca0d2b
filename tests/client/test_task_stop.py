from __future__ import annotations

from raftnomad.client import task_stop
from raftnomad.drivers.driver import DriverError, TaskHandle, TaskNotFound
from tests.client.test_alloc_watcher import StillClock

HANDLE = TaskHandle(driver="any", task_id="a/web")


class Stubborn:
    """Refuses so many times, each with the same words."""

    def __init__(self, refusals: int, error: DriverError) -> None:
        self.refusals, self.error = refusals, error
        self.signals: list[str] = []

    async def stop(self, handle: TaskHandle, signal: str, timeout_s: float) -> None:
        self.signals.append(signal)
        if self.refusals:
            self.refusals -= 1
            raise self.error


async def stop(driver: Stubborn, clock: StillClock) -> str:
    return await task_stop.stop(driver, HANDLE, "SIGNONE", 1.0, clock)  # type: ignore[arg-type]


async def test_a_signal_that_the_driver_refuses_gives_way_to_its_own() -> None:
    driver = Stubborn(1, DriverError("unknown signal"))
    assert await stop(driver, StillClock()) == ""
    assert driver.signals == ["SIGNONE", ""]


async def test_a_task_that_cannot_be_killed_is_given_up_with_the_reason() -> None:
    clock = StillClock()
    assert await stop(Stubborn(99, DriverError("busy")), clock) == "failed to kill task: busy"
    assert clock.time_s > 100


async def test_a_task_that_is_gone_is_stopped() -> None:
    assert await stop(Stubborn(9, TaskNotFound("gone")), StillClock()) == ""
