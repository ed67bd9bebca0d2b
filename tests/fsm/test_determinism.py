"""Equal logs give equal states: across hash seeds, and with a dump and restore in the middle."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from raftnomad.fsm.dump import state_bytes
from raftnomad.fsm.invariants import violations
from raftnomad.fsm.machine import StateMachine
from tests.fsm.random_log import RandomLog, restored


@pytest.mark.parametrize("seed", range(5))
def test_the_facts_hold_after_every_random_command(seed: int) -> None:
    machine = StateMachine()
    log = RandomLog(seed, machine.state)
    for _ in range(300):
        machine.apply([log.next()])
        assert violations(machine.state) == [], f"after {log.count} commands"


@pytest.mark.parametrize("seed", range(3))
def test_a_restored_state_is_the_same_and_stays_the_same(seed: int) -> None:
    machine = StateMachine()
    log = RandomLog(seed, machine.state)
    for _ in range(300):
        machine.apply([log.next()])
    other = restored(machine)
    assert violations(other.state) == []
    assert state_bytes(other.state) == state_bytes(machine.state)
    for _ in range(300):
        raw = log.next()
        assert machine.apply([raw]) == other.apply([raw])
    assert state_bytes(other.state) == state_bytes(machine.state)


def test_hash_seeds_do_not_matter() -> None:
    digests = {
        _digest(hash_seed, restore) for hash_seed, restore in (("0", "restore"), ("1", "straight"), ("77", "restore"))
    }
    assert len(digests) == 1


def _digest(hash_seed: str, restore: str) -> str:
    command = [sys.executable, "-m", "tests.fsm.random_log", "42", "500", restore]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
