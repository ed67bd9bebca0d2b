from __future__ import annotations

import os
from pathlib import Path

import pytest

from raftnomad.client.local_state import AllocationRecord, LocalState, TaskRecord, decode, encode
from raftnomad.drivers.driver import TaskHandle
from raftnomad.errors import DataDirectoryError
from raftnomad.model.allocation import TaskState
from tests.client.makers import an_alloc


def a_record(**tasks: TaskRecord) -> AllocationRecord:
    return AllocationRecord(allocation=an_alloc(), tasks=tasks, first_seen_ns=7)


@pytest.fixture
def state(tmp_path: Path) -> LocalState:
    made = LocalState(tmp_path / "client")
    made.open()
    return made


async def test_what_was_saved_is_loaded(state: LocalState) -> None:
    handle = TaskHandle(driver="raw_exec", task_id="a/web", state={"run": "x"})
    record = a_record(web=TaskRecord(state=TaskState(state="running"), handle=handle))
    await state.save(record)
    assert LocalState(state.path).load() == [record]


async def test_what_is_forgotten_is_gone(state: LocalState) -> None:
    record = a_record()
    await state.save(record)
    await state.forget(record.allocation.id)
    assert LocalState(state.path).load() == []


async def test_a_damaged_file_is_set_aside_and_the_others_are_loaded(state: LocalState) -> None:
    good, bad = a_record(), a_record()
    await state.save(good)
    await state.save(bad)
    file = state.path / "allocations" / f"{bad.allocation.id}.state"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    assert LocalState(state.path).load() == [good]
    assert file.with_suffix(".damaged").exists()


def test_a_flipped_bit_is_noticed() -> None:
    content = bytearray(encode(a_record()))
    content[-10] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        decode(bytes(content))


async def test_a_newer_state_is_refused_by_name(state: LocalState) -> None:
    await state.close()
    (state.path / "version").write_text("99")
    with pytest.raises(DataDirectoryError, match="newer raftnomad"):
        LocalState(state.path).open()


def test_an_identity_is_made_once(state: LocalState) -> None:
    first = state.identity("client-id", os.urandom)
    assert state.identity("client-id", os.urandom) == first
    assert (state.path / "client-id").stat().st_mode & 0o777 == 0o600
