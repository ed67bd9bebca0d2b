"""A dev agent takes everything with it when it ends: tasks, executors, mounts and files."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.cluster.processes import Agent, a_sleeping_job, end_leftovers, free_ports, leftovers, wait_until

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_dev_agent_leaves_nothing_behind(tmp_path: Path, number: signal.Signals):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    agent = Agent(
        tmp_path, "dev", free_ports(3), ["agent", "-dev", "-data-dir", ""], "", environment={"TMPDIR": str(temporary)}
    )
    agent.start()
    try:
        wait_until("a ready node", lambda: agent.get("/v1/nodes")[0]["Status"] == "ready")
        # One that ends when it is asked, and one that has to be killed.
        agent.request("PUT", "/v1/jobs", {"Job": a_sleeping_job("kind", count=2)})
        agent.request("PUT", "/v1/jobs", {"Job": a_sleeping_job("stubborn", 1, "trap '' INT TERM; sleep 3600")})
        stubs = lambda: agent.get("/v1/allocations")  # noqa: E731
        wait_until("three running tasks", lambda: [s["ClientStatus"] for s in stubs()] == ["running"] * 3)
        assert len(leftovers(temporary)) > 4, "agent, zygote, executors, tasks"
        agent.signal(number)
        assert agent.process is not None
        assert agent.process.wait(30) == 0
        wait_until("the end of all processes", lambda: not leftovers(temporary), 5)
        assert list(temporary.iterdir()) == []
        assert str(temporary) not in Path("/proc/mounts").read_text()
    finally:
        if agent.process is not None and agent.process.poll() is None:
            agent.kill()
        end_leftovers(tmp_path)
