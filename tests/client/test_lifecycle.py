from __future__ import annotations

from raftnomad.client.lifecycle import KillCause, TaskView, decide, is_coming_down, restarts_on_success
from tests.client.makers import a_task

KINDS = {
    "init": {"hook": "prestart"},
    "proxy": {"hook": "prestart", "sidecar": True},
    "main": {},
    "announce": {"hook": "poststart"},
    "watch": {"hook": "poststart", "sidecar": True},
    "cleanup": {"hook": "poststop"},
}


def group(**states: str) -> list[TaskView]:
    """All six kinds of tasks; states are `pending`, `running`, `done` or `failed`."""
    return [
        TaskView(
            name=name,
            status="dead" if states.get(name) in ("done", "failed") else states.get(name, "pending"),
            failed=states.get(name) == "failed",
            **kind,  # type: ignore[arg-type]
        )
        for name, kind in KINDS.items()
    ]


def may_start(tasks: list[TaskView], stopping: bool = False) -> list[str]:
    """Those that may start and have not yet."""
    pending = {task.name for task in tasks if task.status == "pending"}
    return [name for name in decide(tasks, stopping=stopping).may_start if name in pending]


def test_only_prestart_tasks_may_start_first() -> None:
    assert may_start(group()) == ["init", "proxy"]


def test_main_tasks_wait_until_prestart_has_completed_and_its_sidecars_run() -> None:
    assert may_start(group(init="running", proxy="running")) == []
    assert may_start(group(init="done", proxy="pending")) == ["proxy"]
    assert may_start(group(init="done", proxy="running")) == ["main"]


def test_poststart_tasks_wait_for_every_main_task() -> None:
    assert may_start(group(init="done", proxy="running", main="running")) == ["announce", "watch"]


def test_poststop_tasks_wait_for_all_others_to_be_dead() -> None:
    ended = {"init": "done", "main": "done", "announce": "done", "watch": "done"}
    assert may_start(group(proxy="running", **ended)) == []
    assert may_start(group(proxy="done", **ended)) == ["cleanup"]


def test_sidecars_are_killed_when_only_they_are_left() -> None:
    tasks = group(init="done", proxy="running", main="done", announce="done", watch="running")
    kills = decide(tasks, stopping=False).kill
    assert [(kill.task, kill.cause) for kill in kills] == [
        ("proxy", KillCause.MAIN_DEAD),
        ("watch", KillCause.MAIN_DEAD),
    ]


def test_sidecars_live_on_while_a_poststart_task_does() -> None:
    tasks = group(init="done", proxy="running", main="done", announce="running", watch="running")
    assert decide(tasks, stopping=False).kill == ()


def test_a_failed_task_ends_its_siblings_and_lets_nothing_but_poststop_start() -> None:
    tasks = group(init="failed", proxy="running")
    decision = decide(tasks, stopping=False)
    assert [(kill.task, kill.sibling) for kill in decision.kill] == [
        (name, "init") for name in ("proxy", "main", "announce", "watch")
    ]
    assert may_start(tasks) == []
    assert may_start(group(init="failed", proxy="done", main="done", announce="done", watch="done")) == ["cleanup"]


def test_a_failed_poststop_task_kills_nobody() -> None:
    tasks = group(init="done", proxy="done", main="done", announce="done", watch="done", cleanup="failed")
    assert decide(tasks, stopping=False).kill == ()


def test_a_dead_leader_ends_the_others() -> None:
    tasks = [TaskView(name="boss", leader=True, status="dead"), TaskView(name="other", status="running")]
    assert [(kill.task, kill.cause) for kill in decide(tasks, stopping=False).kill] == [
        ("other", KillCause.LEADER_DEAD)
    ]


def test_while_stopping_only_poststop_may_start_and_nobody_is_killed_twice() -> None:
    tasks = group(init="done", proxy="running")
    assert may_start(tasks, stopping=True) == []
    assert decide(tasks, stopping=True).kill == ()


def test_what_should_last_is_restarted_after_success() -> None:
    assert restarts_on_success(a_task(), "service") and restarts_on_success(a_task(), "system")
    assert not restarts_on_success(a_task(), "batch")
    assert not restarts_on_success(a_task(hook="prestart"), "service")
    assert restarts_on_success(a_task(hook="prestart", sidecar=True), "batch")


def test_a_failed_group_comes_down_until_all_but_poststop_tasks_are_dead() -> None:
    dead = {"init": "done", "proxy": "done", "announce": "done", "watch": "done"}
    assert is_coming_down(group(**{**dead, "main": "failed", "watch": "running"}))
    assert not is_coming_down(group(**dead, main="failed", cleanup="running"))
    assert not is_coming_down(group(init="done", proxy="running", main="running"))
