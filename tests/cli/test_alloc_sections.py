import pytest

from raftnomad.cli import alloc_sections


def an_allocation(**fields):
    tasks = [{"Name": "main"}, {"Name": "setup", "Lifecycle": {"Hook": "prestart", "Sidecar": False}}]
    return {
        "ID": "aaaaaaaa-0000-0000-0000-000000000000",
        "TaskGroup": "web",
        "Job": {"TaskGroups": [{"Name": "web", "Tasks": tasks}]},
        "TaskStates": {"main": {"State": "running", "Events": []}},
        "AllocatedResources": {
            "Tasks": {"main": {"Cpu": {"CpuShares": 100}, "Memory": {"MemoryMB": 64}}},
            "Shared": {"DiskMB": 300},
        },
        **fields,
    }


def test_tasks_come_in_the_order_in_which_they_run():
    assert alloc_sections.task_names(an_allocation()) == ["setup", "main"]


def test_a_task_that_has_not_begun_is_pending_and_says_when_it_runs():
    told = alloc_sections.task(an_allocation(), "setup", {}, stats=False)
    assert told.startswith('Task "setup" (prestart) is "pending"')


def test_what_a_task_uses_stands_before_what_it_was_promised():
    usage = {"main": {"ResourceUsage": {"CpuStats": {"TotalTicks": 12.6}, "MemoryStats": {"RSS": 5 * 1024**2}}}}
    told = alloc_sections.task(an_allocation(), "main", usage, stats=False)
    assert "13/100 MHz  5.0 MiB/64 MiB  300 MiB" in told


def test_statistics_show_only_what_the_driver_measures():
    measured = {
        "MemoryStats": {"RSS": 1024, "Cache": 5, "Measured": ["RSS"]},
        "CpuStats": {"Percent": 1.5, "SystemMode": 0.25, "Measured": ["Percent", "System Mode"]},
    }
    told = alloc_sections.task(an_allocation(), "main", {"main": {"ResourceUsage": measured}}, stats=True)
    assert "Memory Stats\nRSS\n1.0 KiB\n" in told
    assert "CPU Stats\nPercent  System Mode\n1.50%    0.25%\n" in told
    assert "Cache" not in told


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (20 * 1024**2, "20 MiB"), (3 * 1024**3, "3.0 GiB")],
)
def test_bytes_are_told_as_people_read_them(count, text):
    assert alloc_sections.byte_text(count) == text
