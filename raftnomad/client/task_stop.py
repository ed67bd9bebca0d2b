"""Stopping a task whose driver may refuse: tried again with growing pauses, then given up with a reason."""

from __future__ import annotations

import logging

from raftnomad.clock import Clock
from raftnomad.drivers.driver import Driver, DriverError, TaskHandle, TaskNotFound

logger = logging.getLogger(__name__)

TRIES, PAUSE_FIRST_S, PAUSE_MAX_S = 5, 5.0, 120.0


async def stop(driver: Driver, handle: TaskHandle, signal: str, timeout_s: float, clock: Clock) -> str:
    """ "" when nothing of the task runs any more, else why it could not be killed."""
    error = ""
    for attempt in range(TRIES):
        try:
            await driver.stop(handle, signal, timeout_s)
            return ""
        except TaskNotFound:
            return ""
        except DriverError as failure:
            error = f"failed to kill task: {failure}"
            logger.error("task %s: %s", handle.task_id, error)
        # The job's own signal may be what the driver refused.
        signal = ""
        await clock.sleep(min(PAUSE_FIRST_S * 2.0**attempt, PAUSE_MAX_S) if attempt else 0.0)
    return error
