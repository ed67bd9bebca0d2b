"""What counts as alive."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from raftnomad.drivers import processes


@pytest.fixture
def zombie() -> Iterator[int]:
    """A child that has ended, and that nobody has asked for its end yet."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    yield child
    os.waitpid(child, 0)


def test_a_zombie_counts_as_dead(zombie: int) -> None:
    assert os.path.exists(f"/proc/{zombie}/stat")
    assert processes.start_time(zombie) == 0
    assert zombie not in processes.descendants(os.getpid())


def test_a_process_is_known_by_its_start_and_not_by_its_number_alone() -> None:
    started = processes.start_time(os.getpid())
    assert processes.is_alive(os.getpid(), started)
    assert not processes.is_alive(os.getpid(), started + 1)
    assert not processes.is_alive(os.getpid(), 0)


def test_descendants_are_children_and_theirs() -> None:
    with subprocess.Popen(["/bin/sh", "-c", "sleep 300 & echo; wait"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        below = processes.descendants(shell.pid)
        assert len(below) == 1
        assert {shell.pid, *below} <= set(processes.descendants(os.getpid()))
        for pid in (shell.pid, *below):
            processes.kill(pid)


def test_killing_what_is_gone_is_no_error() -> None:
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    processes.kill(child.pid, signal.SIGTERM)
