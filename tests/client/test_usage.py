"""What tasks use: measured while they run, remembered when they have ended."""

from __future__ import annotations

import os

from raftnomad.client import usage
from raftnomad.clock import SystemClock


def test_a_running_task_uses_memory() -> None:
    task = usage.Meter(SystemClock(), 1000).task([os.getpid()])
    assert list(task["Pids"]) == [str(os.getpid())]
    assert task["ResourceUsage"]["MemoryStats"]["RSS"] == task["Pids"][str(os.getpid())]["MemoryStats"]["RSS"] > 0


def test_a_process_that_is_gone_uses_nothing() -> None:
    task = usage.Meter(SystemClock(), 1000).task([2**22 + 1])
    assert (task["Pids"], task["ResourceUsage"]["MemoryStats"]["RSS"]) == ({}, 0)


def test_an_ended_task_is_shown_but_does_not_count_for_its_allocation() -> None:
    meter = usage.Meter(SystemClock(), 1000)
    task = meter.task([os.getpid()])
    over = usage.of_allocation({}, {"web": task})
    assert over["Tasks"] == {"web": task}
    assert over["ResourceUsage"]["MemoryStats"] | {"RSS": 0, "Measured": None} == over["ResourceUsage"]["MemoryStats"]
    beside = usage.of_allocation({"side": task}, {"web": task})
    assert beside["ResourceUsage"]["MemoryStats"]["RSS"] == task["ResourceUsage"]["MemoryStats"]["RSS"]


def test_only_so_many_processes_are_remembered() -> None:
    meter = usage.Meter(SystemClock(), 1000)
    sample = usage.Sample(user_s=0, system_s=0, at_s=0)
    for number in range(usage.SAMPLES_MAX + 5):
        meter._remember((number, 0.0), sample)
    assert len(meter._samples) == usage.SAMPLES_MAX and (0, 0.0) not in meter._samples
