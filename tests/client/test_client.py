"""Stories of a client agent with the mock driver, against a server that only keeps tables."""

from __future__ import annotations

from raftnomad.client.client import Client
from tests.client.fake_server import FakeServer
from tests.client.makers import a_group, a_job, a_task, an_alloc, never_restart


def types(report, task: str = "web") -> list[str]:  # type: ignore[no-untyped-def]
    return [event.type for event in report.task_states[task].events]


async def test_a_node_registers_as_ready_and_heartbeats(server: FakeServer, client: Client) -> None:
    await server.until(lambda: server.heartbeats > 0)
    node = server.nodes[client.node_id]
    assert node.status == "ready"
    assert node.drivers is not None and node.drivers["mock_driver"].healthy
    assert node.node_resources is not None and node.node_resources.cpu.cpu_shares > 0


async def test_an_allocation_runs_and_is_reported(server: FakeServer, client: Client) -> None:
    alloc = an_alloc()
    await server.place(alloc)
    report = await server.status(alloc.id, "running")
    assert report.client_description == "Tasks are running"
    assert types(report) == ["Received", "Task Setup", "Started"]


async def test_a_batch_task_that_ends_completes_its_allocation(server: FakeServer, client: Client) -> None:
    alloc = an_alloc(a_job(a_group(a_task(config={"run_for": "10ms"})), type="batch"))
    await server.place(alloc)
    report = await server.status(alloc.id, "complete")
    assert report.client_description == "All tasks have completed"
    assert types(report)[-1] == "Terminated"


async def test_a_stopped_allocation_is_killed_and_complete(server: FakeServer, client: Client) -> None:
    alloc = an_alloc()
    await server.place(alloc)
    await server.status(alloc.id, "running")
    await server.ask_to_stop(alloc.id)
    report = await server.status(alloc.id, "complete")
    assert types(report)[-3:] == ["Killing", "Terminated", "Killed"]


async def test_a_task_that_fails_for_good_fails_its_allocation_and_siblings(server: FakeServer, client: Client) -> None:
    group = a_group(a_task("bad", config={"run_for": "30ms", "exit_code": 3}), a_task("good"))
    alloc = an_alloc(a_job(group))
    await server.place(alloc)
    report = await server.reported(
        alloc.id, lambda r: all(state.state == "dead" for state in (r.task_states or {}).values())
    )
    assert report.client_status == "failed"
    assert types(report, "bad")[-2:] == ["Terminated", "Not Restarting"]
    assert types(report, "good")[-4:] == ["Sibling Task Failed", "Killing", "Terminated", "Killed"]


async def test_an_allocation_stopped_before_it_was_seen_is_declined(server: FakeServer, client: Client) -> None:
    alloc = an_alloc(desired_status="stop")
    await server.place(alloc)
    await server.status(alloc.id, "complete")
    assert alloc.id not in client.allocations


async def test_an_allocation_that_the_servers_forget_is_destroyed(server: FakeServer, client: Client) -> None:
    alloc = an_alloc()
    await server.place(alloc)
    await server.status(alloc.id, "running")
    directory = client.allocations[alloc.id].directory.root
    assert directory.is_dir()
    await server.collect(alloc.id)
    await server.until(lambda: alloc.id not in client.allocations)
    assert not directory.exists()


async def test_what_is_not_built_fails_the_task_and_says_so(server: FakeServer, client: Client) -> None:
    from raftnomad.model.job import Template

    task = a_task(templates=(Template(dest_path="local/x", embedded_tmpl="x"),), restart_policy=never_restart())
    alloc = an_alloc(a_job(a_group(task)))
    await server.place(alloc)
    report = await server.status(alloc.id, "failed")
    events = report.task_states["web"].events  # type: ignore[index]
    assert [event.type for event in events] == ["Received", "Setup Failure", "Not Restarting"]
    assert "not built yet" in events[1].display_message
