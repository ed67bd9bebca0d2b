from typing import Any

import pytest
from msgspec.structs import replace

from raftnomad.model.annotations import annotated
from raftnomad.model.defaults import canonicalize
from raftnomad.model.diff import DifferentJobs, diff_jobs
from raftnomad.model.evaluation import DesiredUpdates
from raftnomad.model.job import Job


def a_job(count: int = 1, task: dict[str, Any] | None = None, **job: Any) -> Job:
    tasks = [{"Name": "t", "Driver": "mock_driver", "Config": {"run_for": "1s"}, **(task or {})}]
    return canonicalize({"ID": "a", "TaskGroups": [{"Name": "g", "Count": count, "Tasks": tasks}], **job})


def shown(diff: Any, depth: int = 0) -> list[str]:
    """A difference as indented lines: `Edited Count 1 2`."""
    lines = [f"{' ' * depth}{diff.type} {getattr(diff, 'name', None) or diff.id}"]
    for field in diff.fields or ():
        lines.append(f"{' ' * (depth + 1)}{field.type} {field.name} {field.old!r} {field.new!r}")
    for name in ("objects", "task_groups", "tasks"):
        for inner in getattr(diff, name, None) or ():
            lines += shown(inner, depth + 1)
    return lines


def test_nothing_changed() -> None:
    assert shown(diff_jobs(a_job(), a_job(), False)) == ["None a", " None g", "  None t"]


def test_what_the_server_wrote_does_not_count() -> None:
    assert diff_jobs(a_job(), replace(a_job(), version=3, modify_index=9, status="running"), False).type == "None"


def test_fields_at_every_level() -> None:
    new = a_job(
        count=2, task={"Env": {"A": "1"}, "Config": {"run_for": "2s", "args": ["x"]}}, Priority=60, Meta={"m": "1"}
    )
    assert shown(diff_jobs(a_job(), new, False)) == [
        "Edited a",
        " Added Meta[m] '' '1'",
        " Edited Priority '50' '60'",
        " Edited g",
        "  Edited Count '1' '2'",
        "  Edited t",
        "   Added Env[A] '' '1'",
        "   Edited Config",
        "    Added args[0] '' 'x'",
        "    Edited run_for '1s' '2s'",
    ]


def test_context_shows_what_stayed() -> None:
    diff = diff_jobs(a_job(), a_job(task={"Config": {"run_for": "1s", "x": True}}), True)
    assert shown(diff)[-3:] == ["   Edited Config", "    None run_for '1s' '1s'", "    Added x '' 'true'"]


def test_lists_are_sets() -> None:
    diff = diff_jobs(a_job(Datacenters=["dc1"]), a_job(Datacenters=["dc1", "dc2"]), True)
    assert shown(diff)[1:4] == [" Added Datacenters", "  Added Datacenters '' 'dc2'", "  None Datacenters 'dc1' 'dc1'"]


def test_a_new_job_is_added_with_all_it_has() -> None:
    diff = diff_jobs(None, a_job(), False)
    assert diff.type == "Added"
    assert diff.task_groups is not None and diff.task_groups[0].type == "Added"
    names = [item.name for item in diff.task_groups[0].objects or ()]
    assert names == ["RestartPolicy", "Migrate", "ReschedulePolicy", "EphemeralDisk", "Update"]


def test_a_job_that_goes_is_deleted() -> None:
    assert diff_jobs(a_job(), None, False).type == "Deleted"


def test_different_jobs_cannot_be_compared() -> None:
    with pytest.raises(DifferentJobs):
        diff_jobs(a_job(), replace(a_job(), id="b"), False)


def test_a_change_says_what_it_does_to_allocations() -> None:
    new = a_job(count=3, task={"KillTimeout": 9})
    diff = annotated(diff_jobs(a_job(), new, True), {"g": DesiredUpdates(in_place_update=1, place=2)})
    assert diff.task_groups is not None
    group = diff.task_groups[0]
    assert group.updates == {"create": 2, "in-place update": 1}
    assert group.fields is not None and group.fields[0].annotations == ("forces create",)
    assert group.tasks is not None and group.tasks[0].annotations == ("forces in-place update",)


def test_another_environment_replaces_the_task() -> None:
    diff = annotated(diff_jobs(a_job(), a_job(task={"Env": {"A": "1"}}), True), {})
    assert diff.task_groups is not None and diff.task_groups[0].tasks is not None
    assert diff.task_groups[0].tasks[0].annotations == ("forces create/destroy update",)
