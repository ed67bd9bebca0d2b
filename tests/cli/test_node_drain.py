import pytest

from raftnomad.cli.node_drain import changes


def an_allocation(migrate: bool | None, desired: str, client: str):
    return {"DesiredTransition": {"Migrate": migrate}, "DesiredStatus": desired, "ClientStatus": client}


RUNNING = an_allocation(None, "run", "running")


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (RUNNING, RUNNING, []),
        (RUNNING, an_allocation(True, "run", "running"), ["marked for migration"]),
        (an_allocation(True, "run", "running"), an_allocation(True, "stop", "running"), ["draining"]),
        (
            RUNNING,
            an_allocation(True, "stop", "complete"),
            ["marked for migration", "draining", "status running -> complete"],
        ),
    ],
)
def test_each_step_of_an_allocations_way_off_its_node_is_told_once(before, now, told):
    assert changes(before, now) == told
