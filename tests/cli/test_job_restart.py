import pytest

from raftnomad.cli.job_restart import batches, choose


def a_stub(name: str, *, group: str = "web", desired: str = "run", client: str = "running", tasks: str = "main"):
    states = {task: {"State": "running"} for task in tasks.split()}
    return {"ID": name, "TaskGroup": group, "DesiredStatus": desired, "ClientStatus": client, "TaskStates": states}


def ids(stubs):
    return [stub["ID"] for stub in stubs]


def test_only_allocations_that_run_are_restarted():
    stubs = [a_stub("a"), a_stub("b", desired="stop", client="complete"), a_stub("c", client="pending")]
    chosen, skipped = choose(stubs, (), ())
    assert (ids(chosen), ids(skipped)) == (["a"], ["b", "c"])


def test_groups_and_tasks_narrow_what_is_meant():
    stubs = [a_stub("a"), a_stub("b", group="api"), a_stub("c", tasks="main side")]
    assert ids(choose(stubs, ("web",), ())[0]) == ["a", "c"]
    assert ids(choose(stubs, (), ("side",))[0]) == ["c"]
    assert choose(stubs, ("nothing",), ()) == ([], [])


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("1", [["a"], ["b"], ["c"]]),
        ("2", [["a", "b"], ["c"]]),
        ("50%", [["a", "b"], ["c"]]),
        ("100%", [["a", "b", "c"]]),
    ],
)
def test_batches_hold_a_number_or_a_share_of_all_allocations(size, expected):
    assert [ids(batch) for batch in batches([a_stub("a"), a_stub("b"), a_stub("c")], size)] == expected
